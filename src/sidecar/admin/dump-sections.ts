// The sections of a config dump: bootstrap, clusters, endpoints, listeners, scoped routes, routes and
// secrets, in Envoy's order. Resources are written with protobuf's JSON mapping under their proto
// field names; one that cannot be written says so in its place instead of failing the whole dump.
import { toJson, type DescMessage, type JsonValue, type MessageShape } from '@bufbuild/protobuf';
import { BootstrapSchema } from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { extensions } from '../bootstrap-registry.ts';
import { STATIC, type SecretStatus } from '../secrets.ts';
import { redact } from './redact.ts';
import { jsonAddress } from './listeners.ts';
import type { AdminSource, ClusterStatus, Configured, RefusedResource } from './source.ts';

export type DumpValue = JsonValue;
export type Dump = { readonly [key: string]: DumpValue };

export interface DumpOptions {
  readonly isEdsIncluded: boolean;
  readonly acceptsName: (name: string) => boolean;
}

const ADMIN = 'type.googleapis.com/envoy.admin.v3';

export function dumpSections(source: AdminSource, options: DumpOptions): readonly Dump[] {
  const { acceptsName, isEdsIncluded } = options;
  const versions = source.versions();
  const bootstrap = source.bootstrap();
  const refused = source.refused();
  const clusters = source.clusters().filter(({ cluster }) => acceptsName(cluster.name));
  const listeners = source.listeners().filter(({ config }) => acceptsName(config.message.name));
  const routes = source.routes().filter(({ message }) => acceptsName(message.name));
  return [
    section('BootstrapConfigDump', {
      bootstrap: message(BootstrapSchema, bootstrap.message),
      last_updated: timestamp(bootstrap.updatedMs),
    }),
    section('ClustersConfigDump', {
      version_info: versions.clusters,
      static_clusters: clusters.filter((status) => !isDynamic(status)).map(clusterEntry),
      dynamic_active_clusters: clusters
        .filter((status) => isDynamic(status) && status.cluster.isWarm)
        .map((status) => withRefusal(clusterEntry(status), refused, 'cluster', status.cluster.name)),
      dynamic_warming_clusters: clusters
        .filter((status) => isDynamic(status) && !status.cluster.isWarm)
        .map(clusterEntry),
    }),
    ...(isEdsIncluded ? [endpointsSection(clusters, refused)] : []),
    section('ListenersConfigDump', {
      version_info: versions.listeners,
      static_listeners: listeners
        .filter((status) => !isDynamic(status))
        .map(({ config }) => entry('listener', ListenerSchema, config)),
      dynamic_listeners: listeners
        .filter(isDynamic)
        .map(({ config }) =>
          withRefusal(
            { name: config.message.name, active_state: entry('listener', ListenerSchema, config) },
            refused,
            'listener',
            config.message.name,
          ),
        ),
    }),
    section('ScopedRoutesConfigDump', {}),
    section('RoutesConfigDump', {
      static_route_configs: routes
        .filter(({ origin }) => origin === 'static')
        .map((config) => entry('route_config', RouteConfigurationSchema, config)),
      dynamic_route_configs: routes
        .filter(({ origin }) => origin === 'dynamic')
        .map((config) =>
          withRefusal(entry('route_config', RouteConfigurationSchema, config), refused, 'route', config.message.name),
        ),
    }),
    secretsSection(source.secrets().filter(({ name }) => acceptsName(name))),
  ];
}

function secretsSection(secrets: readonly SecretStatus[]): Dump {
  const entries = (isStatic: boolean, isThere: boolean): readonly Dump[] =>
    secrets
      .filter(({ source, secret }) => (source === STATIC) === isStatic && (secret !== null) === isThere)
      .map(({ name, version, updatedMs, secret }) => ({
        name,
        ...(version === '' ? {} : { version_info: version }),
        last_updated: timestamp(updatedMs),
        secret: {
          '@type': `type.googleapis.com/${SecretSchema.typeName}`,
          ...(secret === null ? { name } : message(SecretSchema, secret)),
        },
      }));
  return section('SecretsConfigDump', {
    static_secrets: [...entries(true, true)],
    dynamic_active_secrets: [...entries(false, true)],
    dynamic_warming_secrets: [...entries(false, false)],
  });
}

