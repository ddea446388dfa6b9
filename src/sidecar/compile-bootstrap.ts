// Compiles a whole Bootstrap: its static clusters and listeners, and where its dynamic resources come
// from. Pure: nothing listens and nothing is resolved, so `--validate` is this and nothing more.
import { create, isMessage } from '@bufbuild/protobuf';
import { AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import { error, warning, type Problem } from '../base/problem.ts';
import { formatAddress } from '../plan/cluster.ts';
import { BootstrapSchema, type Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  ApiConfigSource_ApiType as ApiType,
  type ApiConfigSource,
  type ConfigSource,
} from '../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { GrpcService_EnvoyGrpcSchema } from '../xds/gen/envoy/config/core/v3/grpc_service_pb.js';
import type { Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { compileUpstreamBind } from '../resilience/upstream-bind.ts';
import type { Variant } from '../xds/update.ts';
import { extensions } from './bootstrap-registry.ts';
import {
  compileClusterSettings,
  compileListener,
  distinct,
  type CompileContext,
  type SecuredSettings,
} from './compile.ts';
import type { CompiledListener } from './compile-listener.ts';
import { checkOverload } from './connection-limit.ts';
import type { ControlAddress } from './discovery.ts';
import { IDENTITY_CLUSTER, type SecretOrigin } from './secrets.ts';
import { findUnsupported } from './unsupported.ts';

/** Where dynamic resources come from. */
export interface DynamicPlan {
  readonly control: readonly ControlAddress[];
  readonly variant: Variant;
  readonly hasClusters: boolean;
  readonly hasListeners: boolean;
}

export interface AdminAddress {
  readonly address: string;
  readonly port: number;
}

export interface StaticResource<Message, Value> {
  readonly message: Message;
  readonly value: Value;
}

export interface CompiledBootstrap {
  readonly clusters: readonly StaticResource<Cluster, SecuredSettings>[];
  readonly listeners: readonly StaticResource<Listener, CompiledListener>[];
  readonly dynamic: DynamicPlan | null;
  readonly admin: AdminAddress | null;
  readonly problems: readonly Problem[];
}

export function compileBootstrap(bootstrap: Bootstrap, context: CompileContext): CompiledBootstrap {
  const problems: Problem[] = [];
  // The static resources are looked at one by one below.
  const frame = create(BootstrapSchema, { ...bootstrap });
  delete frame.staticResources;
  findUnsupported(BootstrapSchema, frame, { registry: extensions, problems, path: '' });
  checkOverload(bootstrap.overloadManager, problems);
  compileUpstreamBind(bootstrap.clusterManager?.upstreamBindConfig, problems, 'cluster_manager.upstream_bind_config');
  const { clusters: allClusters, listeners: allListeners } = bootstrap.staticResources ?? {
    clusters: [],
    listeners: [],
  };
  for (const [index, secret] of (bootstrap.staticResources?.secrets ?? []).entries()) {
    context.secrets.addStatic(secret, problems, `static_resources.secrets[${index}]`);
  }
  const clusters: StaticResource<Cluster, SecuredSettings>[] = [];
  for (const [index, message] of allClusters.entries()) {
    const path = `static_resources.clusters[${index}]`;
    const { value, problems: found } = compileClusterSettings(message, context, path);
    problems.push(...found);
    if (clusters.some((cluster) => cluster.message.name === message.name)) {
      problems.push(error(`${path}.name`, `there are two clusters named ${message.name}`, 'rename one'));
    }
    if (value !== null) clusters.push({ message, value });
  }
  const listeners: StaticResource<Listener, CompiledListener>[] = [];
  for (const [index, message] of allListeners.entries()) {
    const path = `static_resources.listeners[${index}]`;
    const { value, problems: found } = compileListener(message, context, path);
    problems.push(...found);
    if (value === null) continue;
    if (listeners.some((listener) => listener.value.config.name === value.config.name)) {
      problems.push(error(`${path}.name`, `there are two listeners named ${value.config.name}`, 'rename one'));
    }
    listeners.push({ message, value });
  }
  const dynamic = compileDynamic(bootstrap, problems);
  if (dynamic === null) checkNothingIsAsked(clusters, listeners, problems);
  const admin = compileAdmin(bootstrap, problems);
  return { clusters, listeners, dynamic, admin, problems: distinct(problems) };
}

/** Names of the clusters that gRPC services of the bootstrap use: ADS, and Collectors of its managers. */
export function grpcClustersOf(bootstrap: Bootstrap): ReadonlySet<string> {
  const names = new Set<string>();
  collectGrpcClusters(bootstrap.dynamicResources, names);
  collectGrpcClusters(bootstrap.staticResources?.listeners, names);
  for (const { transportSocket, transportSocketMatches } of bootstrap.staticResources?.clusters ?? []) {
    collectGrpcClusters(transportSocket, names);
    collectGrpcClusters(transportSocketMatches, names);
  }
  return names;
}

/** Adds the names of clusters that gRPC services anywhere in `value` use. */
export function collectGrpcClusters(value: unknown, names: Set<string>): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  if (isMessage(value, GrpcService_EnvoyGrpcSchema)) names.add(value.clusterName);
  else if (isMessage(value, AnySchema)) collectGrpcClusters(anyUnpack(value, extensions), names);
  // Routes are many and name no gRPC service.
  else if (!isMessage(value, RouteConfigurationSchema)) {
    for (const inner of Object.values(value)) collectGrpcClusters(inner, names);
  }
}

/** Without ADS, what asks it for endpoints or routes would wait for ever. */
function checkNothingIsAsked(
  clusters: CompiledBootstrap['clusters'],
  listeners: CompiledBootstrap['listeners'],
  problems: Problem[],
): void {
  const asking = [
    ...clusters.filter(({ value }) => value.discovery.kind === 'eds').map(({ value }) => `cluster ${value.name}`),
    ...listeners
      .filter(({ value }) => value.routes.some(({ rdsName }) => rdsName !== null))
      .map(({ value }) => `listener ${value.config.name}`),
  ];
  for (const who of asking) {
    problems.push(error('dynamic_resources.ads_config', `must be set: ${who} asks for resources`, 'write ads_config'));
  }
}

function compileDynamic(bootstrap: Bootstrap, problems: Problem[]): DynamicPlan | null {
  const dynamic = bootstrap.dynamicResources;
  if (dynamic === undefined) return null;
  const hasClusters = usesAds(dynamic.cdsConfig, 'dynamic_resources.cds_config', problems);
  const hasListeners = usesAds(dynamic.ldsConfig, 'dynamic_resources.lds_config', problems);
  const path = 'dynamic_resources.ads_config';
  if (dynamic.adsConfig === undefined) {
    if (!hasClusters && !hasListeners) return null;
    problems.push(error(path, 'must be set where ads is used', 'write api_type: DELTA_GRPC and grpc_services'));
    return null;
  }
  const control = controlOf(dynamic.adsConfig, bootstrap, problems, path);
  if (control === null) return null;
  const { apiType } = dynamic.adsConfig;
  const isDelta = apiType === ApiType.DELTA_GRPC || apiType === ApiType.AGGREGATED_DELTA_GRPC;
  return { control, variant: isDelta ? 'delta' : 'sotw', hasClusters, hasListeners };
}

function usesAds(source: ConfigSource | undefined, path: string, problems: Problem[]): boolean {
  const specifier = source?.configSourceSpecifier.case;
  if (specifier === undefined) return false;
  if (specifier === 'ads') return true;
  problems.push(error(path, 'only ADS is supported as a source', 'write ads: {} and ads_config'));
  return false;
}

function controlOf(
  config: ApiConfigSource,
  bootstrap: Bootstrap,
  problems: Problem[],
  path: string,
): readonly ControlAddress[] | null {
  const service = config.grpcServices[0];
  if (service?.targetSpecifier.case !== 'envoyGrpc') {
    problems.push(error(`${path}.grpc_services`, 'names no cluster', 'write envoy_grpc with cluster_name'));
    return null;
  }
  const { clusterName } = service.targetSpecifier.value;
  const cluster = bootstrap.staticResources?.clusters.find(({ name }) => name === clusterName);
  const targets = cluster === undefined ? [] : targetsOf(cluster);
  const at = `${path}.grpc_services[0].envoy_grpc.cluster_name`;
  for (const { host, port } of targets) {
    if (/^[\w.:-]+$/.test(host) && URL.canParse(`http://${formatAddress(host, port)}`)) continue;
    problems.push(error(at, `${JSON.stringify(host)} is not the name of a host`, 'write a name or an IP address'));
    return null;
  }
  if (targets.length > 0) return targets;
  const text = `there is no static cluster ${JSON.stringify(clusterName)} with endpoints`;
  problems.push(error(at, text, 'add it to static_resources.clusters'));
  return null;
}

function targetsOf(cluster: Cluster): readonly ControlAddress[] {
  const targets: ControlAddress[] = [];
  for (const { lbEndpoints } of cluster.loadAssignment?.endpoints ?? []) {
    for (const { hostIdentifier } of lbEndpoints) {
      const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
      if (address?.case === 'pipe') targets.push({ host: 'localhost', port: 80, socketPath: address.value.path });
      if (address?.case !== 'socketAddress' || address.value.portSpecifier.case !== 'portValue') continue;
      targets.push({ host: address.value.address, port: address.value.portSpecifier.value });
    }
  }
  return targets;
}

/** Where SDS comes from in a process with this bootstrap. */
export function secretOriginOf(bootstrap: Bootstrap, hasIdentity: boolean): SecretOrigin {
  return {
    identityCluster: hasIdentity ? IDENTITY_CLUSTER : null,
    addressesOf(name) {
      const cluster = bootstrap.staticResources?.clusters.find((candidate) => candidate.name === name);
      if (cluster === undefined) return `there is no static cluster ${JSON.stringify(name)}`;
      if (cluster.transportSocket !== undefined) return `TLS towards the cluster ${name} is not supported for SDS`;
      const targets = targetsOf(cluster);
      return targets.length === 0 ? `the cluster ${name} has no endpoints of its own` : targets;
    },
  };
}

function compileAdmin(bootstrap: Bootstrap, problems: Problem[]): AdminAddress | null {
  const address = bootstrap.admin?.address?.address;
  if (address === undefined) return null;
  if (address.case !== 'socketAddress') {
    problems.push(warning('admin.address', 'has no effect: only a socket_address is supported'));
    return null;
  }
  const { address: host, portSpecifier } = address.value;
  return { address: host, port: portSpecifier.case === 'portValue' ? portSpecifier.value : 0 };
}
