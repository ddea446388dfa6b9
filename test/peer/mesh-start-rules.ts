// A rules folder of any number of services, each with an instance, two subsets, and a VirtualService with a header
// match and a weighted split, as services in a real mesh have.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The folder; every service `service-N` has its instance at `port` of this machine. */
export async function writeServices(count: number, port: number): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'outrigger-start-'));
  for (let i = 0; i < count; i++) await writeFile(join(directory, `service-${i}.yaml`), rulesOf(`service-${i}`, port));
  return directory;
}

function rulesOf(name: string, port: number): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: http, port: ${port} }]
endpoints: [{ addresses: [127.0.0.1], targetRef: { kind: Pod, name: ${name}-v1 } }]
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}-v1, labels: { app: ${name}, version: v1 } }
status: { podIP: 127.0.0.1, phase: Running }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec:
  host: ${name}
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${name}]
  http:
    - match: [{ headers: { end-user: { exact: tester } }, uri: { prefix: /new } }]
      timeout: 2s
      route: [{ destination: { host: ${name}, subset: v2 } }]
    - match: [{ uri: { prefix: /split } }]
      route:
        - { destination: { host: ${name}, subset: v1 }, weight: 90 }
        - { destination: { host: ${name}, subset: v2 }, weight: 10 }
    - route: [{ destination: { host: ${name}, subset: v1 } }]
`;
}
