// What the project promises of its speed, per case, and whether a run keeps it: `npm run bench -- --check` prints a
// line for each bound and fails when one is missed. Bounds of a proxy that took no part are not judged.
import type { ProxyName } from './bench-case.ts';
import { median, type Round } from './bench-report.ts';
import type { Measurement } from './load.ts';

export interface Verdict {
  readonly what: string;
  readonly reached: number;
  readonly bound: number;
  readonly isKept: boolean;
}

/** Our CPU per request, at most this share of the other's. */
const CPU: Readonly<Record<string, readonly [ProxyName, number]>> = {
  plain: ['nginx', 1.35],
  mesh: ['envoy', 0.5],
  resilient: ['outrigger-bare', 1.05],
  secure: ['outrigger-bare', 1.1],
  '16k': ['envoy', 0.65],
  '1m': ['envoy', 1],
  connect: ['envoy', 1],
  routes: ['envoy', 0.35],
  traced: ['envoy', 0.5],
  mtls: ['envoy', 0.55],
};
/** Requests per second, at least so many times Envoy's. */
const REQUESTS: Readonly<Record<string, number>> = { mesh: 1.8 };
/** In every case, of Envoy's. */
const RESIDENT_MAX = 1.2;
const P99_MAX = 1;

const cpuOf = (m: Measurement): number => m.cpuSeconds / m.requests;
const requestsOf = (m: Measurement): number => m.requests / m.seconds;

export function judge(name: string, rounds: readonly Round[]): readonly Verdict[] {
  const verdicts: Verdict[] = [];
  const compare = (what: string, peer: ProxyName, value: (m: Measurement) => number, [least, most]: Range): void => {
    const ratios = rounds.flatMap(({ outrigger, [peer]: other }) =>
      outrigger === undefined || other === undefined ? [] : [value(outrigger) / value(other)],
    );
    if (ratios.length === 0) return;
    const reached = median(ratios);
    const isKept = reached >= least && reached <= most;
    verdicts.push({ what: `${name}: ${what} to ${peer}`, reached, bound: most === Infinity ? least : most, isKept });
  };
  const cpu = CPU[name];
  if (cpu !== undefined) compare('CPU per request', cpu[0], cpuOf, [0, cpu[1]]);
  const requests = REQUESTS[name];
  if (requests !== undefined) compare('requests per second', 'envoy', requestsOf, [requests, Infinity]);
  compare('RSS', 'envoy', (m) => m.residentBytes, [0, RESIDENT_MAX]);
  compare('p99', 'envoy', (m) => m.p99Ms, [0, P99_MAX]);
  const errors = rounds.reduce((sum, { outrigger }) => sum + (outrigger?.errors ?? 0), 0);
  verdicts.push({ what: `${name}: errors`, reached: errors, bound: 0, isKept: errors === 0 });
  return verdicts;
}

type Range = readonly [least: number, most: number];

export function formatVerdict({ what, reached, bound, isKept }: Verdict): string {
  return `${isKept ? 'kept  ' : 'MISSED'}  ${what}: ${reached.toFixed(2)} (bound ${bound})`;
}
