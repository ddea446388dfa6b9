// The data plane on several threads, seen from the main thread, which serves no traffic: it keeps the discovery stream,
// compiles every update first (what it refuses is refused), hands the bytes of it to the workers, and adds up
// what they count. A worker that crashes is started again after a pause; what it held is given back, what it
// counted stays counted, and the others serve on.
import { toBinary } from '@bufbuild/protobuf';
import { createBackoff, type Backoff } from '../../base/backoff.ts';
import type { Log } from '../../base/log.ts';
import { LocalLimits, SharedLimits, type Limits } from '../../base/shared-limits.ts';
import { BootstrapSchema, type Bootstrap } from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { SecretSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
  VIRTUAL_HOST_TYPE,
} from '../../xds/type-url.ts';
import type { Update } from '../../xds/update.ts';
import { DiscoveryClient, type DiscoveryClientOptions } from '../discovery.ts';
import type { ListenerHost } from '../listener-host.ts';
import type { DiscoveryFeed } from '../proxy-feed.ts';
import type { DrainStrategy, Proxy } from '../proxy.ts';
import type { Provided } from '../provided-secrets.ts';
import type { Book } from '../snapshot.ts';
import { isCheckedOnce, verdictsOf } from '../reported-health.ts';
import { ConnectionShares } from './connection-shares.ts';
import { StuckWorkers } from './stuck-workers.ts';
import type { FromWorker, ToWorker, UpdateBytes, WorkerReport, WorkerStart } from './worker-message.ts';
import { afterlife, sumReports } from './worker-report.ts';
import { WorkerSockets } from './worker-sockets.ts';
import { WorkerThread } from './worker-thread.ts';

export interface WorkerPoolOptions {
  /** At least 2. */
  readonly workers: number;
  readonly bootstrap: Bootstrap;
  readonly log: Log;
  readonly drainSeconds: number;
  readonly drainDelaySeconds: number;
  readonly drainStrategy: DrainStrategy;
  readonly extensions?: readonly string[];
  /** All sockets of a predecessor for this address; none by default. */
  readonly inherit?: (address: string, port: number) => readonly number[];
}

const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 10_000;
/** Who lived for so long may crash without a longer pause than the first. */
const STABLE_MS = 30_000;
/** Workers that have not ended by so long after the deadline are ended. */
const LEAVE_GRACE_MS = 1000;

