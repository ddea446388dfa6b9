// Somebody who changes a cluster all the time: makes, changes and deletes Services, EndpointSlices, Pods, Nodes' zones,
// Namespaces with all that is in them, Secrets and rules, always in the same order. Four services, `kept-0` to `kept-3`, with
// their slices and rules, are changed and never deleted: nobody may lose them.
import { setTimeout as sleep } from 'node:timers/promises';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { KubeClient, type KubeDraft } from '../../src/kube/client.ts';
import type { KubeAnswer } from '../../src/kube/kube-answer.ts';
import type { KubeKind, KubeName } from '../../src/kube/kind-path.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import type { JsonRecord } from '../../src/kube/json-record.ts';
import { TestAuthority } from '../support/test-authority.ts';
import type { ApiServer } from './api-server.ts';

export const SHOP = 'shop';
export const KEPT = 4;
const { service, endpointSlice, secret, pod, node, namespace, configMap } = KNOWN_KINDS;
const SYSTEM = 'outrigger-system';
const FIELD_MANAGER = 'restless';

export class RestlessCluster {
  readonly #client: KubeClient;
  readonly #authority = new TestAuthority('restless');
  readonly #kinds: ReadonlyMap<string, KubeKind>;
  #step = 0;

  constructor(kube: ApiServer) {
    this.#client = new KubeClient({ access: kube.access() });
    this.#kinds = new Map(
      kindSchemas().map(({ kind, group, plural, versions }) => {
        return [kind, { kind, group, plural, version: versions[0] ?? 'v1', isNamespaced: true }];
      }),
    );
  }

  get steps(): number {
    return this.#step;
  }

  /** What is there from the beginning. */
  async prepare(): Promise<void> {
    for (const name of [SHOP, SYSTEM, 'dock']) await this.#apply(namespace, { metadata: { name } });
    for (const name of [SHOP, 'dock'])
      await this.#apply(KNOWN_KINDS.serviceAccount, { metadata: { name: 'default', namespace: name } });
    for (let i = 0; i < KEPT; i++) await this.#keep(i);
    for (let i = 0; i < 3; i++) await this.#moveNode(i);
    await this.#apply(service, serviceDraft('podded', SHOP, { selector: { app: 'podded' } }));
  }

  async change(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#change();
  }

  async changeFor(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    while (performance.now() < endMs) {
      await this.#change();
      await sleep(5);
    }
  }

  /** One of each kind, which `change` never touches: made or changed, or deleted and, as another, made again. */
  async landmarks(label: string, how: 'made' | 'deleted' | 'replaced'): Promise<void> {
    for (const [kind, draft] of this.#landmarks(label)) {
      if (how !== 'made') await this.#remove(kind, { namespace: draft.metadata.namespace ?? '', name: label });
      if (how !== 'deleted') await this.#apply(kind, draft);
    }
  }

  #landmarks(label: string): readonly (readonly [KubeKind, KubeDraft])[] {
    const pair = this.#authority.issue({ dns: [`${label}.example`] });
    const metadata = { name: label, namespace: SHOP };
    const containers = [{ name: 'app', image: 'none' }];
    const stringData = { 'tls.crt': pair.cert, 'tls.key': pair.key };
    const slice = sliceDraft(label, SHOP, this.#step);
    return [
      [service, serviceDraft(label, SHOP, {})],
      [endpointSlice, { ...slice, metadata: { ...slice.metadata, name: label } }],
      [pod, { metadata, spec: { containers, automountServiceAccountToken: false } }],
      [secret, { metadata, type: 'kubernetes.io/tls', stringData }],
      [node, { metadata: { name: label, labels: { 'topology.kubernetes.io/zone': label } } }],
      this.#rule('VirtualService', label, SHOP, { hosts: [label], http: [{ redirect: { uri: `/${this.#step}` } }] }),
      this.#rule('DestinationRule', label, SHOP, { host: label, subsets: [{ name: label, labels: { app: label } }] }),
      this.#rule('ServiceEntry', label, SHOP, { ...entry(0, this.#step), hosts: [`${label}.example`] }),
      this.#rule('PeerAuthentication', label, SHOP, {
        selector: { matchLabels: { app: label } },
        mtls: { mode: 'STRICT' },
      }),
    ];
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #change(): Promise<void> {
    const step = ++this.#step;
    const index = (step * 7) % 12;
    const isGoing = step % 3 === 0;
    const where = index % 2 === 0 ? SHOP : 'dock';
    switch (step % 13) {
      case 0:
        return await this.#keep(step % KEPT);
      case 1:
      case 2:
        return await this.#either(isGoing, service, serviceDraft(`s${index}`, where, { extra: step % 4 }));
      case 3:
      case 4:
        return await this.#either(isGoing, endpointSlice, sliceDraft(`s${index}`, where, step));
      case 5:
        return await this.#either(isGoing, ...this.#rule('VirtualService', `s${index}`, where, this.#routes(index)));
      case 6:
        return await this.#either(isGoing, ...this.#rule('DestinationRule', `s${index}`, where, subsets(index, step)));
      case 7:
        return await this.#either(isGoing, ...this.#rule('ServiceEntry', `e${index}`, where, entry(index, step)));
      case 8:
        return await this.#either(isGoing, ...this.#security(index, where));
      case 9:
        return await this.#secret(isGoing, `c${index % 4}`);
      case 10:
        return await this.#pod(isGoing, index % 5);
      case 11:
        return await this.#moveNode(step % 3);
      default:
        return await this.#rarely(isGoing, step);
    }
  }

  async #rarely(isGoing: boolean, step: number): Promise<void> {
    if (step % 2 === 0) return await this.#meshConfig(step);
    const name = `passing-${step % 2}`;
    if (isGoing) return await this.#remove(namespace, { namespace: '', name });
    // One that is going away takes nothing: then it is left for the next time.
    await this.#client.apply(namespace, { metadata: { name } }, { fieldManager: FIELD_MANAGER });
    const inside: readonly (readonly [KubeKind, KubeDraft])[] = [
      [service, serviceDraft('inside', name, {})],
      [endpointSlice, sliceDraft('inside', name, step)],
      this.#rule('VirtualService', 'inside', name, { hosts: ['inside'], http: [{ redirect: { uri: `/${step}` } }] }),
    ];
    for (const [kind, draft] of inside)
      await this.#client.apply(kind, draft, { fieldManager: FIELD_MANAGER, isForced: true });
  }

  async #keep(index: number): Promise<void> {
    const name = `kept-${index}`;
    const step = this.#step;
    await this.#apply(service, serviceDraft(name, SHOP, {}));
    await this.#apply(endpointSlice, sliceDraft(name, SHOP, step));
    const http = [
      { match: [{ uri: { prefix: `/${step}` } }], redirect: { uri: '/' } },
      { route: [{ destination: { host: name } }] },
    ];
    await this.#apply(...this.#rule('VirtualService', name, SHOP, { hosts: [name], http }));
  }

  async #moveNode(index: number): Promise<void> {
    const zone = `zone-${this.#step % 4}`;
    const labels = { 'topology.kubernetes.io/region': 'north', 'topology.kubernetes.io/zone': zone };
    await this.#apply(node, { metadata: { name: `n${index}`, labels } });
  }

  async #meshConfig(step: number): Promise<void> {
    const mesh = `accessLogFile: "${step % 4 === 0 ? '' : '/dev/stdout'}"\noutboundTrafficPolicy: { mode: ${step % 3 === 0 ? 'REGISTRY_ONLY' : 'ALLOW_ANY'} }\n`;
    await this.#apply(configMap, { metadata: { name: 'istio', namespace: SYSTEM }, data: { mesh } });
  }

  /** With another type as often as with another certificate: each type is watched by itself. */
  async #secret(isGoing: boolean, name: string): Promise<void> {
    const key = { namespace: SHOP, name };
    await this.#remove(secret, key);
    if (isGoing) return;
    const pair = this.#authority.issue({ dns: [`${name}.example`] });
    const isTyped = this.#step % 2 === 0;
    const labels = isTyped ? {} : { 'outrigger.dev/credential': 'true' };
    const stringData = isTyped ? { 'tls.crt': pair.cert, 'tls.key': pair.key } : { cert: pair.cert, key: pair.key };
    const type = isTyped ? 'kubernetes.io/tls' : 'Opaque';
    good(await this.#client.create(secret, { metadata: { ...key, labels }, type, stringData }));
  }

  /** Another Pod under the same name each time: with another uid and, mostly, another address. */
  async #pod(isGoing: boolean, index: number): Promise<void> {
    const key = { namespace: SHOP, name: `p${index}` };
    await this.#remove(pod, key);
    if (isGoing) return;
    const metadata = { ...key, labels: { app: 'podded', version: `v${this.#step % 2}` } };
    const containers = [{ name: 'app', image: 'none', ports: [{ containerPort: 8080 }] }];
    const spec = { nodeName: `n${this.#step % 3}`, containers, automountServiceAccountToken: false };
    good(await this.#client.create(pod, { metadata, spec }));
    const ip = `10.1.${index}.${1 + (this.#step % 200)}`;
    const conditions = ['Ready', 'PodScheduled'].map((type) => ({ type, status: 'True' }));
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions };
    good(await this.#client.patchMerge(pod, key, { status }, { subresource: 'status' }));
  }

  #routes(index: number): JsonRecord {
    const step = this.#step;
    const route = [{ destination: { host: `s${index}` } }];
    return { hosts: [`s${index}`], http: [{ match: [{ uri: { prefix: `/${step}` } }], route, timeout: `${step}s` }] };
  }

  #security(index: number, where: string): [KubeKind, KubeDraft] {
    const selector = { matchLabels: { app: `s${index}` } };
    if (index % 3 === 0)
      return this.#rule('PeerAuthentication', `s${index}`, where, { selector, mtls: { mode: 'STRICT' } });
    if (index % 3 === 1)
      return this.#rule('Telemetry', `s${index}`, where, { selector, accessLogging: [{ disabled: index > 5 }] });
    const rules = [{ to: [{ operation: { paths: [`/${this.#step}`] } }] }];
    return this.#rule('AuthorizationPolicy', `s${index}`, where, { selector, rules });
  }

  #rule(kind: string, name: string, where: string, spec: JsonRecord): [KubeKind, KubeDraft] {
    const found = this.#kinds.get(kind);
    if (found === undefined) throw new Error(`no schema of ${kind}`);
    return [found, { metadata: { name, namespace: where }, spec }];
  }

  async #either(isGoing: boolean, kind: KubeKind, draft: KubeDraft): Promise<void> {
    const { namespace: where = '', name } = draft.metadata;
    if (isGoing) await this.#remove(kind, { namespace: where, name });
    else await this.#apply(kind, draft);
  }

  async #apply(kind: KubeKind, draft: KubeDraft): Promise<void> {
    good(await this.#client.apply(kind, draft, { fieldManager: FIELD_MANAGER, isForced: true }));
  }

  /** At once, whether it is there or not. */
  async #remove(kind: KubeKind, name: KubeName): Promise<void> {
    const path = `/api/v1/namespaces/${name.namespace}/pods/${name.name}?gracePeriodSeconds=0`;
    const answer =
      kind.kind === 'Pod' ? await this.#client.call({ method: 'DELETE', path }) : await this.#client.remove(kind, name);
    if (answer.kind === 'failed' && answer.failure.status !== 404 && answer.failure.status !== 409) good(answer);
  }
}

