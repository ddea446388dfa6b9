// Dynamic resources: takes each response of the discovery client, keeps what is good, answers with
// what is not, and says what to ask for next. A refused resource leaves its last good version in
// force; the others of the same response are applied all the same.
//
//   CDS ─► StateStore.put, asks EDS ─► clusters warm ─┐
//   LDS ─► compile, asks RDS ────────────────────────►├─► ListenerSet.put ─► listening
//   RDS ─► ListenerSet.putRoutes                      EDS ─► StateStore.putEndpoints
import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { error, formatProblem, refuses, warning, type Problem } from '../base/problem.ts';
import type { LiveCluster } from '../resilience/cluster.ts';
import { ClusterSchema } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
  VIRTUAL_HOST_TYPE,
  type TypeUrl,
} from '../xds/type-url.ts';
import { typeNameOf } from '../xds/unpack.ts';
import type { ReceivedResource, Refusal, Update } from '../xds/update.ts';
import { extensions } from './bootstrap-registry.ts';
import { collectGrpcClusters } from './compile-bootstrap.ts';
import { compileClusterSettings, compileListener, type CompileContext, type Compiled } from './compile.ts';
import { durationMs } from './compile-duration.ts';
import type { CompiledListener } from './compile-listener.ts';
import type { FetchedHosts } from './fetched-hosts.ts';
import type { ListenerSet } from './proxy-listeners.ts';
import type { Book } from './snapshot.ts';
import type { Books } from './books.ts';
import { ADS } from './secrets.ts';
import type { StateStore } from './state-store.ts';
import { findUnsupported } from './unsupported.ts';

export interface DynamicOptions {
  readonly context: CompileContext;
  readonly store: StateStore;
  readonly listeners: ListenerSet;
  readonly hosts: FetchedHosts;
  readonly books: Books;
  readonly clock: Clock;
  readonly log: Log;
  readonly subscribe: (typeUrl: TypeUrl, names: ReadonlySet<string>) => void;
  /** EDS answers that do not come in this time are waited for no longer; 15000 by default. */
  readonly fetchTimeoutMs?: number;
  /** Called when something may have become ready. */
  readonly onProgress: () => void;
}

const FETCH_TIMEOUT_MS = 15_000;

export class DynamicResources {
  readonly #options: DynamicOptions;
  readonly #versions = new Map<TypeUrl, string>();
  /** Listeners that no first version of is in force yet. */
  readonly #pending = new Set<string>();
  /** Listeners of the first configuration wait for its clusters; null once those are warm. */
  #held: (() => void)[] | null = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #told = new Set<string>();

  constructor(options: DynamicOptions) {
    this.#options = options;
  }

  /** The `version_info` of the newest response of a type; empty before the first. */
  version(typeUrl: TypeUrl): string {
    return this.#versions.get(typeUrl) ?? '';
  }

  /** True when the first answer came, and every listener of it listens or has failed. */
  get areListenersReady(): boolean {
    return this.#versions.has(LISTENER_TYPE) && this.#pending.size === 0;
  }

  /** True when the first answer came and every cluster of it is warm. */
  get areClustersReady(): boolean {
    return this.#versions.has(CLUSTER_TYPE) && [...this.#options.store.clusters.values()].every(({ isWarm }) => isWarm);
  }

  /** No answer about clusters will come: listeners need not wait for one. */
  expectNoClusters(): void {
    this.#versions.set(CLUSTER_TYPE, '');
    this.#clustersWarmed();
  }