export class WorkerPool {
  /** For the main thread's Proxy. */
  readonly host: ListenerHost;
  /** Resolves when every worker is ready for the first time. */
  readonly ready: Promise<void>;
  /** Rejects when a worker cannot start before all were ready once; never resolves. */
  readonly failed: Promise<never>;
  restarts = 0;
  readonly #options: WorkerPoolOptions;
  readonly #sockets: WorkerSockets;
  readonly #shares: ConnectionShares;
  readonly #limits: SharedLimits;
  readonly #stuck: StuckWorkers;
  readonly #threads: (WorkerThread | null)[];
  readonly #backoffs: readonly Backoff[];
  readonly #bootstrap: Uint8Array;
  readonly #becomeReady: PromiseWithResolvers<void>;
  readonly #fail: PromiseWithResolvers<never>;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** What a worker that is started later must hear, too. */
  readonly #lasting = new Map<ToWorker['kind'], ToWorker>();
  /** Secrets that were accepted, which stand in no book, by name. */
  readonly #secrets = new Map<string, UpdateBytes['changed'][number]>();
  #secretsVersion = '';
  #proxy: Proxy | null = null;
  #departed: WorkerReport | null = null;
  #refreshing: Promise<void> | null = null;
  #wasReady = false;
  #isLeaving = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    const { workers, inherit = () => [] } = options;
    this.#sockets = new WorkerSockets({ workers, inherit });
    this.host = this.#sockets.mainHost();
    this.#shares = new ConnectionShares(workers);
    this.#limits = new SharedLimits(workers, 0);
    this.#stuck = new StuckWorkers({
      log: options.log.child('extension'),
      ban: (module) => this.broadcast({ kind: 'ban', module }),
    });
    this.#threads = new Array<WorkerThread | null>(workers).fill(null);
    this.#backoffs = this.#threads.map(() => createBackoff({ baseMs: RESTART_MS_MIN, maxMs: RESTART_MS_MAX }));
    this.#bootstrap = toBinary(BootstrapSchema, options.bootstrap);
    this.#becomeReady = Promise.withResolvers();
    this.ready = this.#becomeReady.promise;
    this.#fail = Promise.withResolvers();
    this.failed = this.#fail.promise;
    this.failed.catch(() => {});
  }

  /** True while somebody serves, after all were ready once. */
  get isReady(): boolean {
    return this.#wasReady && this.threads.some(({ isReady }) => isReady);
  }

  /** For the main thread, which takes the parts of divided limits for all, and holds nothing of the others. */
  get mainLimits(): Limits {
    return new LocalLimits((name) => this.#limits.share(name));
  }

  get threads(): readonly WorkerThread[] {
    return this.#threads.filter((thread) => thread !== null);
  }

  /** What workers counted that are no more. */
  get departed(): WorkerReport | null {
    return this.#departed;
  }

  /** Makes the discovery client of the main thread's Proxy, and hands on what it brings. */
  readonly connect = (options: DiscoveryClientOptions): DiscoveryFeed =>
    new DiscoveryClient({
      ...options,
      onUpdate: (update) => {
        const refusals = options.onUpdate(update);
        const bytes = bytesOf(update);
        if (update.typeUrl === SECRET_TYPE) this.#keepSecrets(bytes, new Set(refusals.map(({ name }) => name)));
        for (const thread of this.threads) if (thread.hasJoined) thread.post({ kind: 'update', update: bytes });
        return refusals;
      },
    });

  /** Starts the workers. `proxy` is the main thread's. */
  start(proxy: Proxy): void {
    this.#proxy = proxy;
    proxy.secrets.provided.follow((provided) => this.broadcast(secretMessage(provided)));
    proxy.health.onVerdict = (cluster, { authority }, verdict) => {
      if (isCheckedOnce(cluster)) this.broadcast({ kind: 'verdict', cluster: cluster.name, authority, verdict });
    };
    for (let index = 0; index < this.#options.workers; index++) this.#startWorker(index);
  }

  /** Brings every worker's `report` up to date. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshAll();
    return this.#refreshing;
  }

  async #refreshAll(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.refresh()));
    this.#refreshing = null;
  }

  broadcast(message: ToWorker): void {
    if (message.kind === 'health' || message.kind === 'share') this.#lasting.set(message.kind, message);
    for (const thread of this.threads) thread.post(message);
  }

  /** All workers drain as Proxy.stop() does; resolves when they have ended. Safe to call twice. */
  async leave(drainSeconds: number = this.#options.drainSeconds, hasDelay = true): Promise<void> {
    await this.#leave({ kind: 'leave', drainSeconds, hasDelay, hasSuccessor: false });
  }

  /** Another process accepts on the same sockets; resolves when no worker does any more. */
  async yieldToSuccessor(): Promise<void> {
    void this.#leave({ kind: 'leave', drainSeconds: this.#options.drainSeconds, hasDelay: false, hasSuccessor: true });
    await Promise.all(this.threads.map(({ closed }) => closed));
  }

  async #leave(message: Extract<ToWorker, { kind: 'leave' }>): Promise<void> {
    const { threads } = this;
    if (!this.#isLeaving || message.hasSuccessor) this.broadcast(message);
    this.#isLeaving = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const waitMs = message.drainSeconds * 1000 + LEAVE_GRACE_MS;
    const timer = setTimeout(() => threads.forEach((thread) => void thread.terminate()), waitMs);
    await Promise.all(threads.map(({ ended }) => ended));
    clearTimeout(timer);
    this.#stuck.close();
    this.#sockets.close();
  }

  #startWorker(index: number): void {
    const { workers, drainSeconds, drainDelaySeconds, drainStrategy, log } = this.#options;
    const start: WorkerStart = {
      index,
      workers,
      bootstrap: this.#bootstrap,
      shares: this.#shares.memory,
      limits: this.#limits.memory,
      drainSeconds,
      drainDelaySeconds,
      drainStrategy,
      logLevel: log.level,
      hasIdentity: this.#proxy?.identity != null,
      extensions: this.#options.extensions ?? [],
      running: this.#stuck.begin(index, () => void thread.terminate()),
      bannedExtensions: this.#stuck.banned,
    };
    const thread: WorkerThread = new WorkerThread({
      start,
      onMessage: (from, message) => this.#hear(from, message),
      onEnd: (from, cause) => this.#ended(from, cause),
    });
    for (const other of this.threads) WorkerThread.introduce(thread, other);
    this.#threads[index] = thread;
    for (const message of this.#lasting.values()) thread.post(message);
    for (const provided of this.#proxy?.secrets.provided.all() ?? []) thread.post(secretMessage(provided));
    for (const message of verdictsOf(this.#proxy?.store.clusters.values() ?? [])) thread.post(message);
  }

  #hear(thread: WorkerThread, message: FromWorker): void {
    switch (message.kind) {
      case 'joined':
        for (const update of this.#everything()) thread.post({ kind: 'update', update });
        thread.hasJoined = true;
        return;
      case 'claim':
        void this.#claim(thread, message);
        return;
      case 'ready':
        thread.isReady = true;
        this.#shares.enter(thread.index);
        if (this.threads.every(({ isReady }) => isReady)) {
          this.#wasReady = true;
          this.#becomeReady.resolve();
        }
        return;
      case 'excluded':
        this.#proxy?.health.failPassively(message.cluster, message.authority);
        return;
      case 'hosts':
        this.#wantHosts(thread, message.names);
        return;
      case 'used':
        this.#proxy?.health.markUsed(message.cluster);
        return;
      case 'extension':
        this.#stuck.add(thread.index, message.extension);
        return;
      case 'failed':
        this.#fail.reject(new Error(message.message));
        if (this.#wasReady) void thread.terminate();
        return;
      default:
    }
  }

  async #claim(thread: WorkerThread, { id, address, port }: Extract<FromWorker, { kind: 'claim' }>): Promise<void> {
    try {
      thread.post({ kind: 'claimed', id, claim: await this.#sockets.claim(thread.index, address, port) });
    } catch (cause) {
      thread.post({ kind: 'unclaimed', id, message: cause instanceof Error ? cause.message : String(cause) });
    }
  }

  /** What is known not to be there is said at once: no update will say it again. */
  #wantHosts(thread: WorkerThread, names: readonly string[]): void {
    const demand = this.#proxy?.hosts.demand;
    if (demand === undefined) return;
    demand.want(names);
    const removed = names.filter((name) => demand.isAbsent(name));
    if (removed.length === 0) return;
    thread.post({ kind: 'update', update: { typeUrl: VIRTUAL_HOST_TYPE, version: '', changed: [], removed } });
  }

  #ended(thread: WorkerThread, cause: string): void {
    const { index, report, startedMs } = thread;
    this.#stuck.ended(index);
    this.#shares.leave(index);
    this.#limits.forget(index);
    if (this.#threads[index] === thread && !this.#isLeaving) this.#threads[index] = null;
    if (this.#isLeaving) return;
    if (report !== null) {
      this.#departed = sumReports([...(this.#departed === null ? [] : [this.#departed]), afterlife(report)]);
    }
    const backoff = this.#backoffs[index];
    if (performance.now() - startedMs > STABLE_MS) backoff?.reset();
    const waitMs = Math.round(backoff?.next() ?? RESTART_MS_MAX);
    this.#options.log.error('a worker ended', { worker: index, cause, restartMs: waitMs });
    this.restarts++;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isLeaving) this.#startWorker(index);
    }, waitMs);
    this.#timers.add(timer);
  }

  #keepSecrets({ version, changed, removed }: UpdateBytes, refused: ReadonlySet<string>): void {
    this.#secretsVersion = version;
    for (const name of removed) this.#secrets.delete(name);
    for (const secret of changed) if (!refused.has(secret.name)) this.#secrets.set(secret.name, secret);
  }

  /** All dynamic resources in force, in the order in which they need each other. */
  #everything(): readonly UpdateBytes[] {
    const proxy = this.#proxy;
    const { dynamic = null, books = null } = proxy ?? {};
    if (dynamic === null || books === null) return [];
    const secrets = { typeUrl: SECRET_TYPE, version: this.#secretsVersion, removed: [] };
    const booked: UpdateBytes[] = (
      [
        [CLUSTER_TYPE, books.clusters],
        [ENDPOINT_TYPE, books.endpoints],
        [LISTENER_TYPE, books.listeners],
        [ROUTE_TYPE, books.routes],
      ] as const
    ).flatMap(([typeUrl, book]) => {
      const version = dynamic.version(typeUrl);
      return version === '' ? [] : [{ typeUrl, version, changed: dynamicOf(book), removed: [] }];
    });
    const fetched = bytesOf({
      typeUrl: VIRTUAL_HOST_TYPE,
      version: dynamic.version(VIRTUAL_HOST_TYPE),
      changed: proxy?.hosts.received() ?? [],
      removed: [],
    });
    if (fetched.changed.length > 0) booked.push(fetched);
    return this.#secrets.size === 0 ? booked : [...booked, { ...secrets, changed: [...this.#secrets.values()] }];
  }
}

function dynamicOf(book: Pick<Book<unknown, unknown>, 'names' | 'get'>): UpdateBytes['changed'] {
  return book.names().flatMap((name) => {
    const entry = book.get(name);
    if (entry === undefined || entry.config.origin !== 'dynamic') return [];
    return [{ name, version: entry.config.version, value: entry.bytes }];
  });
}

function secretMessage({ source, name, secret, reason }: Provided): ToWorker {
  const value = secret === null ? null : toBinary(SecretSchema, secret);
  return { kind: 'secret', source, name, value, reason };
}

function bytesOf({ typeUrl, version, changed, removed }: Update): UpdateBytes {
  return {
    typeUrl,
    version,
    changed: changed.map((one) => ({ name: one.name, version: one.version, value: one.resource.value })),
    removed: [...removed],
  };
}
