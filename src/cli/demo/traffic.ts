// Who calls whom, from what the sidecars count. A Tally is everything counted up to one moment; the
// difference of two Tallies is the traffic between them: rate, share of each version, statuses, p50 and p99.
// Calls inside the mesh are read where they are sent (reporter="source"). Where a request arrives, the sidecar does
// not know who sent it as long as nobody proves who he is; so only what arrives at a service that nobody in
// the mesh calls is taken to come from outside.
import type { Sample } from './prometheus-text.ts';

export interface Flow {
  readonly from: string;
  readonly to: string;
  /** Version of the instance that answered; empty when the sidecar answered itself. */
  readonly version: string;
  /** Requests by status code. */
  readonly statuses: Map<string, number>;
  /** Requests that took at most so many milliseconds: the cumulative buckets of the histogram. */
  readonly buckets: Map<number, number>;
}

export interface Tally {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  readonly flows: ReadonlyMap<string, Flow>;
}

export interface Row {
  readonly from: string;
  readonly to: string;
  readonly version: string;
  /** Requests per second. */
  readonly rate: number;
  /** Part of all requests from `from` to `to`, 0 to 1. */
  readonly share: number;
  /** Requests by status code, largest first. */
  readonly statuses: readonly (readonly [string, number])[];
  /** Milliseconds; NaN when nothing was timed. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What one sidecar counted, and whose sidecar it is. */
export interface Scrape {
  readonly service: string;
  readonly samples: readonly Sample[];
}

const OUTSIDE = 'visitors';
const REQUESTS = 'istio_requests_total';
const DURATION_BUCKET = 'istio_request_duration_milliseconds_bucket';
const UNNAMED = new Set(['', 'unknown', '-']);

export function tally(atMs: number, scrapes: readonly Scrape[]): Tally {
  const flows = new Map<string, Flow>();
  for (const { service, samples } of scrapes) {
    for (const sample of samples) {
      if (sample.name !== REQUESTS && sample.name !== DURATION_BUCKET) continue;
      const ends = endsOf(sample.labels, service);
      if (ends === null) continue;
      const key = `${ends.from}\n${ends.to}\n${ends.version}`;
      const flow = flows.get(key) ?? { ...ends, statuses: new Map(), buckets: new Map() };
      flows.set(key, flow);
      if (sample.name === REQUESTS) addTo(flow.statuses, sample.labels.get('response_code') ?? '', sample.value);
      else addTo(flow.buckets, parseBound(sample.labels.get('le') ?? ''), sample.value);
    }
  }
  const called = new Set([...flows.values()].filter(({ from }) => from !== OUTSIDE).map(({ to }) => to));
  for (const [key, { from, to }] of flows) if (from === OUTSIDE && called.has(to)) flows.delete(key);
  return { atMs, flows };
}

interface Ends {
  readonly from: string;
  readonly to: string;
  readonly version: string;
}

function endsOf(labels: ReadonlyMap<string, string>, scraped: string): Ends | null {
  const reporter = labels.get('reporter');
  const version = firstNamed(labels, ['destination_canonical_revision', 'destination_version']);
  if (reporter === 'source') {
    const to = firstNamed(labels, ['destination_service_name', 'destination_canonical_service', 'destination_service']);
    return { from: scraped, to: to.split('.')[0] ?? to, version: version === 'latest' ? '' : version };
  }
  const source = firstNamed(labels, ['source_canonical_service', 'source_workload', 'source_app']);
  if (reporter !== 'destination' || source !== '') return null;
  return { from: OUTSIDE, to: scraped, version };
}

function firstNamed(labels: ReadonlyMap<string, string>, names: readonly string[]): string {
  for (const name of names) {
    const value = labels.get(name) ?? '';
    if (!UNNAMED.has(value)) return value;
  }
  return '';
}

function parseBound(text: string): number {
  return text === '+Inf' ? Infinity : Number(text);
}

function addTo<Key>(counts: Map<Key, number>, key: Key, value: number): void {
  counts.set(key, (counts.get(key) ?? 0) + value);
}

/** The traffic between two Tallies: by caller, callee and version, in the order in which a visit passes them. */
export function trafficBetween(earlier: Tally, later: Tally, order: readonly string[]): Row[] {
  const seconds = Math.max((later.atMs - earlier.atMs) / 1000, 0.001);
  const totals = new Map<string, number>();
  const found: { flow: Flow; statuses: Map<string, number>; count: number; buckets: Map<number, number> }[] = [];
  for (const [key, flow] of later.flows) {
    const before = earlier.flows.get(key);
    const statuses = minus(flow.statuses, before?.statuses);
    const count = sum(statuses);
    if (count <= 0) continue;
    addTo(totals, `${flow.from}\n${flow.to}`, count);
    found.push({ flow, statuses, count, buckets: minus(flow.buckets, before?.buckets) });
  }
  const rows = found.map(({ flow, statuses, count, buckets }) => ({
    from: flow.from,
    to: flow.to,
    version: flow.version,
    rate: count / seconds,
    share: count / (totals.get(`${flow.from}\n${flow.to}`) ?? count),
    statuses: [...statuses].filter(([, value]) => value > 0).toSorted((a, b) => b[1] - a[1]),
    p50Ms: quantile(buckets, 0.5),
    p99Ms: quantile(buckets, 0.99),
  }));
  const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : name === OUTSIDE ? -1 : 99);
  return rows.toSorted(
    (a, b) => rank(a.from) - rank(b.from) || rank(a.to) - rank(b.to) || a.version.localeCompare(b.version),
  );
}

function minus<Key>(later: ReadonlyMap<Key, number>, earlier: ReadonlyMap<Key, number> | undefined): Map<Key, number> {
  const difference = new Map<Key, number>();
  for (const [key, value] of later) {
    const before = earlier?.get(key) ?? 0;
    // A counter that went back belongs to a process that started anew.
    difference.set(key, value >= before ? value - before : value);
  }
  return difference;
}

function sum(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const value of counts.values()) total += value;
  return total;
}

/** The value below which a `share` of the counted lies, linear inside its bucket, as Prometheus does it. */
export function quantile(buckets: ReadonlyMap<number, number>, share: number): number {
  const bounds = [...buckets].toSorted((a, b) => a[0] - b[0]);
  const total = bounds.at(-1)?.[1] ?? 0;
  if (total === 0) return Number.NaN;
  const wanted = share * total;
  let lowerBound = 0;
  let lowerCount = 0;
  for (const [bound, count] of bounds) {
    if (count >= wanted) {
      if (bound === Infinity) return lowerBound;
      const inBucket = count - lowerCount;
      return inBucket === 0 ? bound : lowerBound + ((bound - lowerBound) * (wanted - lowerCount)) / inBucket;
    }
    lowerBound = bound;
    lowerCount = count;
  }
  return lowerBound;
}