function endpointsSection(clusters: readonly ClusterStatus[], refused: readonly RefusedResource[]): Dump {
  const fixed: Dump[] = [];
  const dynamic: Dump[] = [];
  for (const status of clusters) {
    const { assignment } = status;
    if (assignment === null) {
      if (status.cluster.endpoints.length > 0) fixed.push({ endpoint_config: assignmentOf(status) });
      continue;
    }
    const written = entry('endpoint_config', ClusterLoadAssignmentSchema, assignment);
    dynamic.push(withRefusal(written, refused, 'endpoint', assignment.message.clusterName));
  }
  return section('EndpointsConfigDump', { static_endpoint_configs: fixed, dynamic_endpoint_configs: dynamic });
}

/** The endpoints of a cluster without EDS, as the assignment that would give them: one group per locality and priority. */
function assignmentOf({ cluster, config, healthOf }: ClusterStatus): Dump {
  const groups = new Map<string, { readonly head: Dump; readonly endpoints: Dump[] }>();
  for (const endpoint of cluster.endpoints) {
    const { region, zone, subZone } = endpoint.locality;
    const where = Object.entries({ region, zone, sub_zone: subZone }).filter(([, value]) => value !== '');
    const priority = endpoint.priority === 0 ? {} : { priority: endpoint.priority };
    const head: Dump = { locality: Object.fromEntries(where), ...priority };
    const key = JSON.stringify(head);
    const group = groups.get(key) ?? { head, endpoints: [] };
    groups.set(key, group);
    const hostname = endpoint.hostname === '' ? {} : { hostname: endpoint.hostname };
    group.endpoints.push({
      endpoint: { address: jsonAddress(endpoint), ...hostname },
      health_status: healthOf(endpoint).toUpperCase(),
      load_balancing_weight: endpoint.weight,
    });
  }
  return {
    '@type': `type.googleapis.com/${ClusterLoadAssignmentSchema.typeName}`,
    cluster_name: config.message.loadAssignment?.clusterName ?? cluster.name,
    endpoints: [...groups.values()].map(({ head, endpoints }): Dump => ({ ...head, lb_endpoints: endpoints })),
    policy: { overprovisioning_factor: 140 },
  };
}

function clusterEntry(status: ClusterStatus): Dump {
  return entry('cluster', ClusterSchema, status.config);
}

function isDynamic({ config }: { readonly config: Configured<unknown> }): boolean {
  return config.origin === 'dynamic';
}

/** A section without its empty fields, as protobuf's JSON leaves them out. */
function section(type: string, fields: Dump): Dump {
  const present = Object.entries(fields).filter(
    ([, value]) => value !== '' && !(Array.isArray(value) && value.length === 0),
  );
  return { '@type': `${ADMIN}.${type}`, ...Object.fromEntries(present) };
}

function entry<Desc extends DescMessage>(key: string, schema: Desc, config: Configured<MessageShape<Desc>>): Dump {
  return {
    ...(config.version === '' ? {} : { version_info: config.version }),
    [key]: { '@type': `type.googleapis.com/${schema.typeName}`, ...message(schema, config.message) },
    last_updated: timestamp(config.updatedMs),
    ...(config.origin === 'dynamic' ? { client_status: 'ACKED' } : {}),
  };
}

function withRefusal(
  written: Dump,
  refused: readonly RefusedResource[],
  kind: RefusedResource['kind'],
  name: string,
): Dump {
  const refusal = refused.find((one) => one.kind === kind && one.name === name);
  if (refusal === undefined) return written;
  const error_state = {
    last_update_attempt: timestamp(refusal.attemptedMs),
    details: refusal.details,
    version_info: refusal.version,
  };
  return { ...written, error_state, client_status: 'NACKED' };
}

function message<Desc extends DescMessage>(schema: Desc, value: MessageShape<Desc>): Dump {
  try {
    const written: JsonValue = toJson(schema, value, { registry: extensions, useProtoFieldName: true });
    const shown = redact(written);
    return typeof shown === 'object' && shown !== null && !Array.isArray(shown) ? shown : {};
  } catch (cause) {
    // An Any of a type that is not in the registry: accepted with a warning, not readable here.
    const name = 'name' in value && typeof value.name === 'string' ? value.name : '';
    return { name, error: `cannot be written as JSON: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}

function timestamp(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
