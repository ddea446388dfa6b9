// The rules of the captured mesh: reviews (HTTP) and store (TCP) with addresses that only exist in the heads of
// sidecars, all instances on one pod, and what that pod serves besides without anybody having said so.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const REVIEWS = '10.96.0.10';
export const STORE = '10.96.0.11';
export const MAIL = '10.96.0.13';
export const GUESSED = '10.96.0.12';

interface ServiceParts {
  readonly name: string;
  readonly ip: string;
  readonly portName: string;
  readonly port: number;
  readonly target: number;
}

const SERVICES: readonly ServiceParts[] = [
  { name: 'reviews', ip: REVIEWS, portName: 'http', port: 80, target: 9080 },
  { name: 'store', ip: STORE, portName: 'tcp-store', port: 5432, target: 5432 },
  { name: 'mail', ip: MAIL, portName: 'tcp-mail', port: 25, target: 3306 },
  { name: 'guessed', ip: GUESSED, portName: 'web', port: 81, target: 9080 },
];

function serviceText({ name, ip, portName, port, target }: ServiceParts, address: string): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { clusterIP: ${ip}, ports: [{ name: ${portName}, port: ${port}, targetPort: ${target} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: ${portName}, port: ${target} }]
endpoints: [{ addresses: [${address}], targetRef: { kind: Pod, name: server } }]
`;
}

/** Says that the pod has a sidecar with an identity. */
export function meshedPod(address: string): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: server, labels: { app: reviews, security.istio.io/tlsMode: istio } }
spec: { serviceAccountName: reviews }
status: { podIP: ${address}, phase: Running }
`;
}

export class CapturedRules {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** `address` is that of the pod that serves everything. */
  static async write(address: string): Promise<CapturedRules> {
    const rules = new CapturedRules(await mkdtemp(join(tmpdir(), 'outrigger-captured-')));
    const mesh = 'apiVersion: outrigger.dev/v1alpha1\nkind: MeshConfig\nprotocolDetectionTimeout: 2s\n';
    await rules.put('services', [mesh, ...SERVICES.map((service) => serviceText(service, address))]);
    return rules;
  }

  put(name: string, documents: readonly string[]): Promise<void> {
    return writeFile(join(this.directory, `${name}.yaml`), documents.join('---\n'));
  }

  remove(): Promise<void> {
    return rm(this.directory, { recursive: true });
  }
}
