// The sidecar as one object: wires the engine, the static resources of a bootstrap, the discovery
// client and the admin server, and owns their life. Configuration that is bad never hurts what runs;
// nothing here rejects or throws once start() has resolved.
//
//   start() ─► static clusters ─► static listeners ─┐
//           └► ADS ─► CDS ─► EDS ─► LDS ─► RDS ─────┴─► ready ─► drain() ─► stop()
import { systemClock, type Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Problem } from '../base/problem.ts';
import { LocalLimits, type Limits } from '../base/shared-limits.ts';
import { TimerWheel } from '../base/timer-wheel.ts';
import { LogFiles } from '../observe/log-file.ts';
import { readNodeIdentity } from '../observe/node-identity.ts';
import { ProxyStats, type Numbers } from '../observe/proxy-stats.ts';
import { Registry } from '../observe/registry.ts';
import { SpanPipeline } from '../observe/span-pipeline.ts';
import { outlierNumbers } from '../resilience/outlier-numbers.ts';
import { OutlierWatch } from '../resilience/outlier-watch.ts';
import type { HealthWatcher } from '../resilience/checked-endpoints.ts';
import { createNodeResolver } from '../resilience/resolver.ts';
import { compileUpstreamBind } from '../resilience/upstream-bind.ts';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { ProxyState } from './admin/source.ts';
import { compileBootstrap, grpcClustersOf, secretOriginOf, type CompiledBootstrap } from './compile-bootstrap.ts';
import type { CompileContext } from './compile.ts';
import { connectionLimitOf } from './connection-limit.ts';
import { readRuntime } from './compile-runtime.ts';
import type { DiscoveryClientOptions } from './discovery.ts';
import { newEngineCounters, type Engine } from './engine.ts';
import { FetchedHosts } from './fetched-hosts.ts';
import { HealthMonitor } from './health-monitor.ts';
import type { Identity } from './identity.ts';
import type { ListenerHost } from './listener-host.ts';
import { outlierLogOf } from './outlier-log.ts';
import { ChainBook } from './chain-book.ts';
import type { Books } from './books.ts';
import { DynamicResources } from './proxy-dynamic.ts';
import { ProxyFeed, type DiscoveryFeed } from './proxy-feed.ts';
import { ListenerSet } from './proxy-listeners.ts';
import { Book } from './snapshot.ts';
import { SidecarRemoteCalls } from './remote-calls.ts';
import { secureTargetOf } from './secure-target.ts';
import type { ExtensionWatch } from './extension-watch.ts';
import { ExtensionStore } from './extension-store.ts';
import { SecretStore } from './secrets.ts';
import { homeOf, StateStore } from './state-store.ts';
import { PoolRegistry } from './upstream-pool.ts';

export interface ProxyOptions {
  readonly bootstrap: Bootstrap;
  readonly log: Log;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** How long stop() takes at most; 5 by default. */
  readonly drainSeconds?: number;
  /** How long stop() goes on accepting, when it is ready; 0 by default, and never less than 0.3 for one that leaves a mesh. */
  readonly drainDelaySeconds?: number;
  /** During the delay, whether more and more responses end their connections (the default), or every one from the start. */
  readonly drainStrategy?: DrainStrategy;
  /** Where listening sockets come from; by default listeners bind them. */
  readonly host?: ListenerHost;
  /** Limits that hold for the process; by default those of one thread. */
  readonly limits?: Limits;
  /** How long first EDS answers are waited for, in milliseconds; 15000 by default. */
  readonly fetchTimeoutMs?: number;
  /** Who says which endpoints pass their checks, when not the proxy's own monitor alone. */
  readonly watchHealth?: (own: HealthWatcher, pools: PoolRegistry) => HealthWatcher;
  /** Makes the discovery client; the real one by default. */
  readonly connect?: (options: DiscoveryClientOptions) => DiscoveryFeed;
  /** Who this workload is. A worker thread has none, but `hasIdentity`: its secrets come from the main thread. */
  readonly identity?: Identity | null;
  readonly hasIdentity?: boolean;
  /** Folders and packages that extensions are loaded from; none by default. */
  readonly extensions?: readonly string[];
  /** Who looks whether one is stuck; nobody by default. */
  readonly extensionWatch?: ExtensionWatch;
}

/** Envoy's `--drain-strategy`. */
export type DrainStrategy = 'gradual' | 'immediate';

/** Static configuration that cannot be put in force: the process should end. */
export class StartFailed extends Error {
  override readonly name = 'StartFailed';
}

