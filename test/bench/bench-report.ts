// Turns the rounds of the benchmark into figures: the median over the rounds, and ratios to Envoy taken
// inside each round before the median, so that noise that lasts longer than a round cancels out.
import { PROXY_NAMES, type BenchCase, type ProxyName } from './bench-case.ts';
import type { Measurement } from './load.ts';

/** One round: every proxy of the case once, one after the other. */
export type Round = Readonly<Partial<Record<ProxyName, Measurement>>>;

export interface Summary {
  readonly proxy: ProxyName;
  readonly cpuMicroseconds: number;
  readonly requestsPerSecond: number;
  readonly requestsPerCoreSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly residentMebibytes: number;
  readonly residentPeakMebibytes: number;
  readonly errors: number;
  /** To Envoy; null without it. */
  readonly cpuRatio: number | null;
  readonly cpuRatioLow: number | null;
  readonly cpuRatioHigh: number | null;
  readonly requestsRatio: number | null;
  readonly residentRatio: number | null;
}

const cpuPerRequest = (m: Measurement): number => (m.cpuSeconds / m.requests) * 1e6;
const mebibytes = (bytes: number): number => bytes / 1024 / 1024;

export function summarize(rounds: readonly Round[], proxy: ProxyName): Summary | null {
  const own = rounds.map((round) => round[proxy]).filter((measurement) => measurement !== undefined);
  if (own.length === 0) return null;
  const middle = (value: (m: Measurement) => number): number => median(own.map(value));
  const ratios = (value: (m: Measurement) => number): readonly number[] =>
    rounds.flatMap((round) => {
      const [mine, envoys] = [round[proxy], round.envoy];
      return mine === undefined || envoys === undefined ? [] : [value(mine) / value(envoys)];
    });
  const cpuRatios = ratios(cpuPerRequest);
  return {
    proxy,
    cpuMicroseconds: middle(cpuPerRequest),
    requestsPerSecond: middle((m) => m.requests / m.seconds),
    requestsPerCoreSecond: middle((m) => m.requests / m.cpuSeconds),
    p50Ms: middle((m) => m.p50Ms),
    p99Ms: middle((m) => m.p99Ms),
    residentMebibytes: middle((m) => mebibytes(m.residentBytes)),
    residentPeakMebibytes: Math.max(...own.map((m) => mebibytes(m.residentPeakBytes))),
    errors: own.reduce((total, m) => total + m.errors, 0),
    cpuRatio: orNull(cpuRatios, median),
    cpuRatioLow: orNull(cpuRatios, (values) => Math.min(...values)),
    cpuRatioHigh: orNull(cpuRatios, (values) => Math.max(...values)),
    requestsRatio: orNull(
      ratios((m) => m.requests / m.cpuSeconds),
      median,
    ),
    residentRatio: orNull(
      ratios((m) => m.residentBytes),
      median,
    ),
  };
}

function orNull(values: readonly number[], pick: (values: readonly number[]) => number): number | null {
  return values.length === 0 ? null : pick(values);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, two) => one - two);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

const COLUMNS = [
  'proxy',
  'CPU µs/request',
  'ratio to Envoy (range)',
  'requests/s/core',
  'ratio',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'RSS MiB (peak)',
  'ratio',
  'errors',
];

/** A table in Markdown, so that it can be read in a terminal and pasted into a document. */
export function formatReport(benchCase: BenchCase, rounds: readonly Round[], proxies: readonly ProxyName[]): string {
  const rows = PROXY_NAMES.filter((proxy) => proxies.includes(proxy)).map((proxy) => {
    const summary = summarize(rounds, proxy);
    return summary === null ? [proxy, ...COLUMNS.slice(1).map(() => '-')] : cells(summary);
  });
  const widths = COLUMNS.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, index) => (index === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [`### ${benchCase.name}: ${benchCase.title}`, '', line(COLUMNS), rule, ...rows.map(line), ''].join('\n');
}

const ratio = (value: number | null): string => (value === null ? '-' : value.toFixed(2));

function cells(summary: Summary): readonly string[] {
  const range = summary.cpuRatioLow === null ? '' : ` (${ratio(summary.cpuRatioLow)}–${ratio(summary.cpuRatioHigh)})`;
  return [
    summary.proxy,
    summary.cpuMicroseconds.toFixed(1),
    `${ratio(summary.cpuRatio)}${range}`,
    summary.requestsPerCoreSecond.toFixed(0),
    ratio(summary.requestsRatio),
    summary.requestsPerSecond.toFixed(0),
    summary.p50Ms.toFixed(2),
    summary.p99Ms.toFixed(2),
    `${summary.residentMebibytes.toFixed(0)} (${summary.residentPeakMebibytes.toFixed(0)})`,
    ratio(summary.residentRatio),
    String(summary.errors),
  ];
}
