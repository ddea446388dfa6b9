// Turns one received resource into what runs, or into Problems: checks for what we do not support,
// then calls the compilers. Nothing here is live and nothing is remembered; proxy.ts publishes the
// results. A resource that comes back null was refused and its last good version stays in force.
import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { Clock } from '../base/clock.ts';
import { error, refuses, type Problem } from '../base/problem.ts';
import type { Limits } from '../base/shared-limits.ts';
import type { LogFiles } from '../observe/log-file.ts';
import type { NodeIdentity } from '../observe/node-identity.ts';
import type { ProxyStats } from '../observe/proxy-stats.ts';
import type { Registry } from '../observe/registry.ts';
import type { SpanPipeline } from '../observe/span-pipeline.ts';
import type { ClusterLimits, ClusterRef } from '../plan/cluster.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { HostLookup } from '../plan/host-lookup.ts';
import type { RemoteCalls } from '../plan/remote-call.ts';
import type { ClusterSettings } from '../resilience/cluster-settings.ts';
import { compileCluster } from '../resilience/compile.ts';
import { readConcurrencyShare } from '../resilience/concurrency-share.ts';
import { compileLimits } from '../resilience/limits.ts';
import { readRetryConstraint } from '../resilience/retry-constraint.ts';
import type { TlsTally } from '../tls/tls-tally.ts';
import { ClusterSchema, type Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema, type Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema, type RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { extensions } from './bootstrap-registry.ts';
import { compileListenerConfig, join, type CompiledListener } from './compile-listener.ts';
import type { CompiledRoutes, ManagerRoutes } from './compile-manager.ts';
import { compileClusterTransport, type ClusterTransport } from './cluster-transport.ts';
import type { ExtensionStore } from './extension-store.ts';
import type { SecretStore } from './secrets.ts';
import { findUnsupported } from './unsupported.ts';

/** What the compilers share for the life of the process. */
export interface CompileContext {
  readonly clusterRef: (name: string) => ClusterRef;
  /** The cluster that this process is a member of (bootstrap cluster_manager.local_cluster_name); absent or empty: none is named. */
  readonly localCluster?: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly runtime: ReadonlyMap<string, number>;
  readonly node: NodeIdentity;
  readonly registry: Registry;
  readonly stats: ProxyStats;
  readonly logFiles: LogFiles;
  readonly spans: SpanPipeline;
  readonly secrets: SecretStore;
  readonly extensions: ExtensionStore;
  /**
   * Clusters that gRPC services of the bootstrap use: they alone may speak HTTP/2. Null where that is not
   * known, as in CDS, which comes before the listeners that name such a cluster: proxy-dynamic.ts warns then.
   */
  readonly grpcClusters: ReadonlySet<string> | null;
  /** Where clusters that do not say it themselves dial from (bootstrap cluster_manager.upstream_bind_config). */
  readonly sourceAddresses: readonly string[];
  /** Budgets and token buckets that hold for all threads together; their time is that of `clock`. */
  readonly limits: Limits;
  /** What filters ask of other services. */
  readonly remote: RemoteCalls;
  /** Virtual hosts that are fetched on demand; absent: none are. */
  readonly hosts?: HostLookup;
}

/** A cluster's settings with how its endpoints are dialled; null: in plaintext. */
export interface SecuredSettings extends ClusterSettings {
  readonly transport: ClusterTransport | null;
}

/** What a resource became; `value` is null when an error refuses it. */
export interface Compiled<Value> {
  readonly value: Value | null;
  readonly problems: readonly Problem[];
}

export function compileListener(listener: Listener, context: CompileContext, path = ''): Compiled<CompiledListener> {
  const env = newEnv(context);
  check(ListenerSchema, listener, env, path);
  if (refuses(env.problems)) return finish<never>(null, env);
  const compiled = compileListenerConfig(listener, { env, context, path });
  for (const routes of compiled?.routes ?? []) {
    if (routes.inline === null) continue;
    const inline = routes.compile(routes.inline, env, routes.path);
    routes.ref.table = inline?.table ?? null;
    routes.plans = inline?.plans ?? [];
  }
  return finish(compiled, env);
}

export function compileClusterSettings(
  cluster: Cluster,
  context: CompileContext,
  path = '',
): Compiled<SecuredSettings> {
  const env = newEnv(context);
  check(ClusterSchema, cluster, env, path);
  if (refuses(env.problems)) return finish<never>(null, env);
  const compiled = compileCluster(cluster, env, path);
  const { secrets, stats } = context;
  const tally = (): TlsTally => stats.tls('cluster', compiled?.statName ?? cluster.name);
  const transport = compileClusterTransport(cluster, { secrets, problems: env.problems, path, tally });
  const sourceAddresses =
    cluster.upstreamBindConfig === undefined ? context.sourceAddresses : (compiled?.sourceAddresses ?? []);
  const limits = compileClusterLimits(cluster, { context, problems: env.problems, path });
  const settings = compiled === null ? null : Object.freeze({ ...compiled, transport, sourceAddresses, limits });
  checkEndpointSource(cluster, env, path);
  if (settings?.protocol === 'http2' && context.grpcClusters?.has(cluster.name) === false) {
    const at = path === '' ? 'typed_extension_protocol_options' : `${path}.typed_extension_protocol_options`;
    env.problems.push(error(at, 'HTTP/2 upstreams are not supported yet', 'write http_protocol_options'));
  }
  return finish(settings, env);
}

/** Circuit breakers and retry budgets, counted for all threads. */
function compileClusterLimits(
  cluster: Cluster,
  {
    context,
    problems,
    path,
  }: { readonly context: CompileContext; readonly problems: Problem[]; readonly path: string },
): ClusterLimits {
  const ref = context.clusterRef(cluster.name);
  return compileLimits(cluster.circuitBreakers, {
    clusterName: cluster.name,
    endpoints: () => ref.cluster?.endpoints ?? [],
    limits: context.limits,
    clock: context.clock,
    tally: context.stats.cluster(cluster.name).limits,
    problems,
    path: join(path, 'circuit_breakers'),
    constraint: readRetryConstraint(cluster, problems, path),
    concurrency: readConcurrencyShare(cluster, problems, path),
  });
}

function checkEndpointSource({ edsClusterConfig }: Cluster, env: CompileEnv, path: string): void {
  const specifier = edsClusterConfig?.edsConfig?.configSourceSpecifier.case;
  if (specifier === undefined || specifier === 'ads' || specifier === 'self') return;
  const at = join(path, 'eds_cluster_config.eds_config');
  env.problems.push(error(at, 'only ADS is supported as a source of endpoints', 'write ads: {}'));
}

/** One RouteConfiguration as one manager runs it. */
export function compileRoutes(
  config: RouteConfiguration,
  routes: ManagerRoutes,
  context: CompileContext,
  path = '',
): Compiled<CompiledRoutes> {
  const env = newEnv(context);
  check(RouteConfigurationSchema, config, env, path);
  if (refuses(env.problems)) return finish<never>(null, env);
  return finish(routes.compile(config, env, path), env);
}

/** What one compilation works with; its Problems start empty. */
export function newEnv(context: Pick<CompileContext, 'clusterRef' | 'random' | 'runtime'>): CompileEnv {
  return {
    problems: [],
    clusterRef: context.clusterRef,
    random: context.random,
    runtimeNumber: (key, fallback) => context.runtime.get(key) ?? fallback,
  };
}

function check(schema: DescMessage, message: Message, env: CompileEnv, path: string): void {
  findUnsupported(schema, message, { registry: extensions, problems: env.problems, path });
}

function finish<Value>(value: Value | null, env: CompileEnv): Compiled<Value> {
  // A compiler that joins paths by itself begins with a point where the resource stands alone.
  const problems = distinct(env.problems.map((problem) => ({ ...problem, path: problem.path.replace(/^\./, '') })));
  return { value: refuses(problems) ? null : value, problems };
}

/** A compiler may say the same of a field as the table of supported fields does: the first word counts. */
export function distinct(problems: readonly Problem[]): readonly Problem[] {
  const seen = new Set<string>();
  return problems.filter((problem) => {
    const key = `${problem.severity} ${problem.path}`;
    if (problem.path !== '' && problem.severity === 'warning' && seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
