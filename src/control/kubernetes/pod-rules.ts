// Pods and the Nodes that they run on. A Pod says who serves, with what labels and as whom; its Node says where. Whoever
// joins from the address of a Pod that is known is that Pod, and no other workload.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { parseObject } from '../../config/parse.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import { recordOf, textOf } from '../../kube/json-record.ts';
import type { ReflectorTiming } from '../../kube/reflector-timing.ts';
import { Reflector } from '../../kube/reflector.ts';
import type { RuleSink } from '../rule-source.ts';
import { objectName, shownPod } from './object-text.ts';
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
  readonly ip: string;
}

export class PodRules {
  readonly #pods: Reflector<KeptPod>;
  readonly #nodes: Reflector<string>;
  readonly #sink: RuleSink;
  /** How many Pods have the address: those on the network of their Node share it. */
  readonly #addresses = new Map<string, number>();
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

  #podChanged(key: string, old: KeptPod | null, next: KeptPod | null): void {
    if (old !== null) {
      this.#count(old.ip, -1);
      this.#byNode.get(old.node)?.delete(key);
    }
    if (next === null) {
      if (old !== null) this.#sink.remove(objectName(old.object));
      return;
    }
    this.#count(next.ip, 1);
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

  #count(ip: string, by: 1 | -1): void {
    if (ip === '') return;
    const count = (this.#addresses.get(ip) ?? 0) + by;
    if (count <= 0) this.#addresses.delete(ip);
    else this.#addresses.set(ip, count);
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
  const slim = { ...metadata, annotations: {}, ownerReferences: [], finalizers: [] };
  const shown = shownPod(object, '');
  const kept: KubeObject = { apiVersion, kind, metadata: slim, spec: shown['spec'], status: shown['status'] };
  return { object: kept, node: textOf(recordOf(object['spec'])['nodeName']), ip: textOf(status['podIP']) };
}
