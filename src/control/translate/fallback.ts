// Fallback of a service (ResiliencePolicy `fallback`) as an aggregate cluster of its own: the service's cluster
// first, then those of the hosts in their order. HTTP routes that lead to the service are sent to the aggregate;
// the clusters themselves keep their names, endpoints and policies, so metrics name whoever answered.
//
//   route ─► fallback|80||a ─► outbound|80||a, outbound|80||spare …
//
// TCP connections and mirrors go to the service itself.
import { create } from '@bufbuild/protobuf';
import { unresolved, warning, type Problem } from '../../base/problem.ts';
import {
  ClusterSchema,
  Cluster_CustomClusterTypeSchema,
  Cluster_LbPolicy,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { ClusterConfigSchema } from '../../xds/gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.js';
import type { FallbackSection } from '../../config/fallback-section.ts';
import { clusterName } from '../mesh-service.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';
import { duration, pack } from './proto.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export interface Fallbacks {
  readonly clusters: readonly Cluster[];
  /** The aggregate's name by the name of the service's cluster. */
  readonly names: ReadonlyMap<string, string>;
}

export function fallbacksOf(scope: Scope): Fallbacks {
  const clusters: Cluster[] = [];
  const names = new Map<string, string>();
  if (scope.snapshot.resilience.policies.length === 0) return { clusters, names };
  for (const service of scope.services.values()) {
    for (const port of service.ports) {
      const section = scope.snapshot.resilience.ofService(service, port).find(({ kind }) => kind === 'fallback');
      if (section?.kind !== 'fallback') continue;
      const others = targetsOf(section, { service, port, scope });
      const subsets = scope.ruleFor(service.host)?.spec.subsets ?? [];
      for (const subset of others.length === 0 ? [] : ['', ...subsets.map(({ name }) => name)]) {
        const own = clusterName('outbound', port.number, subset, service.host);
        const name = own.replace('outbound', 'fallback');
        clusters.push(aggregate(name, [own, ...others.filter((other) => other !== own)]));
        names.set(own, name);
      }
    }
  }
  return { clusters, names };
}

/** Names of the clusters; a host that is not there, or has no such port, is left out. */
function targetsOf(
  section: FallbackSection,
  { service, port, scope }: { readonly service: MeshService; readonly port: MeshPort; readonly scope: Scope },
): readonly string[] {
  return section.hosts.flatMap(({ host, port: wanted, subset }) => {
    const full = scope.fullHost(host, service.namespace);
    const other = scope.services.get(full);
    const number =
      wanted ??
      (other?.ports.some((one) => one.number === port.number) === true ? port.number : other?.ports[0]?.number);
    const exists = other?.ports.some((one) => one.number === number) === true;
    return !exists || number === undefined ? [] : [clusterName('outbound', number, subset, full)];
  });
}

function aggregate(name: string, members: readonly string[]): Cluster {
  return create(ClusterSchema, {
    name,
    connectTimeout: duration(CONNECT_TIMEOUT_MS),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    clusterDiscoveryType: {
      case: 'clusterType',
      value: create(Cluster_CustomClusterTypeSchema, {
        name: 'envoy.clusters.aggregate',
        typedConfig: pack(ClusterConfigSchema, create(ClusterConfigSchema, { clusters: [...members] })),
      }),
    },
  });
}

/** Sends the routes of a table that lead to a service with a fallback to its aggregate. */
export function followFallbacks(table: RouteConfiguration, names: ReadonlyMap<string, string>): RouteConfiguration {
  if (names.size === 0) return table;
  for (const { routes } of table.virtualHosts) {
    for (const { action } of routes) {
      if (action.case !== 'route') continue;
      const { clusterSpecifier: specifier } = action.value;
      if (specifier.case === 'cluster') specifier.value = names.get(specifier.value) ?? specifier.value;
      else if (specifier.case === 'weightedClusters') {
        for (const entry of specifier.value.clusters) entry.name = names.get(entry.name) ?? entry.name;
      }
    }
  }
  return table;
}

/** Warns of hosts to fall back to that are not there: the others are in force. */
export function checkFallbacks(snapshot: Snapshot): readonly Problem[] {
  return snapshot.resilience.policies.flatMap((policy) => {
    const { namespace } = policy.meta;
    const scope = new Scope(snapshot, { namespace, labels: new Map(), mode: 'redirect' });
    const section = policy.spec.sections.find(({ kind }) => kind === 'fallback');
    if (section?.kind !== 'fallback') return [];
    return section.hosts.flatMap(({ host, port }, index) => {
      const path = `spec.fallback.hosts[${index}]`;
      const service = scope.services.get(scope.fullHost(host, namespace));
      if (service === undefined) {
        const message = `there is no host ${host} to fall back to`;
        const remedy = 'correct the name, or add the service';
        return [unresolved(warning(`${path}.host`, message, remedy, policy.source.locate(path)))];
      }
      if (port === null || service.ports.some(({ number }) => number === port)) return [];
      const numbers = service.ports.map(({ number }) => number).join(', ');
      const message = `${host} has no port ${port}`;
      const remedy = `write one of ${numbers}`;
      return [unresolved(warning(`${path}.port`, message, remedy, policy.source.locate(path)))];
    });
  });
}
