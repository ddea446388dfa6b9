// The cluster of an extension provider's service: `service` is a host, or `NAMESPACE/HOST` as Istio allows, and a host
// may be written short.
import { clusterName } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';

export interface ProviderService {
  readonly service: string;
  readonly port: number;
}

/** Null when no such service is known. */
export function providerCluster(provider: ProviderService, snapshot: Snapshot): string | null {
  const slash = provider.service.indexOf('/');
  const namespace = slash < 0 ? snapshot.mesh.rootNamespace : provider.service.slice(0, slash);
  const host = provider.service.slice(slash + 1);
  const candidates = [
    host,
    `${host}.svc.${snapshot.domain}`,
    `${host}.${snapshot.domain}`,
    `${host}.${namespace}.svc.${snapshot.domain}`,
  ];
  const found = candidates.find((candidate) =>
    snapshot.services.get(candidate)?.ports.some((port) => port.number === provider.port),
  );
  return found === undefined ? null : clusterName('outbound', provider.port, '', found);
}
