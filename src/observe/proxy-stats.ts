// Envoy's own statistics, as cheap as they can be: what the endpoints, listeners and managers count
// by themselves is only added up when somebody asks; per request there is one addition per tally.
// Names are Envoy's (`cluster.NAME.upstream_rq_total`); Prometheus gets them with Envoy's tags.
import { UNFIT, type Cluster, type Endpoint } from '../plan/cluster.ts';
import { FilterTally, type FilterStat } from '../plan/filter-tally.ts';
import { ArrivalTally } from './arrival-tally.ts';
import { healthStats, type HealthNumbers } from './health-stats.ts';
import { limitNumbers } from './limit-stats.ts';
import { ChainLimitTally, ClusterTally, HttpTally, ListenerTally, TcpTally } from './proxy-tally.ts';
import type { RetryTally } from '../plan/retry-tally.ts';
import type { TlsTally } from '../tls/tls-tally.ts';
import { TlsTallies } from './tls-stats.ts';
import type { Registry, ScrapeSink } from './registry.ts';

const CLASSES = ['', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** One statistic: Envoy's dotted name, and how Prometheus is told the same. */
export interface Stat {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly value: number;
  /** Name in the exposition, without its prefix `envoy_`. */
  readonly metric: string;
  readonly labelNames: readonly string[];
  readonly labels: readonly string[];
}

const CLUSTER_LABELS = ['envoy_cluster_name'];
const CLUSTER_CLASS_LABELS = ['envoy_cluster_name', 'envoy_response_code_class'];
const HTTP_LABELS = ['envoy_http_conn_manager_prefix'];
const HTTP_CLASS_LABELS = ['envoy_http_conn_manager_prefix', 'envoy_response_code_class'];
const LISTENER_LABELS = ['envoy_listener_address'];
const LIMIT_LABELS = ['envoy_connection_limit_prefix'];
const TCP_LABELS = ['envoy_tcp_prefix'];

/** A part of a filter's statistics that belongs to one peer, and the label that says which. */
export interface FilterPart {
  readonly label: string;
  readonly value: string;
  /** As in plan/http-filter.ts. */
  readonly root?: '' | 'cluster.';
}

interface FilterStats {
  readonly statPrefix: string;
  readonly name: string;
  readonly part: FilterPart | null;
  readonly tally: FilterTally;
}

const PARTS_MAX = 1000;

/** Statistics without labels, as `server.live`: dotted name, kind, value. */
export type Numbers = readonly (readonly [name: string, kind: 'counter' | 'gauge', value: number])[];

export class ProxyStats {
  /** The active checks of a cluster; called at scrape time. */
  healthOf: (cluster: string) => readonly HealthNumbers[] = () => [];
  /** What outlier detection counts of a cluster. */
  outlierOf: (cluster: string) => Numbers = () => [];
  /** The calls that policies make of a cluster. */
  remoteOf: (cluster: string) => Numbers = () => [];
  readonly #clusters = new Map<string, ClusterTally>();
  readonly #https = new Map<string, HttpTally>();
  readonly #listeners = new Map<string, ListenerTally>();
  readonly #tcps = new Map<string, TcpTally>();
  readonly #chainLimits = new Map<string, ChainLimitTally>();
  readonly #filters = new Map<string, FilterStats>();
  readonly #tls = new TlsTallies();
  #arrival: ArrivalTally | null = null;
  readonly #sources: (() => Numbers)[] = [];
  readonly #liveClusters: () => Iterable<Cluster>;

  /** `liveClusters` yields the clusters in force; it is called at scrape time only. */
  constructor(liveClusters: () => Iterable<Cluster> = () => []) {
    this.#liveClusters = liveClusters;
  }

  /** The tally of the cluster of this name; made on first use and kept across updates. */
  cluster(name: string): ClusterTally {
    return entry(this.#clusters, name, makeClusterTally);
  }

  http(statPrefix: string): HttpTally {
    return entry(this.#https, statPrefix, makeHttpTally);
  }

  /** `address` as Envoy spells it in names: `127.0.0.1_15001`. */
  listener(address: string): ListenerTally {
    return entry(this.#listeners, address, makeListenerTally);
  }

  tcp(statPrefix: string): TcpTally {
    return entry(this.#tcps, statPrefix, makeTcpTally);
  }

  chainLimit(statPrefix: string): ChainLimitTally {
    return entry(this.#chainLimits, statPrefix, makeChainLimitTally);
  }

  /**
   * The tally of an HTTP filter: `http.PREFIX.NAME.*`, or `http.PREFIX.NAME.PART.*` with the part as a label of
   * its own. What a client can name makes no more than PARTS_MAX of those; then they share one that nobody sees.
   */
  filter(statPrefix: string, name: string, stats: readonly FilterStat[], part: FilterPart | null): FilterTally {
    if (part?.root !== undefined) {
      const rootKey = `${part.root} ${part.value}.${name} ${stats[0]?.name ?? ''}`;
      return entry(this.#filters, rootKey, () => ({ statPrefix, name, part, tally: new FilterTally(stats) })).tally;
    }
    // Filters of one name may count different things (RBAC's rules and its shadow rules).
    const key = `${statPrefix}.${name}${part === null ? '' : `.${part.value}`} ${stats[0]?.name ?? ''}`;
    const known = this.#filters.get(key);
    if (known === undefined && part !== null && this.#filters.size >= PARTS_MAX) return new FilterTally(stats);
    return entry(this.#filters, key, () => ({ statPrefix, name, part, tally: new FilterTally(stats) })).tally;
  }

  /** `name` as in `cluster` and `listener` above. */
  tls(scope: 'listener' | 'cluster', name: string): TlsTally {
    return this.#tls.of(scope, name);
  }

  /** What listener filters find; shown once a listener has some. */
  get arrival(): ArrivalTally {
    this.#arrival ??= new ArrivalTally();
    return this.#arrival;
  }

  /** Adds what somebody else counts; `read` is called at scrape time only. */
  addNumbers(read: () => Numbers): void {
    this.#sources.push(read);
  }

  /** Drops tallies of clusters that exist no more; called at scrape time. */
  #forget(live: readonly Cluster[]): void {
    const names = new Set<string>(live.map((cluster) => cluster.name));
    for (const name of this.#clusters.keys()) if (!names.has(name)) this.#clusters.delete(name);
  }

  /** Every statistic, sorted by name: what `/stats` prints. */
  list(): Stat[] {
    const live = [...this.#liveClusters()];
    if (live.length > 0) this.#forget(live);
    const stats: Stat[] = [];
    for (const cluster of live) {
      clusterStats(stats, cluster, this.#clusters.get(cluster.name));
      const scope = { scope: 'cluster', name: cluster.name, labelNames: CLUSTER_LABELS };
      add(stats, scope, healthStats(this.healthOf(cluster.name)));
      add(stats, scope, this.outlierOf(cluster.name));
      add(stats, scope, this.remoteOf(cluster.name));
    }
    for (const [prefix, tally] of this.#https) httpStats(stats, prefix, tally);
    for (const [address, tally] of this.#listeners) listenerStats(stats, address, tally);
    for (const [prefix, tally] of this.#tcps) tcpStats(stats, prefix, tally);
    for (const [prefix, tally] of this.#chainLimits) limitStats(stats, prefix, tally);
    for (const filter of this.#filters.values()) filterStats(stats, filter);
    stats.push(...this.#tls.list());
    addPlain(stats, codecNumbers([...this.#https.values()]));
    if (this.#arrival !== null) addPlain(stats, this.#arrival.numbers());
    for (const read of this.#sources) addPlain(stats, read());
    return stats.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  }

  /** Has `registry` show these statistics as `envoy_*` families. */
  attachTo(registry: Registry): void {
    registry.addSource((sink) => writeStats(sink, this.list()));
  }
}

/** Shows statistics as `envoy_*` families. */
export function writeStats(sink: ScrapeSink, stats: readonly Stat[]): void {
  const byMetric = new Map<string, Stat[]>();
  for (const stat of stats) entry(byMetric, stat.metric, () => []).push(stat);
  for (const [metric, group] of byMetric) {
    sink.family(`envoy_${metric}`, group[0]?.kind ?? 'gauge', '');
    for (const stat of group) sink.sample(stat.labelNames, stat.labels, stat.value);
  }
}

const makeClusterTally = (): ClusterTally => new ClusterTally();
const makeHttpTally = (): HttpTally => new HttpTally();
const makeListenerTally = (): ListenerTally => new ListenerTally();
const makeChainLimitTally = (): ChainLimitTally => new ChainLimitTally();
const makeTcpTally = (): TcpTally => new TcpTally();

function entry<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function clusterStats(stats: Stat[], cluster: Cluster, tally: ClusterTally | undefined): void {
  const { endpoints } = cluster;
  const sum = (read: (endpoint: Endpoint) => number): number =>
    endpoints.reduce((total, endpoint) => total + read(endpoint), 0);
  const numbers: Numbers = [
    ['upstream_rq_total', 'counter', sum((endpoint) => endpoint.requestsTotal)],
    ['upstream_rq_active', 'gauge', sum((endpoint) => endpoint.active)],
    ['upstream_cx_total', 'counter', sum((endpoint) => endpoint.connectionsTotal)],
    ['upstream_cx_active', 'gauge', sum((endpoint) => endpoint.connectionsActive)],
    ['upstream_cx_connect_fail', 'counter', sum((endpoint) => endpoint.connectFailuresTotal)],
    ['membership_total', 'gauge', endpoints.length],
    ['membership_healthy', 'gauge', sum((endpoint) => Number(endpoint.isHealthy && !endpoint.isDegraded))],
    ['membership_degraded', 'gauge', sum((endpoint) => Number(endpoint.isHealthy && endpoint.isDegraded))],
    ['membership_excluded', 'gauge', sum(({ unfit }) => Number((unfit & (UNFIT.EXCLUDED | UNFIT.UNCHECKED)) !== 0))],
    ...limitNumbers(cluster),
  ];
  add(stats, { scope: 'cluster', name: cluster.name, labelNames: CLUSTER_LABELS }, numbers);
  // Envoy has no counter of its own for this.
  const fallbacks: Numbers =
    cluster.aggregate == null ? [] : [['upstream_rq_fallback', 'counter', cluster.aggregate.fallbacksTotal]];
  add(stats, { scope: 'cluster', name: cluster.name, labelNames: CLUSTER_LABELS }, fallbacks);
  if (cluster.retryTally !== undefined) {
    const retries = retryNumbers(cluster.retryTally);
    add(stats, { scope: 'cluster', name: cluster.name, labelNames: CLUSTER_LABELS }, retries);
  }
  if (tally === undefined) return;
  const scope = { scope: 'cluster', name: cluster.name, labelNames: CLUSTER_CLASS_LABELS };
  addClasses(stats, scope, 'upstream_rq', tally.classes);
}

function retryNumbers(tally: RetryTally): Numbers {
  return [
    ['upstream_rq_retry', 'counter', tally.retries],
    ['upstream_rq_retry_success', 'counter', tally.successes],
    ['upstream_rq_retry_limit_exceeded', 'counter', tally.limitsExceeded],
    ['upstream_rq_retry_backoff_exponential', 'counter', tally.exponentialBackOffs],
    ['upstream_rq_retry_backoff_ratelimited', 'counter', tally.rateLimitedBackOffs],
    ['upstream_rq_timeout', 'counter', tally.timeouts],
    ['upstream_rq_per_try_timeout', 'counter', tally.perTryTimeouts],
    ['upstream_rq_per_try_idle_timeout', 'counter', tally.perTryIdleTimeouts],
    ['retry_or_shadow_abandoned', 'counter', tally.abandoned],
  ];
}

function httpStats(stats: Stat[], prefix: string, tally: HttpTally): void {
  const numbers: Numbers = [
    ['downstream_rq_total', 'counter', tally.requestsTotal],
    ['downstream_rq_active', 'gauge', tally.requestsActive],
    ['downstream_rq_completed', 'counter', tally.requestsTotal - tally.requestsActive],
    ['downstream_cx_total', 'counter', tally.connectionsTotal],
    ['downstream_cx_active', 'gauge', tally.connectionsActive],
    ['downstream_cx_protocol_error', 'counter', tally.protocolErrors],
    ['downstream_cx_idle_timeout', 'counter', tally.idleTimeouts],
    ['downstream_cx_max_duration_reached', 'counter', tally.ageLimits],
    ['downstream_cx_max_requests_reached', 'counter', tally.requestLimits],
    ['downstream_cx_drain_close', 'counter', tally.drainCloses],
    ['downstream_cx_delayed_close_timeout', 'counter', tally.delayedCloseTimeouts],
    ['downstream_cx_destroy_remote_active_rq', 'counter', tally.departures],
    ['downstream_cx_upgrades_total', 'counter', tally.upgradesTotal],
    ['downstream_cx_upgrades_active', 'gauge', tally.upgradesActive],
    ['downstream_rq_header_timeout', 'counter', tally.headTimeouts],
    ['downstream_rq_timeout', 'counter', tally.requestTimeouts],
    ['downstream_rq_idle_timeout', 'counter', tally.streamIdleTimeouts],
    ['downstream_rq_max_duration_reached', 'counter', tally.durationTimeouts],
    // Envoy has no counter of its own for heads that are too large.
    ['downstream_rq_head_too_large', 'counter', tally.headsTooLarge],
    ['downstream_rq_failed_path_normalization', 'counter', tally.pathsRefused],
    ['downstream_rq_redirected_with_normalized_path', 'counter', tally.pathsRedirected],
    ['downstream_rq_ws_on_non_ws_route', 'counter', tally.upgradesRefused],
    ['no_route', 'counter', tally.withoutRoute],
  ];
  add(stats, { scope: 'http', name: prefix, labelNames: HTTP_LABELS }, numbers);
  addClasses(stats, { scope: 'http', name: prefix, labelNames: HTTP_CLASS_LABELS }, 'downstream_rq', tally.classes);
}

function listenerStats(stats: Stat[], address: string, tally: ListenerTally): void {
  const numbers: Numbers = [
    ['downstream_cx_total', 'counter', tally.connectionsTotal],
    ['downstream_cx_active', 'gauge', tally.connectionsActive],
    ['downstream_pre_cx_active', 'gauge', tally.arriving],
    ['downstream_pre_cx_timeout', 'counter', tally.arrivalTimeouts],
    ['downstream_listener_filter_remote_close', 'counter', tally.arrivalCloses],
    ['downstream_listener_filter_error', 'counter', tally.arrivalErrors],
    ['downstream_cx_overflow', 'counter', tally.overflow],
    ['downstream_global_cx_overflow', 'counter', tally.globalOverflow],
    ['downstream_cx_accept_failed', 'counter', tally.acceptFailures],
    ['no_filter_chain_match', 'counter', tally.unmatched],
  ];
  add(stats, { scope: 'listener', name: address, labelNames: LISTENER_LABELS }, numbers);
}

/** What Envoy counts by codec, for all managers together. */
function codecNumbers(tallies: readonly HttpTally[]): Numbers {
  const sum = (read: (tally: HttpTally) => number): number => tallies.reduce((total, tally) => total + read(tally), 0);
  return [
    ['http1.dropped_headers_with_underscores', 'counter', sum((tally) => tally.underscoresDropped)],
    ['http1.requests_rejected_with_underscores_in_headers', 'counter', sum((tally) => tally.underscoresRejected)],
  ];
}

function addPlain(stats: Stat[], numbers: Numbers): void {
  for (const [name, kind, value] of numbers) {
    stats.push({ name, kind, value, metric: name.replaceAll('.', '_'), labelNames: [], labels: [] });
  }
}

function tcpStats(stats: Stat[], prefix: string, tally: TcpTally): void {
  const numbers: Numbers = [
    ['downstream_cx_total', 'counter', tally.connectionsTotal],
    ['downstream_cx_no_route', 'counter', tally.withoutRoute],
    ['downstream_cx_rx_bytes_total', 'counter', tally.receivedBytes],
    ['downstream_cx_tx_bytes_total', 'counter', tally.sentBytes],
    ['idle_timeout', 'counter', tally.idleTimeouts],
    ['max_downstream_connection_duration', 'counter', tally.durationTimeouts],
  ];
  add(stats, { scope: 'tcp', name: prefix, labelNames: TCP_LABELS }, numbers);
}

function limitStats(stats: Stat[], prefix: string, tally: ChainLimitTally): void {
  const numbers: Numbers = [
    ['active_connections', 'gauge', tally.active],
    ['limited_connections', 'counter', tally.limited],
  ];
  add(stats, { scope: 'connection_limit', name: prefix, labelNames: LIMIT_LABELS }, numbers);
}

function filterStats(stats: Stat[], { statPrefix, name, part, tally }: FilterStats): void {
  const leaf = name.replaceAll('.', '_');
  if (part?.root !== undefined) {
    const { root, value, label } = part;
    for (const [index, { name: last, kind }] of tally.stats.entries()) {
      const metric = `${root.replace('.', '_')}${leaf}_${last}`;
      const full = `${root}${value}.${name}.${last}`;
      stats.push({ name: full, kind, value: tally.of(index), metric, labelNames: [label], labels: [value] });
    }
    return;
  }
  for (const [index, stat] of tally.stats.entries()) {
    stats.push({
      name: `http.${statPrefix}.${name}.${part === null ? '' : `${part.value}.`}${stat.name}`,
      kind: stat.kind,
      value: tally.of(index),
      metric: `http_${leaf}_${stat.name}`,
      labelNames: part === null ? HTTP_LABELS : [...HTTP_LABELS, part.label],
      labels: part === null ? [statPrefix] : [statPrefix, part.value],
    });
  }
}

interface Scope {
  readonly scope: string;
  readonly name: string;
  readonly labelNames: readonly string[];
}

function add(stats: Stat[], { scope, name, labelNames }: Scope, numbers: Numbers): void {
  for (const [leaf, kind, value] of numbers) {
    stats.push({
      name: `${scope}.${name}.${leaf}`,
      kind,
      value,
      metric: `${scope}_${leaf.replaceAll('.', '_')}`,
      labelNames,
      labels: [name],
    });
  }
}

function addClasses(stats: Stat[], { scope, name, labelNames }: Scope, leaf: string, classes: Float64Array): void {
  for (let i = 1; i < classes.length; i++) {
    const letters = CLASSES[i] ?? '';
    stats.push({
      name: `${scope}.${name}.${leaf}_${letters}`,
      kind: 'counter',
      value: classes[i] ?? 0,
      // Envoy's tag extraction turns `upstream_rq_2xx` into `upstream_rq_xx{response_code_class="2"}`.
      metric: `${scope}_${leaf}_xx`,
      labelNames,
      labels: [name, String(i)],
    });
  }
}
