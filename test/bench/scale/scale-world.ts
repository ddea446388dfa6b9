// The world of the scale benchmark: services with instances, as an API server hands them out.
export interface WorldSize {
  readonly services: number;
  readonly endpoints: number;
  readonly namespaces: number;
}

export interface Named {
  readonly name: string;
  readonly value: object;
}

export const SERVICE_PORT = 80;
const APP_PORT = 8080;
const WITHIN_BYTE = 250;

export function namespaceOf(service: number, { namespaces }: WorldSize): string {
  return `n${service % namespaces}`;
}

export function clusterOf(service: number, world: WorldSize): string {
  return `outbound|${SERVICE_PORT}||s${service}.${namespaceOf(service, world)}.svc.cluster.local`;
}

/** How a sidecar asks for the virtual host of the service. */
export function hostOf(service: number, world: WorldSize): string {
  return `${SERVICE_PORT}/s${service}.${namespaceOf(service, world)}.svc.cluster.local`;
}

/** Which services the client uses: each is used by as many clients as any other. */
export function usedBy(client: number, uses: number, { services }: WorldSize): readonly number[] {
  return Array.from({ length: Math.min(uses, services) }, (_, index) => (client * 7 + index * 13) % services);
}

/** Of the instance `index` of the world; `turn` is another one in its place. */
export function addressOf(index: number, turn = 0): string {
  const low = index % WITHIN_BYTE;
  const middle = Math.floor(index / WITHIN_BYTE) % WITHIN_BYTE;
  return `10.${turn % WITHIN_BYTE}.${middle}.${low + 1}`;
}

export function perService({ services, endpoints }: WorldSize): number {
  return Math.max(1, Math.round(endpoints / services));
}

export function* objectsOf(world: WorldSize): Iterable<Named> {
  for (let service = 0; service < world.services; service++) {
    yield serviceObject(service, world);
    yield sliceObject(service, 0, world);
    for (let index = 0; index < perService(world); index++) yield podObject(service, index, 0, world);
  }
}

/** Each `turn` gives the first instance another address. */
export function* changeOf(service: number, turn: number, world: WorldSize): Iterable<Named> {
  yield podObject(service, 0, turn, world);
  yield sliceObject(service, turn, world);
}

export function routeChangeOf(service: number, turn: number, world: WorldSize): Named {
  const namespace = namespaceOf(service, world);
  return {
    name: `VirtualService/${namespace}/s${service}`,
    value: {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: `s${service}`, namespace },
      spec: {
        hosts: [`s${service}`],
        http: [{ route: [{ destination: { host: `s${service}` } }], timeout: `${1 + (turn % 1000)}s` }],
      },
    },
  };
}

function serviceObject(service: number, world: WorldSize): Named {
  const namespace = namespaceOf(service, world);
  return {
    name: `Service/${namespace}/s${service}`,
    value: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `s${service}`, namespace },
      spec: {
        clusterIP: `10.251.${Math.floor(service / WITHIN_BYTE)}.${(service % WITHIN_BYTE) + 1}`,
        selector: { app: `s${service}` },
        ports: [{ name: 'http', port: SERVICE_PORT, targetPort: APP_PORT }],
      },
    },
  };
}

function sliceObject(service: number, turn: number, world: WorldSize): Named {
  const namespace = namespaceOf(service, world);
  const count = perService(world);
  return {
    name: `EndpointSlice/${namespace}/s${service}-a`,
    value: {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `s${service}-a`, namespace, labels: { 'kubernetes.io/service-name': `s${service}` } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: APP_PORT, protocol: 'TCP' }],
      endpoints: Array.from({ length: count }, (_, index) => ({
        addresses: [addressOf(service * count + index, index === 0 ? turn : 0)],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: `s${service}-${index}`, namespace },
      })),
    },
  };
}

function podObject(service: number, index: number, turn: number, world: WorldSize): Named {
  const namespace = namespaceOf(service, world);
  const name = `s${service}-${index}`;
  return {
    name: `Pod/${namespace}/${name}`,
    value: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: `s${service}`, 'security.istio.io/tlsMode': 'istio' } },
      spec: { serviceAccountName: `s${service}`, nodeName: `node-${index}`, containers: [{ name: 'app' }] },
      status: { phase: 'Running', podIP: addressOf(service * perService(world) + index, turn) },
    },
  };
}