const DRAIN_SECONDS = 5;
const DRAIN_POLL_MS = 50;
/** How long a sidecar that leaves a mesh at least accepts connections. */
const LEAVE_MS = 300;
/** A tick of the wheel: deadlines are met within it. */
const WHEEL_TICK_MS = 10;

export class Proxy {
  readonly log: Log;
  readonly clock: Clock;
  readonly bootstrap: Bootstrap;
  readonly startedMs: number;
  readonly registry: Registry = new Registry();
  readonly stats: ProxyStats;
  readonly books: Books = {
    clusters: new Book('cluster'),
    endpoints: new Book('endpoint'),
    listeners: new Book('listener'),
    routes: new Book('route'),
  };
  readonly store: StateStore;
  readonly secrets: SecretStore;
  readonly listeners: ListenerSet;
  readonly hosts: FetchedHosts = new FetchedHosts({
    subscribe: (typeUrl, names) => this.feed.subscribe(typeUrl, names),
    install: (config) => this.listeners.putRoutes(config),
  });
  readonly engine: Engine;
  readonly health: HealthMonitor;
  readonly outliers: OutlierWatch;
  readonly limits: Limits;
  readonly #readiness: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Resolves when the proxy is ready for the first time; never when it is stopped before. */
  readonly ready: Promise<void> = this.#readiness.promise;
  /** Errors and warnings of the bootstrap; with an error start() fails. */
  readonly problems: readonly Problem[];
  readonly dynamic: DynamicResources | null;
  readonly #compiled: CompiledBootstrap;
  readonly #options: ProxyOptions;
  readonly #logFiles: LogFiles;
  readonly #spans: SpanPipeline;
  readonly #remote: SidecarRemoteCalls;
  readonly identity: Identity | null;
  readonly feed: ProxyFeed;
  #isReady = false;
  #areStaticsReady = false;
  #isDraining = false;
  #areSocketsShared = false;
  #hasFailedHealthcheck = false;
  #stopping: Promise<void> | null = null;
  readonly #endDelay: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(options: ProxyOptions) {
    const { bootstrap, log, clock = systemClock, random = Math.random } = options;
    this.#options = options;
    this.log = log;
    this.clock = clock;
    this.limits = options.limits ?? new LocalLimits();
    this.bootstrap = bootstrap;
    this.startedMs = clock.wall();
    const wheel = new TimerWheel(clock, WHEEL_TICK_MS);
    const pools = new PoolRegistry(clock, wheel);
    const counters = newEngineCounters();
    this.engine = { clock, wheel, log, random, pools, counters, chain: new ChainBook(this.limits) };
    this.#logFiles = new LogFiles({ registry: this.registry });
    this.health = new HealthMonitor({ engine: this.engine, log: log.child('health'), logFiles: this.#logFiles });
    this.outliers = new OutlierWatch({
      clock,
      random,
      log: log.child('outlier'),
      onEvent: outlierLogOf(bootstrap, this.#logFiles, clock),
    });
    const health = options.watchHealth?.(this.health, pools) ?? this.health;
    const { outliers } = this;
    const dependencies = { clock, random, resolver: createNodeResolver(), log: log.child('cluster'), health, outliers };
    this.store = new StateStore(dependencies, pools, homeOf(bootstrap));
    this.identity = options.identity ?? null;
    this.secrets = new SecretStore(
      log.child('secret'),
      secretOriginOf(bootstrap, options.hasIdentity ?? this.identity !== null),
    );
    pools.secureTarget = (cluster, endpoint, origin) => secureTargetOf(this.books, cluster.name, endpoint, origin);
    this.stats = this.#makeStats();
    this.#remote = new SidecarRemoteCalls({ engine: this.engine, clusterRef: this.store.ref, stats: this.stats });
    this.stats.remoteOf = (cluster) => this.#remote.numbersOf(cluster);
    this.#spans = new SpanPipeline({ registry: this.registry, log });
    const runtime = readRuntime(bootstrap.layeredRuntime);
    this.engine.counters.downstreamMax = connectionLimitOf(bootstrap.overloadManager, runtime);
    const context: CompileContext = {
      clusterRef: this.store.ref,
      clock,
      random,
      runtime,
      node: readNodeIdentity(bootstrap.node),
      registry: this.registry,
      stats: this.stats,
      logFiles: this.#logFiles,
      spans: this.#spans,
      secrets: this.secrets,
      extensions: new ExtensionStore(options.extensions ?? [], log.child('extension'), options.extensionWatch),
      grpcClusters: grpcClustersOf(bootstrap),
      localCluster: bootstrap.clusterManager?.localClusterName ?? '',
      // What is wrong with it is told by compileBootstrap.
      sourceAddresses: compileUpstreamBind(bootstrap.clusterManager?.upstreamBindConfig, [], ''),
      limits: this.limits,
      remote: this.#remote,
      hosts: this.hosts.demand,
    };
    this.listeners = new ListenerSet({
      engine: this.engine,
      context,
      routesOf: (name) => this.hosts.whole(this.books.routes.get(name)?.config.message),
      drainMs: (options.drainSeconds ?? DRAIN_SECONDS) * 1000,
      host: options.host ?? null,
    });
    this.#compiled = compileBootstrap(bootstrap, context);
    this.problems = this.#compiled.problems;
    this.feed = new ProxyFeed(this, this.#compiled.dynamic, options);
    this.dynamic = this.#compiled.dynamic === null ? null : this.#makeDynamic(context);
  }

  /** The address of the admin server that the bootstrap asks for; null for none. */
  get adminAddress(): CompiledBootstrap['admin'] {
    return this.#compiled.admin;
  }

  /** True from the first moment that the whole first configuration was in force. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get state(): ProxyState {
    if (this.#isDraining || this.#hasFailedHealthcheck) return 'DRAINING';
    if (this.#isReady && this.identity?.isExpired !== true) return 'LIVE';
    return this.#areStaticsReady ? 'INITIALIZING' : 'PRE_INITIALIZING';
  }

  setHealthcheckFailed(isFailed: boolean): void {
    this.#hasFailedHealthcheck = isFailed;
  }

  /** Puts the static resources in force and begins discovery. Rejects with StartFailed when a static listener cannot listen. */
  async start(): Promise<void> {
    const { clusters } = this.#compiled;
    const now = this.clock.wall();
    for (const { message, value } of clusters) {
      this.store.put(value);
      const config = { message, origin: 'static', version: '', updatedMs: now } as const;
      this.books.clusters.accept(message.name, { config, bytes: NO_BYTES, value });
    }
    this.identity?.start(this.secrets, this.registry);
    this.feed.open(this.dynamic);
    await this.#clustersWarm();
    const starting = this.#startListeners();
    this.dynamic?.followStatics();
    const failures = (await Promise.all(starting)).filter((message) => message !== null);
    if (failures.length > 0) {
      await this.stop(0);
      throw new StartFailed(failures.join('\n'));
    }
    this.#areStaticsReady = true;
    this.#checkReady();
  }

  /** Stops accepting connections; requests under way are answered, connections then close. */
  drain(): void {
    this.#isDraining = true;
    this.listeners.drain();
  }

  /** Graceful: accepts on, while every response is its connection's last. */
  drainListeners({ isGraceful, inboundOnly }: { readonly isGraceful: boolean; readonly inboundOnly: boolean }): void {
    for (const [, listener] of this.listeners.live()) {
      if (inboundOnly && !listener.isInbound) continue;
      if (isGraceful) listener.drainGracefully();
      else listener.drain();
    }
  }

  /**
   * Fails readiness, goes on accepting for the drain delay, stops accepting, waits for connections to end, and
   * ends everything when `drainSeconds` are over. Without `hasDelay` it accepts no longer than a mesh needs to hear
   * of it. Safe to call twice.
   */
  stop(drainSeconds: number = this.#options.drainSeconds ?? DRAIN_SECONDS, hasDelay = true): Promise<void> {
    const delaySeconds = hasDelay ? (this.#options.drainDelaySeconds ?? 0) : 0;
    this.#stopping ??= this.#stop(drainSeconds * 1000, delaySeconds * 1000);
    return this.#stopping;
  }

  /** True: another process listens on the same sockets, which are left to it as they are. */
  shareSockets(isShared: boolean): void {
    this.#areSocketsShared = isShared;
  }

  /** As stop(), when a successor accepts on the same sockets already: this one stops to at once, even in a stop(). */
  yieldToSuccessor(): Promise<void> {
    this.#areSocketsShared = true;
    this.#endDelay.resolve();
    this.#stopping ??= this.#stop((this.#options.drainSeconds ?? DRAIN_SECONDS) * 1000, 0);
    return this.#stopping;
  }

  async #stop(drainMs: number, wantedMs: number): Promise<void> {
    this.#isDraining = true;
    const deadlineMs = this.clock.now() + drainMs;
    // Ending the stream takes this workload out of the mesh; others hear of it a moment later.
    this.feed.close();
    if (drainMs === 0 || this.#areSocketsShared) this.drain();
    else {
      const delayMs = this.#isReady ? Math.min(Math.max(wantedMs, this.feed.isJoined ? LEAVE_MS : 0), drainMs) : 0;
      this.listeners.drainGracefully(this.#options.drainStrategy === 'immediate' ? 0 : delayMs);
      const timer = setTimeout(this.#endDelay.resolve, delayMs);
      if (delayMs > 0) await this.#endDelay.promise;
      clearTimeout(timer);
      // A successor that came meanwhile holds the same sockets: what is done to them is done to it.
      if (this.#areSocketsShared) this.drain();
      else await this.listeners.stopAccepting();
    }
    while (this.listeners.active > 0 && this.clock.now() < deadlineMs) {
      await pause(DRAIN_POLL_MS);
    }
    this.dynamic?.close();
    this.identity?.close();
    this.listeners.destroy();
    this.#remote.close();
    this.store.close();
    this.secrets.close();
    this.engine.pools.destroy();
    await Promise.allSettled([this.#spans.close(), this.#logFiles.close()]);
  }

  #startListeners(): Promise<string | null>[] {
    const now = this.clock.wall();
    return this.#compiled.listeners.map(async ({ message, value }) => {
      const { name } = value.config;
      const config = { message, origin: 'static', version: '', updatedMs: now } as const;
      this.books.listeners.accept(name, { config, bytes: NO_BYTES, value });
      for (const { inline } of value.routes) {
        if (inline === null) continue;
        const routes = { message: inline, origin: 'static', version: '', updatedMs: now } as const;
        this.books.routes.accept(`${name}/${inline.name}`, { config: routes, bytes: NO_BYTES, value: true });
      }
      const result = await this.listeners.put(name, value);
      return result.kind === 'failed' ? `listener ${name}: ${result.message}` : null;
    });
  }

  #makeStats(): ProxyStats {
    const stats = new ProxyStats(() => this.store.clusters.values());
    stats.addNumbers(() => this.#numbers());
    stats.healthOf = this.health.numbersOf;
    stats.outlierOf = (cluster) => outlierNumbers(this.outliers.tallyOf(cluster));
    stats.attachTo(this.registry);
    return stats;
  }

  #makeDynamic(context: CompileContext): DynamicResources {
    const { fetchTimeoutMs } = this.#options;
    return new DynamicResources({
      context,
      store: this.store,
      listeners: this.listeners,
      hosts: this.hosts,
      books: this.books,
      clock: this.clock,
      log: this.log.child('xds'),
      subscribe: (typeUrl, names) => this.feed.subscribe(typeUrl, names),
      onProgress: () => this.#checkReady(),
      ...(fetchTimeoutMs === undefined ? {} : { fetchTimeoutMs }),
    });
  }

  /** Static listeners listen when the clusters of the bootstrap are known, as Envoy has it. */
  async #clustersWarm(): Promise<void> {
    const warming = [...this.store.clusters.values()].map(
      (cluster) => new Promise<void>((resolve) => cluster.onWarm(resolve)),
    );
    await Promise.all(warming);
  }

  /** What is counted once per process, under Envoy's names where Envoy has it. */
  #numbers(): Numbers {
    return [
      ['server.live', 'gauge', this.state === 'LIVE' ? 1 : 0],
      ['server.uptime', 'gauge', Math.floor((this.clock.wall() - this.startedMs) / 1000)],
      ['server.total_connections', 'gauge', this.listeners.active],
      ['cluster_manager.active_clusters', 'gauge', this.store.clusters.size],
      ['listener_manager.total_listeners_active', 'gauge', this.listeners.live().length],
      ['upstream_rq_retry_stale', 'counter', this.engine.counters.upstreamStaleRetries],
    ];
  }

  #checkReady(): void {
    if (this.#isReady || !this.#areStaticsReady || this.#stopping !== null) return;
    const plan = this.#compiled.dynamic;
    if (this.dynamic !== null && plan !== null) {
      if (plan.hasClusters && !this.dynamic.areClustersReady) return;
      if (plan.hasListeners && !this.dynamic.areListenersReady) return;
    }
    this.#isReady = true;
    this.#readiness.resolve();
  }
}

const NO_BYTES = new Uint8Array();

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
