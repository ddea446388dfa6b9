// The services that a workload stands behind, by which policies find it (`targetRefs`): those of its namespace with an
// instance at one of its addresses, and the one that it joined as. Where many workloads share an address (explicit mode on
// one machine) the ports of its apps tell them apart. Found once for a snapshot.
import type { MeshNode } from './mesh-node.ts';
import type { MeshService } from './mesh-service.ts';
import type { PolicyScope } from './workload-policies.ts';
import type { Snapshot } from './snapshot.ts';

type Workload = Pick<MeshNode, 'namespace' | 'addresses' | 'service' | 'mode' | 'apps'>;

interface Instance {
  readonly service: MeshService;
  readonly port: number;
}

const indexes = new WeakMap<Snapshot, ReadonlyMap<string, readonly Instance[]>>();

/** Where policies look for the workload. */
export function policyScopeOf(snapshot: Snapshot, node: Workload): PolicyScope {
  return { rootNamespace: snapshot.mesh.rootNamespace, services: servicesOf(snapshot, node) };
}

function servicesOf(snapshot: Snapshot, node: Workload): ReadonlySet<string> {
  const index = indexes.get(snapshot) ?? indexOf(snapshot);
  indexes.set(snapshot, index);
  const found = new Set(node.service === '' ? [] : [node.service]);
  const ports = node.mode === 'redirect' ? null : new Set(node.apps.map(({ inboundPort }) => inboundPort));
  for (const address of node.addresses) {
    for (const { service, port } of index.get(address) ?? []) {
      const isHere = ports === null || ports.has(port);
      if (isHere && service.namespace === node.namespace) found.add(service.name);
    }
  }
  return found;
}

function indexOf(snapshot: Snapshot): ReadonlyMap<string, readonly Instance[]> {
  const index = new Map<string, Instance[]>();
  for (const service of snapshot.services.values()) {
    for (const endpoints of service.endpoints.values()) {
      for (const { address, port } of endpoints) {
        const known = index.get(address) ?? [];
        known.push({ service, port });
        index.set(address, known);
      }
    }
  }
  return index;
}