  readonly onUpdate = (update: Update): readonly Refusal[] => {
    const refusals = this.#apply(update);
    this.#versions.set(update.typeUrl, update.version);
    for (const { name, problems } of refusals) {
      const first = problems.find(({ severity }) => severity === 'error');
      const message = first === undefined ? '' : formatProblem(first);
      this.#options.log.warning('resource refused', { type: update.typeUrl, name, error: message });
    }
    if (update.typeUrl === CLUSTER_TYPE) this.#clustersWarmed();
    if (update.typeUrl === CLUSTER_TYPE || update.typeUrl === LISTENER_TYPE) this.#warnOfHttp2();
    this.#options.onProgress();
    return refusals;
  };

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#held = null;
  }

  #apply(update: Update): readonly Refusal[] {
    switch (update.typeUrl) {
      case CLUSTER_TYPE:
        return this.#applyClusters(update);
      case ENDPOINT_TYPE:
        return this.#applyEndpoints(update);
      case LISTENER_TYPE:
        return this.#applyListeners(update);
      case ROUTE_TYPE:
        return this.#applyRoutes(update);
      case VIRTUAL_HOST_TYPE:
        return this.#options.hosts.apply(update);
      case SECRET_TYPE:
        return this.#options.context.secrets.apply(ADS, update);
      default:
        return [];
    }
  }

  #applyClusters({ changed, removed }: Update): readonly Refusal[] {
    const { store, books, context, log } = this.#options;
    const refusals: Refusal[] = [];
    for (const name of removed) {
      if (books.clusters.isStatic(name)) continue;
      books.clusters.remove(name);
      store.remove(name);
    }
    for (const received of changed) {
      const { name } = received;
      if (books.clusters.isStatic(name)) {
        log.warning('a cluster of the bootstrap cannot be replaced', { cluster: name });
        continue;
      }
      this.#take(books.clusters, received, {
        schema: ClusterSchema,
        refusals,
        apply: (message) => {
          const { value, problems } = compileClusterSettings(message, { ...context, grpcClusters: null });
          const known = books.clusters.get(name);
          if (value !== null && known !== undefined) value.transport?.follow(known.value.transport);
          if (value !== null) this.#follow(store.put(value));
          return { value, problems };
        },
      });
    }
    this.#subscribeEndpoints();
    this.#subscribeSecrets();
    return refusals;
  }

  /** Once listeners are known: which clusters speak HTTP/2 although no gRPC service of ours uses them. */
  #warnOfHttp2(): void {
    if (!this.#versions.has(LISTENER_TYPE)) return;
    const { store, books, context } = this.#options;
    const speaking = [...store.clusters.values()].filter(({ settings }) => settings.protocol === 'http2');
    if (speaking.length === 0) return;
    const names = new Set(context.grpcClusters);
    for (const { config } of books.listeners.entries()) collectGrpcClusters(config.message, names);
    for (const { name } of speaking) {
      if (names.has(name)) continue;
      this.#warn('cluster', name, [
        warning('http2_protocol_options', 'requests are sent as HTTP/1.1 yet', 'leave it out'),
      ]);
    }
  }

  /** Static clusters and listeners ask for what they need in the same way; once, when they are there. */
  followStatics(): void {
    for (const cluster of this.#options.store.clusters.values()) this.#follow(cluster);
    this.#subscribeEndpoints();
    this.#subscribeRoutes();
    this.#subscribeSecrets();
  }

  #subscribeSecrets(): void {
    const { subscribe, context } = this.#options;
    subscribe(SECRET_TYPE, context.secrets.names(ADS));
  }

  #follow(cluster: LiveCluster): void {
    const { discovery } = cluster.settings;
    // Another cluster of the same service may have its answer already; the server will not repeat it.
    const known = discovery.kind === 'eds' ? this.#options.books.endpoints.get(discovery.serviceName) : undefined;
    if (known !== undefined) cluster.updateEndpoints(known.config.message);
    if (cluster.isWarm) return;
    cluster.onWarm(() => this.#clustersWarmed());
    if (discovery.kind === 'eds') this.#giveUpLater(cluster);
  }

  /** ConfigSource.initial_fetch_timeout; 0 waits for ever. */
  #giveUpLater(cluster: LiveCluster): void {
    const { edsClusterConfig } = cluster.settings.source;
    const fallbackMs = this.#options.fetchTimeoutMs ?? FETCH_TIMEOUT_MS;
    const waitMs = durationMs(edsClusterConfig?.edsConfig?.initialFetchTimeout, fallbackMs);
    if (waitMs === 0) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      cluster.giveUpWaiting();
    }, waitMs);
    this.#timers.add(timer.unref());
  }

  #subscribeEndpoints(): void {
    const { store, subscribe, books } = this.#options;
    const names = store.serviceNames();
    // What nobody asks for is not kept: it will be sent again when somebody does.
    for (const name of books.endpoints.names()) if (!names.has(name)) books.endpoints.remove(name);
    subscribe(ENDPOINT_TYPE, names);
  }

  #clustersWarmed(): void {
    if (!this.areClustersReady || this.#held === null) return;
    const held = this.#held;
    this.#held = null;
    for (const proceed of held) proceed();
    this.#options.onProgress();
  }

  #applyEndpoints({ changed }: Update): readonly Refusal[] {
    const { store, books } = this.#options;
    const refusals: Refusal[] = [];
    for (const received of changed) {
      this.#take(books.endpoints, received, {
        schema: ClusterLoadAssignmentSchema,
        refusals,
        apply: (message) => {
          const problems: Problem[] = [];
          const walk = { registry: extensions, problems, path: '' };
          findUnsupported(ClusterLoadAssignmentSchema, message, walk);
          if (!refuses(problems)) problems.push(...store.putEndpoints(message));
          return { value: APPLIED, problems };
        },
      });
    }
    return refusals;
  }

  #applyListeners({ changed, removed }: Update): readonly Refusal[] {
    const { listeners, books, context, log } = this.#options;
    const refusals: Refusal[] = [];
    // Removals first: a new listener may take the address of one that goes.
    for (const name of removed) {
      if (books.listeners.isStatic(name)) continue;
      books.listeners.remove(name);
      this.#pending.delete(name);
      listeners.remove(name);
    }
    for (const received of changed) {
      const { name } = received;
      if (books.listeners.isStatic(name)) {
        log.warning('a listener of the bootstrap cannot be replaced', { listener: name });
        continue;
      }
      this.#take(books.listeners, received, {
        schema: ListenerSchema,
        refusals,
        apply: (message) => {
          const { value, problems } = compileListener(message, context);
          if (value !== null) this.#begin(name, received.version, value);
          return { value, problems };
        },
      });
    }
    this.#subscribeRoutes();
    this.#subscribeSecrets();
    return refusals;
  }

  #begin(name: string, version: string, compiled: CompiledListener): void {
    const { listeners, books, clock, onProgress } = this.#options;
    this.#pending.add(name);
    const put = async (): Promise<void> => {
      const result = await listeners.put(name, compiled);
      if (result.kind === 'superseded') return;
      this.#pending.delete(name);
      if (result.kind === 'failed') {
        this.#options.log.error('cannot listen', { listener: name, error: result.message });
        const problems = [error('address', `cannot listen: ${result.message}`)];
        books.listeners.refuse({ name, version, problems, attemptedMs: clock.wall() });
      }
      onProgress();
    };
    if (this.#held === null) void put();
    else {
      this.#held.push(() => {
        // It may have been replaced or removed while it waited.
        if (books.listeners.get(name)?.value === compiled) void put();
      });
    }
  }

  #subscribeRoutes(): void {
    const { subscribe, books } = this.#options;
    const names = this.routeNames();
    for (const name of books.routes.names()) {
      if (!books.routes.isStatic(name) && !names.has(name)) books.routes.remove(name);
    }
    subscribe(ROUTE_TYPE, names);
    this.#options.hosts.keep(names);
  }

  /** Names that listeners ask RDS for, also those that are held back. */
  routeNames(): ReadonlySet<string> {
    const { books } = this.#options;
    const compiled = books.listeners.entries().flatMap(({ value }) => value.routes);
    const names = [...compiled, ...this.#options.listeners.routes()];
    return new Set(names.flatMap(({ rdsName }) => (rdsName === null ? [] : [rdsName])));
  }

  #applyRoutes({ changed }: Update): readonly Refusal[] {
    const { hosts, books } = this.#options;
    const refusals: Refusal[] = [];
    for (const received of changed) {
      this.#take(books.routes, received, {
        schema: RouteConfigurationSchema,
        refusals,
        apply: (message) => {
          const problems: Problem[] = [];
          findUnsupported(RouteConfigurationSchema, message, { registry: extensions, problems, path: '' });
          if (!refuses(problems)) problems.push(...hosts.rebase(message));
          return { value: APPLIED, problems };
        },
      });
    }
    return refusals;
  }

  /** Decodes one resource, has `apply` use it, and books how that went. */
  #take<Desc extends DescMessage, Value>(
    book: Book<MessageShape<Desc>, Value>,
    received: ReceivedResource,
    { schema, refusals, apply }: Taking<Desc, Value>,
  ): void {
    const { name, version, resource } = received;
    if (book.holds(name, resource.value)) {
      book.forgive(name);
      return;
    }
    const attemptedMs = this.#options.clock.wall();
    const message = decode(schema, received);
    const { value, problems } = message === null ? UNDECODABLE : apply(message);
    if (message === null || value === null || refuses(problems)) {
      refusals.push({ name, problems });
      book.refuse({ name, version, problems, attemptedMs });
      return;
    }
    this.#warn(book.kind, name, problems);
    const config = { message, origin: 'dynamic', version, updatedMs: attemptedMs } as const;
    book.accept(name, { config, bytes: resource.value, value });
  }

  /** Says what has no effect, once for each kind of thing: a mesh has a thousand routes that all say the same. */
  #warn(kind: string, name: string, problems: readonly Problem[]): void {
    for (const problem of problems) {
      const field = problem.path.slice(problem.path.lastIndexOf('.') + 1);
      const key = `${kind} ${field} ${problem.message}`;
      if (this.#told.has(key) || this.#told.size >= WARNINGS_MAX) continue;
      this.#told.add(key);
      this.#options.log.warning('resource accepted with a doubt', { kind, name, problem: formatProblem(problem) });
    }
  }
}

/** Distinct warnings that are remembered as told. */
const WARNINGS_MAX = 1000;

interface Taking<Desc extends DescMessage, Value> {
  readonly schema: Desc;
  /** A refusal is added here. */
  readonly refusals: Refusal[];
  /** Puts the message in force; null when it is refused. */
  readonly apply: (message: MessageShape<Desc>) => Compiled<Value>;
}

/** The value of resources that live elsewhere. */
const APPLIED = true;

const UNDECODABLE = { value: null, problems: [error('', 'the bytes are not a message of this type')] };

function decode<Desc extends DescMessage>(schema: Desc, { resource }: ReceivedResource): MessageShape<Desc> | null {
  if (typeNameOf(resource) !== schema.typeName) return null;
  try {
    return fromBinary(schema, resource.value);
  } catch {
    // Bytes of another program: a refusal says so.
    return null;
  }
}
