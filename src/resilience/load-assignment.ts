// Checks a ClusterLoadAssignment and lays it out as one list of targets, in configuration order.
// Whether an address must be an IP, or is a name to resolve, depends on the cluster's type. Every
// wrong endpoint is a Problem; one error refuses the whole assignment and the last good one stays.
import { isIP } from 'node:net';
import { error, refuses, warning, type Problem } from '../base/problem.ts';
import type { Locality } from '../plan/cluster.ts';
import type { Metadata } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { HealthStatus } from '../xds/gen/envoy/config/core/v3/health_check_pb.js';
import { SocketAddress_Protocol, type Address } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import type { LbEndpoint, LocalityLbEndpoints } from '../xds/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { ClusterLoadAssignment } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { compileCheckPlace } from './health-check-compile.ts';
import type { ConfiguredHealth, EndpointTarget } from './cluster-settings.ts';
import { flattenEndpointMetadata, transportMatchOf } from './metadata.ts';

export type AddressKind = 'ip' | 'name';

const PRIORITY_MAX = 128;
const UINT32_MAX = 0xffffffff;
const NOWHERE: Locality = Object.freeze({ region: '', zone: '', subZone: '' });

/**
 * The targets of an assignment, or null when a Problem refuses it.
 * Source: Envoy ClusterLoadAssignment, LocalityLbEndpoints, LbEndpoint and their validation rules.
 */
export function compileLoadAssignment(
  assignment: ClusterLoadAssignment,
  kind: AddressKind,
  problems: Problem[],
  path: string,
): readonly EndpointTarget[] | null {
  const local: Problem[] = [];
  if (assignment.clusterName === '') {
    local.push(error(`${path}.cluster_name`, 'a load assignment needs a cluster name'));
  }
  const targets: EndpointTarget[] = [];
  assignment.endpoints.forEach((group, index) => {
    compileGroup(group, kind, local, { targets, path: `${path}.endpoints[${index}]` });
  });
  checkLocalityWeights(assignment, local, path);
  problems.push(...local);
  return refuses(local) ? null : Object.freeze(targets);
}

interface Sink {
  readonly targets: EndpointTarget[];
  readonly path: string;
}

function compileGroup(group: LocalityLbEndpoints, kind: AddressKind, problems: Problem[], sink: Sink): void {
  const { path } = sink;
  if (group.priority > PRIORITY_MAX) {
    problems.push(error(`${path}.priority`, `priority ${group.priority} is over ${PRIORITY_MAX}`));
  }
  if (group.loadBalancingWeight === 0) {
    problems.push(error(`${path}.load_balancing_weight`, 'a locality weight must be at least 1'));
  }
  if (group.lbConfig.case === 'ledsClusterLocalityConfig') {
    problems.push(error(`${path}.leds_cluster_locality_config`, 'LEDS is not supported', 'list lb_endpoints'));
  }
  const locality: Locality =
    group.locality === undefined
      ? NOWHERE
      : Object.freeze({
          region: group.locality.region,
          zone: group.locality.zone,
          subZone: group.locality.subZone,
        });
  const isList = group.lbConfig.case === 'loadBalancerEndpoints';
  const endpoints =
    group.lbConfig.case === 'loadBalancerEndpoints' ? group.lbConfig.value.lbEndpoints : group.lbEndpoints;
  let weightSum = 0;
  endpoints.forEach((endpoint, index) => {
    const at = `${path}.${isList ? 'load_balancer_endpoints.' : ''}lb_endpoints[${index}]`;
    const target = compileEndpoint(endpoint, kind, problems, at);
    if (target === null) return;
    weightSum += target.weight;
    const { priority, loadBalancingWeight = 0 } = group;
    sink.targets.push(Object.freeze({ ...target, locality, priority, localityWeight: loadBalancingWeight }));
  });
  if (weightSum > UINT32_MAX) {
    problems.push(error(path, `the endpoint weights of a locality add up to ${weightSum}, over ${UINT32_MAX}`));
  }
}

type Placed = Omit<EndpointTarget, 'locality' | 'priority' | 'localityWeight'>;

