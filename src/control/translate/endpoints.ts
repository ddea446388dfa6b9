// Instances as a ClusterLoadAssignment: grouped by locality, each with the metadata that names its
// workload in metrics (`workload;namespace;canonical-name;canonical-revision;cluster`).
import { create } from '@bufbuild/protobuf';
import { AddressSchema } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import { ClusterLoadAssignmentSchema } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import {
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '../../xds/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { LbEndpoint, LocalityLbEndpoints } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { MeshEndpoint } from '../mesh-service.ts';
import { closeGaps, distribute, type LocalityPlan } from './locality.ts';

const CLUSTER_ID = 'Kubernetes';
/** What a cluster chooses how to connect by (transport_socket_matches). */
const MATCH_NAMESPACE = 'envoy.transport_socket_match';
export const MESHED = { tlsMode: 'istio' };

/** `plan`: what the localities mean for whoever gets it; null: nothing. */
export function loadAssignment(
  clusterName: string,
  endpoints: readonly MeshEndpoint[],
  plan: LocalityPlan | null = null,
): ClusterLoadAssignment {
  const groups = new Map<string, LocalityLbEndpoints>();
  for (const endpoint of endpoints) {
    const { region, zone, subZone } = endpoint.locality;
    const place = `${region}/${zone}/${subZone}`;
    const priority = plan?.kind === 'failover' ? plan.priorityOf(endpoint) : 0;
    const key = `${place} ${priority}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = create(
        LocalityLbEndpointsSchema,
        place === '//' ? { locality: {}, priority } : { locality: { region, zone, subZone }, priority },
      );
      groups.set(key, group);
    }
    group.lbEndpoints.push(lbEndpoint(endpoint));
    group.loadBalancingWeight = (group.loadBalancingWeight ?? 0) + endpoint.weight;
  }
  const assignment = create(ClusterLoadAssignmentSchema, { clusterName, endpoints: [...groups.values()] });
  if (plan?.kind === 'failover') closeGaps(assignment);
  else if (plan?.kind === 'distribute') distribute(assignment, plan.to);
  return assignment;
}

function lbEndpoint(endpoint: MeshEndpoint): LbEndpoint {
  const { address, port, labels, weight, workload, namespace } = endpoint;
  const made = create(LbEndpointSchema, {
    hostIdentifier: {
      case: 'endpoint',
      value: {
        address:
          port === 0
            ? create(AddressSchema, { address: { case: 'pipe', value: { path: address } } })
            : create(AddressSchema, {
                address: {
                  case: 'socketAddress',
                  value: { address, portSpecifier: { case: 'portValue', value: port } },
                },
              }),
      },
    },
    loadBalancingWeight: weight,
  });
  if (workload === '' && labels.size === 0) return made;
  const canonicalName =
    labels.get('service.istio.io/canonical-name') ??
    labels.get('app.kubernetes.io/name') ??
    labels.get('app') ??
    workload;
  const revision =
    labels.get('service.istio.io/canonical-revision') ??
    labels.get('app.kubernetes.io/version') ??
    labels.get('version') ??
    'latest';
  made.metadata = {
    $typeName: 'envoy.config.core.v3.Metadata',
    filterMetadata: {
      istio: { workload: `${workload};${namespace};${canonicalName};${revision};${CLUSTER_ID}` },
      ...(endpoint.isMeshed ? { [MATCH_NAMESPACE]: MESHED } : {}),
    },
    typedFilterMetadata: {},
  };
  return made;
}
