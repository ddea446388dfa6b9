// `/clusters`: every cluster with its endpoints, their counters and health, as Envoy's text lines or
// as its Clusters message in JSON. Fields at their default are left out of the JSON, as protobuf has it.
import type { Endpoint } from '../../plan/cluster.ts';
import { RoutingPriority } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { json, text, type AdminEndpoint } from './endpoint.ts';
import { healthFlags, jsonHealth } from './health-flags.ts';
import { jsonAddress } from './listeners.ts';
import { nameFilter } from './name-filter.ts';
import type { ClusterStatus } from './source.ts';

export const clusters: AdminEndpoint = {
  path: '/clusters',
  isPostOnly: false,
  help: 'upstream cluster status',
  parameters: [
    ['filter', 'RE2 expression for the cluster names'],
    ['format', 'one of (text, json)'],
  ],
  answer: ({ source, query }) => {
    const filter = nameFilter(query.get('filter'));
    if (filter.kind === 'refused') return filter.answer;
    const statuses = source.clusters().filter(({ cluster }) => filter.accepts(cluster.name));
    if (query.get('format') !== 'json') return text(statuses.map(formatCluster).join(''));
    return json(statuses.length === 0 ? {} : { cluster_statuses: statuses.map(jsonCluster) });
  },
};

interface Limits {
  readonly max_connections: number;
  readonly max_pending_requests: number;
  readonly max_requests: number;
  readonly max_retries: number;
}

/** The configured thresholds; Envoy's defaults where none are given. */
function limitsOf({ config }: ClusterStatus, priority: RoutingPriority): Limits {
  const threshold = config.message.circuitBreakers?.thresholds.find((one) => one.priority === priority);
  return {
    max_connections: threshold?.maxConnections ?? 1024,
    max_pending_requests: threshold?.maxPendingRequests ?? 1024,
    max_requests: threshold?.maxRequests ?? 1024,
    max_retries: threshold?.maxRetries ?? 3,
  };
}

function statName({ config }: ClusterStatus): string {
  return config.message.altStatName === '' ? config.message.name : config.message.altStatName;
}

function formatCluster(status: ClusterStatus): string {
  const { name } = status.cluster;
  const lines = [`${name}::observability_name::${statName(status)}`];
  for (const [label, priority] of [
    ['default_priority', RoutingPriority.DEFAULT],
    ['high_priority', RoutingPriority.HIGH],
  ] as const) {
    for (const [key, value] of Object.entries(limitsOf(status, priority)))
      lines.push(`${name}::${label}::${key}::${value}`);
  }
  lines.push(`${name}::added_via_api::${status.config.origin === 'dynamic'}`);
  const service = edsServiceName(status);
  if (service !== '') lines.push(`${name}::eds_service_name::${service}`);
  for (const endpoint of status.cluster.endpoints) {
    for (const [key, value] of endpointFields(status, endpoint))
      lines.push(`${name}::${endpoint.authority}::${key}::${value}`);
  }
  return `${lines.join('\n')}\n`;
}

function endpointFields(status: ClusterStatus, endpoint: Endpoint): readonly (readonly [string, string | number])[] {
  const { counters, gauges } = metricsOf(endpoint);
  const outlier = status.outlierOf(endpoint);
  const metrics = [...counters, ...gauges].toSorted(([left], [right]) => (left < right ? -1 : 1));
  return [
    ...metrics,
    ['hostname', endpoint.hostname],
    ['health_flags', healthFlags(status, endpoint)],
    ['weight', endpoint.weight],
    ['region', endpoint.locality.region],
    ['zone', endpoint.locality.zone],
    ['sub_zone', endpoint.locality.subZone],
    ['canary', endpoint.metadata.get('canary') === 'true' ? 'true' : 'false'],
    ['priority', endpoint.priority],
    ['success_rate', outlier.successRate],
    ['local_origin_success_rate', outlier.localSuccessRate],
  ];
}

interface EndpointMetrics {
  readonly counters: readonly (readonly [string, number])[];
  readonly gauges: readonly (readonly [string, number])[];
}

function metricsOf(endpoint: Endpoint): EndpointMetrics {
  const succeeded = Math.max(0, endpoint.requestsTotal - endpoint.failuresTotal - endpoint.active);
  return {
    counters: [
      ['cx_connect_fail', endpoint.connectFailuresTotal],
      ['cx_total', endpoint.connectionsTotal],
      ['rq_error', endpoint.failuresTotal],
      ['rq_success', succeeded],
      ['rq_timeout', 0],
      ['rq_total', endpoint.requestsTotal],
    ],
    gauges: [
      ['cx_active', endpoint.connectionsActive],
      ['rq_active', endpoint.active],
      ['rq_pending_active', 0],
    ],
  };
}

function edsServiceName({ config }: ClusterStatus): string {
  return config.message.edsClusterConfig?.serviceName ?? '';
}

function jsonCluster(status: ClusterStatus): object {
  const service = edsServiceName(status);
  const hosts = status.cluster.endpoints.map((endpoint) => jsonHost(status, endpoint));
  return {
    name: status.cluster.name,
    ...(status.config.origin === 'dynamic' ? { added_via_api: true } : {}),
    ...(hosts.length === 0 ? {} : { host_statuses: hosts }),
    circuit_breakers: {
      thresholds: [
        limitsOf(status, RoutingPriority.DEFAULT),
        { priority: 'HIGH', ...limitsOf(status, RoutingPriority.HIGH) },
      ],
    },
    observability_name: statName(status),
    ...(service === '' ? {} : { eds_service_name: service }),
  };
}

function jsonHost(status: ClusterStatus, endpoint: Endpoint): object {
  const { counters, gauges } = metricsOf(endpoint);
  const { region, zone, subZone } = endpoint.locality;
  const { successRate, localSuccessRate } = status.outlierOf(endpoint);
  return {
    address: jsonAddress(endpoint),
    stats: [
      ...counters.map(([name, value]) => ({ ...metricValue(value), name })),
      ...gauges.map(([name, value]) => ({ type: 'GAUGE', ...metricValue(value), name })),
    ],
    health_status: jsonHealth(status, endpoint),
    ...(successRate < 0 ? {} : { success_rate: { value: successRate } }),
    ...(localSuccessRate < 0 ? {} : { local_origin_success_rate: { value: localSuccessRate } }),
    weight: endpoint.weight,
    ...(endpoint.hostname === '' ? {} : { hostname: endpoint.hostname }),
    ...(endpoint.priority === 0 ? {} : { priority: endpoint.priority }),
    locality: {
      ...(region === '' ? {} : { region }),
      ...(zone === '' ? {} : { zone }),
      ...(subZone === '' ? {} : { sub_zone: subZone }),
    },
  };
}

/** A uint64 is a string in protobuf's JSON, and absent when it is 0. */
function metricValue(value: number): object {
  return value === 0 ? {} : { value: String(value) };
}
