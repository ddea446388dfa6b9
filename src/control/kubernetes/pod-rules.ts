// Pods and the Nodes that they run on. A Pod says who serves, with what labels and as whom; its Node says where. Whoever
// joins from the address of a Pod that is known is that Pod, and no other workload.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { parseObject } from '../../config/parse.ts';
import type { KubeClient } from '../../kube/client.ts';
import { keyOf, type KubeObject } from '../../kube/kube-object.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import { listOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';
import type { ReflectorTiming } from '../../kube/reflector-timing.ts';
import { Reflector } from '../../kube/reflector.ts';
import type { KnownPod } from '../known-pods.ts';
import type { RuleSink } from '../rule-source.ts';
import { objectName, podLabels, shownPod } from './object-text.ts';
import type { Watching } from './watch-counters.ts';

const REGION = 'topology.kubernetes.io/region';
const ZONE = 'topology.kubernetes.io/zone';

export interface PodRulesOptions {
  readonly client: KubeClient;
  readonly log: Log;
  readonly clock: Clock;
  readonly timing?: Partial<ReflectorTiming>;
  /** The API server answers again. */
  readonly onAnswered: () => void;
}

/** The few fields of a Pod that are kept, as an object again. */
interface KeptPod {
  readonly object: KubeObject;
  readonly node: string;
  readonly facts: KnownPod;
}

export class PodRules {
  readonly #pods: Reflector<KeptPod>;
  readonly #nodes: Reflector<string>;
  readonly #sink: RuleSink;
  /** Those on the network of their Node share its addresses. */
  readonly #addresses = new Map<string, KnownPod[]>();
  /** Keys of the Pods on it. */
  readonly #byNode = new Map<string, Set<string>>();

  constructor(options: PodRulesOptions, sink: RuleSink, onSynced: () => void) {
    this.#sink = sink;
    const { client, log, clock, onAnswered, timing } = options;
    const common = { client, log, clock, onAnswered, ...(timing === undefined ? {} : { timing }) };
    this.#nodes = new Reflector<string>({
      ...common,
      kind: KNOWN_KINDS.node,
      keep: localityOf,
      onChange: ({ key }) => this.#nodeMoved(key),
      onSynced: () => this.#pods.start(),
    });
    this.#pods = new Reflector<KeptPod>({
      ...common,
      kind: KNOWN_KINDS.pod,
      keep: keptPod,
      onChange: ({ key, old, next }) => this.#podChanged(key, old, next),
      onSynced,
    });
  }

  /** Pods after Nodes, so that each is read once. */
  start(): void {
    this.#nodes.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nodes.stop(), this.#pods.stop()]);
  }

  get reflectors(): readonly Watching[] {
    return [this.#nodes, this.#pods];
  }

  /** Whether a Pod has one of the addresses. */
  hasOne(addresses: readonly string[]): boolean {
    return addresses.some((address) => this.#addresses.has(address));
  }

  at(address: string): readonly KnownPod[] {
    return this.#addresses.get(address) ?? [];
  }

  named(namespace: string, name: string): KnownPod | null {
    return this.#pods.objects.get(keyOf({ namespace, name }))?.facts ?? null;
  }

  #podChanged(key: string, old: KeptPod | null, next: KeptPod | null): void {
    if (old !== null) {
      this.#forget(old.facts);
      this.#byNode.get(old.node)?.delete(key);
    }
    if (next === null) {
      if (old !== null) this.#sink.remove(objectName(old.object));
      return;
    }
    this.#note(next.facts);
    const there = this.#byNode.get(next.node) ?? new Set<string>();
    this.#byNode.set(next.node, there.add(key));
    this.#tell(next);
  }

  #nodeMoved(node: string): void {
    for (const key of this.#byNode.get(node) ?? []) {
      const pod = this.#pods.objects.get(key);
      if (pod !== undefined) this.#tell(pod);
    }
  }

  #tell({ object, node }: KeptPod): void {
    const name = objectName(object);
    this.#sink.apply(name, parseObject(name, shownPod(object, this.#nodes.objects.get(node) ?? '')));
  }

  #note(pod: KnownPod): void {
    for (const address of pod.addresses) {
      const there = this.#addresses.get(address);
      if (there === undefined) this.#addresses.set(address, [pod]);
      else there.push(pod);
    }
  }

  #forget(pod: KnownPod): void {
    for (const address of pod.addresses) {
      const left = (this.#addresses.get(address) ?? []).filter((other) => other !== pod);
      if (left.length === 0) this.#addresses.delete(address);
      else this.#addresses.set(address, left);
    }
  }
}

/** `region.zone`, as the label of a Pod has it; null: the Node does not say. */
function localityOf({ metadata: { labels } }: KubeObject): string | null {
  const [region = '', zone = ''] = [labels[REGION], labels[ZONE]];
  return region === '' && zone === '' ? null : `${region}.${zone}`;
}

/** Null: it has come to its end. */
function keptPod(object: KubeObject): KeptPod | null {
  const status = recordOf(object['status']);
  const phase = textOf(status['phase']);
  if (phase === 'Succeeded' || phase === 'Failed') return null;
  const { metadata, apiVersion, kind } = object;
  const slim = { ...metadata, labels: podLabels(object), annotations: {}, ownerReferences: [], finalizers: [] };
  const shown = shownPod(object, '');
  const kept: KubeObject = { apiVersion, kind, metadata: slim, spec: shown['spec'], status: shown['status'] };
  const spec = recordOf(object['spec']);
  return { object: kept, node: textOf(spec['nodeName']), facts: factsOf(metadata, spec, status) };
}

function factsOf({ namespace, name, uid }: KubeObject['metadata'], spec: JsonRecord, status: JsonRecord): KnownPod {
  const all = [status['podIP'], ...listOf(status['podIPs']).map((one) => recordOf(one)['ip'])].map(textOf);
  return {
    namespace,
    name,
    uid,
    serviceAccount: textOf(spec['serviceAccountName']),
    addresses: [...new Set(all.filter((address) => address !== ''))],
    isOnNode: spec['hostNetwork'] === true,
  };
}
