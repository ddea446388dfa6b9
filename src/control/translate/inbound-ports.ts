// On which ports a captured pod is called, and what they speak: the target ports of the Services whose instances
// have its address, then the apps that its sidecar announces. What a Service declares comes before what it does not.
import type { MeshNode } from '../mesh-node.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';
import type { InboundPort } from './captured-inbound.ts';

interface Found {
  readonly service: MeshService;
  readonly servicePort: MeshPort;
  readonly port: number;
}

/** Finds the services behind an address; made once for a snapshot. */
export class InboundPorts {
  readonly #snapshot: Snapshot;
  #byAddress: ReadonlyMap<string, readonly Found[]> | null = null;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** By port number. */
  of(node: MeshNode): readonly InboundPort[] {
    this.#byAddress ??= indexOf(this.#snapshot);
    const ports = new Map<number, InboundPort>();
    for (const address of node.addresses) {
      for (const { service, servicePort, port } of this.#byAddress.get(address) ?? []) {
        if (service.namespace !== node.namespace || servicePort.protocol === 'udp') continue;
        const { protocol, isGuessed } = servicePort;
        const known = ports.get(port);
        if (known === undefined || (known.isGuessed && !isGuessed))
          ports.set(port, { port, protocol, isGuessed, owner: service });
      }
    }
    for (const { port, protocol } of node.apps) {
      const known = ports.get(port);
      if (known === undefined || known.isGuessed)
        ports.set(port, { port, protocol, isGuessed: false, owner: known?.owner ?? null });
    }
    ports.delete(node.inboundPort);
    return [...ports.values()].toSorted((left, right) => left.port - right.port);
  }

  /** The first declared service of the node's namespace that has the port of the node as an instance; null: there is none. */
  ownerOf(node: MeshNode, port: number): MeshService | null {
    this.#byAddress ??= indexOf(this.#snapshot);
    const found = this.#byAddress
      .get(node.ip)
      ?.find((one) => one.port === port && one.service.namespace === node.namespace);
    return found?.service ?? null;
  }
}

function indexOf(snapshot: Snapshot): ReadonlyMap<string, readonly Found[]> {
  const index = new Map<string, Found[]>();
  for (const service of snapshot.services.values()) {
    if (service.kind === 'entry') continue;
    for (const servicePort of service.ports) {
      for (const { address, port } of service.endpoints.get(servicePort.number) ?? []) {
        const found = index.get(address) ?? [];
        found.push({ service, servicePort, port });
        index.set(address, found);
      }
    }
  }
  return index;
}
