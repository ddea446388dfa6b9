// The health of endpoints as another thread finds it: workers do not check for themselves, or each endpoint would be
// asked by all of them. Verdicts come as messages; what a worker sees of traffic goes back. Clusters that are found by
// DNS are the exception: each thread resolves names for itself, and checks what it finds.
import type { Endpoint } from '../plan/cluster.ts';
import { CHECK_BITS, type CheckVerdict, type HealthWatcher } from '../resilience/checked-endpoints.ts';
import type { LiveCluster } from '../resilience/cluster.ts';
import { drainFailed, ImmediateFailures } from './failed-endpoints.ts';
import type { PoolRegistry } from './upstream-pool.ts';

/** What one thread says of an endpoint. */
export interface VerdictMessage {
  readonly kind: 'verdict';
  readonly cluster: string;
  readonly authority: string;
  readonly verdict: CheckVerdict;
}

/** What a worker has seen. */
export type SightMessage =
  /** A response asked to leave the endpoint out. */
  | { readonly kind: 'excluded'; readonly cluster: string; readonly authority: string }
  /** The cluster carries traffic. */
  | { readonly kind: 'used'; readonly cluster: string };

const LOOK_MS = 500;
/** More verdicts on endpoints that are not there are forgotten. */
const ABSENT_MAX = 1000;

interface Followed {
  readonly cluster: LiveCluster;
  readonly watch: ImmediateFailures;
  isUsed: boolean;
}

/** Whether the main thread checks the cluster for all. */
export function isCheckedOnce({ settings }: LiveCluster): boolean {
  const { healthChecks = [], discovery } = settings;
  return healthChecks.length > 0 && (discovery.kind === 'static' || discovery.kind === 'eds');
}

/** Every verdict that the endpoints of these clusters have. */
export function verdictsOf(clusters: Iterable<LiveCluster>): readonly VerdictMessage[] {
  return [...clusters].filter(isCheckedOnce).flatMap((cluster) =>
    cluster.endpoints
      .filter((endpoint) => cluster.checked.isChecked(endpoint))
      .map((endpoint) => ({
        kind: 'verdict' as const,
        cluster: cluster.name,
        authority: endpoint.authority,
        verdict: { unfit: endpoint.unfit & CHECK_BITS, isDegraded: endpoint.isDegraded, isChecked: true },
      })),
  );
}

export class ReportedHealth implements HealthWatcher {
  readonly #own: HealthWatcher;
  readonly #pools: PoolRegistry;
  readonly #tell: (message: SightMessage) => void;
  readonly #followed = new Map<string, Followed>();
  /** By cluster and authority; also of endpoints that are not known here yet. */
  readonly #verdicts = new Map<string, Map<string, CheckVerdict>>();
  #timer: NodeJS.Timeout | null = null;

  /** `own` checks what nobody reports. */
  constructor(own: HealthWatcher, pools: PoolRegistry, tell: (message: SightMessage) => void) {
    this.#own = own;
    this.#pools = pools;
    this.#tell = tell;
  }

  follow(cluster: LiveCluster): void {
    if (!isCheckedOnce(cluster)) {
      this.#drop(cluster);
      this.#own.follow(cluster);
      return;
    }
    const { watch } = this.#follow(cluster);
    for (const endpoint of cluster.endpoints) {
      if (!endpoint.watches.includes(watch)) endpoint.watches = [...endpoint.watches, watch];
    }
    // A verdict may change the endpoints, about which the caller is telling.
    queueMicrotask(() => this.#judgeAll(cluster));
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  forget(cluster: LiveCluster): void {
    this.#drop(cluster);
    this.#own.forget(cluster);
  }

  report({ cluster: name, authority, verdict }: VerdictMessage): void {
    const known = this.#verdicts.get(name) ?? new Map<string, CheckVerdict>();
    this.#verdicts.set(name, known.set(authority, verdict));
    const cluster = this.#followed.get(name)?.cluster;
    if (cluster === undefined) return;
    if (known.size > ABSENT_MAX + 2 * cluster.endpoints.length) this.#prune(cluster, known);
    for (const endpoint of cluster.endpoints) if (endpoint.authority === authority) cluster.judge(endpoint, verdict);
  }

  #follow(cluster: LiveCluster): Followed {
    const known = this.#followed.get(cluster.name);
    if (known?.cluster === cluster) return known;
    const watch = new ImmediateFailures(({ authority }: Endpoint) =>
      this.#tell({ kind: 'excluded', cluster: cluster.name, authority }),
    );
    const followed = { cluster, watch, isUsed: false };
    this.#followed.set(cluster.name, followed);
    drainFailed(cluster, this.#pools);
    return followed;
  }

  #drop(cluster: LiveCluster): void {
    if (this.#followed.get(cluster.name)?.cluster !== cluster) return;
    this.#followed.delete(cluster.name);
    this.#verdicts.delete(cluster.name);
    if (this.#followed.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #judgeAll(cluster: LiveCluster): void {
    if (this.#followed.get(cluster.name)?.cluster !== cluster) return;
    const known = this.#verdicts.get(cluster.name);
    for (const endpoint of cluster.endpoints) {
      const verdict = known?.get(endpoint.authority);
      if (verdict !== undefined && !cluster.checked.isChecked(endpoint)) cluster.judge(endpoint, verdict);
    }
  }

  #prune(cluster: LiveCluster, known: Map<string, CheckVerdict>): void {
    const there = new Set(cluster.endpoints.map(({ authority }) => authority));
    for (const authority of known.keys()) if (!there.has(authority)) known.delete(authority);
  }

  #look(): void {
    for (const followed of this.#followed.values()) {
      const { cluster } = followed;
      if (followed.isUsed || !cluster.endpoints.some(({ connectionsTotal }) => connectionsTotal > 0)) continue;
      followed.isUsed = true;
      this.#tell({ kind: 'used', cluster: cluster.name });
    }
  }
}
