// The share of one client in a service's `concurrencyLimit`: max_requests of every cluster of the service, and a name in
// the metadata by which our own sidecars count all those clusters as one. A real Envoy counts each cluster by itself.
import { clone } from '@bufbuild/protobuf';
import { warning, type Problem } from '../../base/problem.ts';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { RoutingPriority } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { ConcurrencyGroup, ConcurrencyShares } from '../concurrency-shares.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';
import { writeMetadata } from './own-metadata.ts';

/** What the port of the service has a part in; null: no limit. */
export function concurrencyGroup(
  { resilience }: Pick<Snapshot, 'resilience'>,
  service: MeshService,
  port: Pick<MeshPort, 'number' | 'name'>,
): ConcurrencyGroup | null {
  const section = resilience.ofService(service, port).find(({ kind }) => kind === 'concurrencyLimit');
  if (section?.kind !== 'concurrencyLimit') return null;
  // No port has the number 0: what is found for it names no port, and is one limit for all of them.
  const isOfAll = resilience.ofService(service, { number: 0, name: '' }).includes(section);
  const { host } = service;
  return { name: isOfAll ? host : `${host}:${port.number}`, host, requests: section.requests };
}

/** The cluster as a client gets it that has this share. */
export function withShare(cluster: Cluster, { name }: ConcurrencyGroup, share: number): Cluster {
  const own = clone(ClusterSchema, cluster);
  const thresholds = own.circuitBreakers?.thresholds ?? [];
  for (const threshold of thresholds) threshold.maxRequests = Math.min(threshold.maxRequests ?? share, share);
  const [first] = thresholds;
  // Requests of high priority are as much work for the service as any.
  if (first !== undefined && thresholds.every(({ priority }) => priority !== RoutingPriority.HIGH))
    thresholds.push({ ...first, priority: RoutingPriority.HIGH });
  writeMetadata(own, { concurrencyLimit: { name, requests: share } });
  return own;
}

/** Limits that leave some client nothing. */
export function checkShares({ resilience, services }: Snapshot, shares: ConcurrencyShares): readonly Problem[] {
  const problems = new Map<string, Problem>();
  for (const service of services.values()) {
    for (const port of service.ports) {
      const group = concurrencyGroup({ resilience }, service, port);
      const clients = group === null ? 0 : shares.clientsOf(group);
      if (group === null || clients <= group.requests || problems.has(group.name)) continue;
      const sections = resilience.ofService(service, port);
      const policy = resilience.policies.find(({ spec }) =>
        spec.sections.some((section) => section.kind === 'concurrencyLimit' && sections.some((one) => one === section)),
      );
      const path = 'spec.concurrencyLimit.requests';
      const message = `${group.name} has ${clients} clients for ${group.requests} requests: ${clients - group.requests} of them are refused every request`;
      const remedy = 'allow more, or let fewer sidecars see the service (egress.hosts of a Sidecar)';
      problems.set(group.name, warning(path, message, remedy, policy?.source.locate(path) ?? null));
    }
  }
  return [...problems.values()];
}