function compileEndpoint(lbEndpoint: LbEndpoint, kind: AddressKind, problems: Problem[], path: string): Placed | null {
  if (lbEndpoint.loadBalancingWeight === 0) {
    problems.push(error(`${path}.load_balancing_weight`, 'an endpoint weight must be at least 1'));
  }
  if (lbEndpoint.hostIdentifier.case === 'endpointName') {
    problems.push(error(`${path}.endpoint_name`, 'named endpoints are not supported', 'write endpoint.address'));
    return null;
  }
  const endpoint = lbEndpoint.hostIdentifier.value;
  if (endpoint?.address === undefined) {
    problems.push(error(`${path}.endpoint.address`, 'the address is missing'));
    return null;
  }
  if (endpoint.additionalAddresses.length > 0) {
    problems.push(warning(`${path}.endpoint.additional_addresses`, 'has no effect yet: only `address` is used'));
  }
  const address = compileAddress(endpoint.address, kind, problems, `${path}.endpoint.address`);
  const check = compileCheckPlace(
    endpoint.healthCheckConfig,
    (place, at) => addressWithoutPort(place) ?? compileAddress(place, 'ip', problems, at),
    problems,
    `${path}.endpoint.health_check_config`,
  );
  if (address === null) return null;
  return {
    ...address,
    ...(check === null ? {} : { check }),
    hostname: endpoint.hostname,
    weight: lbEndpoint.loadBalancingWeight ?? 1,
    health: compileHealth(lbEndpoint.healthStatus),
    metadata: flattenEndpointMetadata(lbEndpoint.metadata),
    transportMatch: transportMatchOf(lbEndpoint.metadata),
    ...labelsOf(lbEndpoint.metadata),
  };
}

function compileAddress(
  address: Address,
  kind: AddressKind,
  problems: Problem[],
  path: string,
): { readonly address: string; readonly port: number } | null {
  const refuse = (field: string, message: string, remedy = ''): null => {
    problems.push(error(`${path}.${field}`, message, remedy));
    return null;
  };
  switch (address.address.case) {
    case 'pipe': {
      const { path: file } = address.address.value;
      return file === '' ? refuse('pipe.path', 'the path is missing') : { address: file, port: 0 };
    }
    case 'envoyInternalAddress':
      return refuse('envoy_internal_address', 'internal listeners are not supported', 'write socket_address or pipe');
    case 'socketAddress':
      break;
    case undefined:
      return refuse('socket_address', 'the address is missing', 'write socket_address or pipe');
  }
  const socket = address.address.value;
  const name = socket.address;
  if (name === '') return refuse('socket_address.address', 'the address is missing');
  if (socket.protocol === SocketAddress_Protocol.UDP) return refuse('socket_address.protocol', 'UDP is not supported');
  if (socket.portSpecifier.case === 'namedPort') {
    return refuse('socket_address.named_port', 'named ports cannot be resolved', 'write port_value');
  }
  const port = socket.portSpecifier.value;
  if (port === undefined) return refuse('socket_address.port_value', 'the port is missing');
  if (port > 65_535) return refuse('socket_address.port_value', `${port} is not a port`);
  if (port === 0) {
    // Envoy takes it and fails each connection; one such endpoint is no reason to refuse the others.
    problems.push(
      warning(`${path}.socket_address.port_value`, 'no connection can be made to port 0', 'it is left out'),
    );
    return null;
  }
  if (socket.resolverName !== '' && (kind === 'name' || isIP(name) === 0)) {
    return refuse('socket_address.resolver_name', 'custom resolvers are not supported');
  }
  if (kind === 'ip' && isIP(name) === 0) {
    const remedy = 'write an IP address, or make the cluster STRICT_DNS or LOGICAL_DNS';
    return refuse('socket_address.address', `malformed IP address: ${name}`, remedy);
  }
  return { address: name, port };
}

/** An address to check at, whose port is that of the endpoint or of its own setting; null for any other. */
function addressWithoutPort({ address: { case: kind, value } }: Address): { address: string; port: number } | null {
  if (kind !== 'socketAddress' || value.portSpecifier.value !== 0 || isIP(value.address) === 0) return null;
  return { address: value.address, port: 0 };
}

/** Without a field when there are none: most endpoints have none. */
function labelsOf(metadata: Metadata | undefined): Pick<EndpointTarget, 'labels'> {
  const labels = metadata?.filterMetadata['envoy.lb'];
  return labels === undefined ? {} : { labels };
}

/** UNKNOWN is healthy: nothing said otherwise (core.v3.HealthStatus). */
export function compileHealth(status: HealthStatus): ConfiguredHealth {
  switch (status) {
    case HealthStatus.UNHEALTHY:
      return 'unhealthy';
    case HealthStatus.DRAINING:
      return 'draining';
    case HealthStatus.TIMEOUT:
      return 'timeout';
    case HealthStatus.DEGRADED:
      return 'degraded';
    default:
      return 'healthy';
  }
}

function checkLocalityWeights(assignment: ClusterLoadAssignment, problems: Problem[], path: string): void {
  const sums = new Map<number, number>();
  for (const { priority, loadBalancingWeight = 0 } of assignment.endpoints) {
    sums.set(priority, (sums.get(priority) ?? 0) + loadBalancingWeight);
  }
  for (const [priority, sum] of sums) {
    if (sum <= UINT32_MAX) continue;
    const message = `the locality weights of priority ${priority} add up to ${sum}, over ${UINT32_MAX}`;
    problems.push(error(`${path}.endpoints`, message));
  }
}