function good(answer: KubeAnswer<unknown>): void {
  if (answer.kind === 'failed') throw new Error(answer.failure.message);
}

function serviceDraft(
  name: string,
  where: string,
  { extra = 0, selector }: { readonly extra?: number; readonly selector?: JsonRecord },
): KubeDraft {
  const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
  for (let i = 0; i < extra; i++) ports.push({ name: `http-${i}`, port: 81 + i, targetPort: 8081 + i });
  return { metadata: { name, namespace: where }, spec: { ports, ...(selector === undefined ? {} : { selector }) } };
}

function sliceDraft(of: string, where: string, step: number): KubeDraft {
  const endpoints = Array.from({ length: 1 + (step % 3) }, (_, i) => ({
    addresses: [`10.2.${step % 250}.${i + 1}`],
    conditions: { ready: true },
  }));
  const metadata = { name: `${of}-a`, namespace: where, labels: { 'kubernetes.io/service-name': of } };
  const ports = [0, 1, 2, 3].map((i) => ({ name: i === 0 ? 'http' : `http-${i - 1}`, port: 8080 + i }));
  return { metadata, addressType: 'IPv4', endpoints, ports };
}

function subsets(index: number, step: number): JsonRecord {
  const names = ['v1', 'v2', 'v3'].slice(0, 1 + (step % 3));
  return { host: `s${index}`, subsets: names.map((name) => ({ name, labels: { version: name } })) };
}

function entry(index: number, step: number): JsonRecord {
  return {
    hosts: [`e${index}.example`],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    endpoints: [{ address: `10.3.0.${1 + (step % 200)}` }],
  };
}
