// An instance of a service, from each of the places where one may be written down: a bare address, a Pod, a
// WorkloadEntry or the endpoint of a ServiceEntry, a sidecar that joined.
import type { Pod } from '../config/resource.ts';
import type { WorkloadSpec } from '../config/service-entry.ts';
import type { MeshApp, MeshNode } from './mesh-node.ts';
import { localityOf, localityOfLabels, takesMtls, type MeshEndpoint } from './mesh-service.ts';

export function bare(address: string, port: number): MeshEndpoint {
  return {
    address,
    port,
    labels: new Map(),
    weight: 1,
    locality: { region: '', zone: '', subZone: '' },
    workload: '',
    namespace: '',
    serviceAccount: '',
    isMeshed: false,
  };
}

export function podEndpoint(pod: Pod, address: string, port: number, zone: string): MeshEndpoint {
  const { labels, name, namespace } = pod.meta;
  const told = localityOfLabels(labels);
  const locality = told.region === '' ? { region: '', zone, subZone: '' } : told;
  const serviceAccount = pod.spec.serviceAccount || 'default';
  const isMeshed = takesMtls(labels);
  return { address, port, labels, weight: 1, locality, workload: name, namespace, serviceAccount, isMeshed };
}

export interface Named {
  readonly name: string;
  readonly namespace: string;
}

export function entryEndpoint(spec: WorkloadSpec, portName: string, port: number, meta: Named): MeshEndpoint {
  const isPipe = spec.address.startsWith('unix://');
  return {
    address: isPipe ? spec.address.slice('unix://'.length) : spec.address,
    port: isPipe ? 0 : (spec.ports.get(portName) ?? port),
    labels: spec.labels,
    weight: Math.max(spec.weight, 1),
    locality: localityOf(spec.locality),
    workload: meta.name,
    namespace: meta.namespace,
    serviceAccount: spec.serviceAccount,
    isMeshed: takesMtls(spec.labels),
  };
}

export function nodeEndpoint(node: MeshNode, app: MeshApp): MeshEndpoint {
  const { ip: address, labels, workload, namespace, locality } = node;
  return {
    address,
    port: app.inboundPort,
    labels,
    weight: 1,
    locality,
    workload,
    namespace,
    serviceAccount: node.serviceAccount,
    isMeshed: node.isMeshed,
  };
}
