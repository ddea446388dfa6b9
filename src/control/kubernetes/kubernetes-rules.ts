// Rules from an API server: each object is one name, and goes through the readers of `config` that files go through: the
// same Problems, the same last good version, the same stand-ins. It is synced when every kind has been listed once; a
// kind that is not served counts as empty, and is looked for.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { parseObject, type ParsedFile } from '../../config/parse.ts';
import type { KubeClient } from '../../kube/client.ts';
import { resourceName, type KubeKind } from '../../kube/kind-path.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import { Reflector, type ReflectorTiming } from '../../kube/reflector.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { RuleSink, RuleSource } from '../rule-source.ts';
import { objectName, shownObject } from './object-text.ts';
import { PodRules } from './pod-rules.ts';
import { ruleObject, type RuleObject } from './rule-object.ts';
import { watchedKinds } from './watched-kinds.ts';

export interface KubernetesRulesOptions {
  readonly client: KubeClient;
  readonly log: Log;
  readonly clock: Clock;
  /** Where the mesh configuration is. */
  readonly namespace: string;
  readonly timing?: Partial<ReflectorTiming>;
}

/** An object that was read. */
interface Read {
  readonly name: string;
  /** Null: no rule, and without a status of ours. */
  readonly rule: RuleObject | null;
  readonly parsed: ParsedFile;
}

export class KubernetesRules implements RuleSource {
  readonly #options: KubernetesRulesOptions;
  #reflectors: readonly Reflector<Read>[] = [];
  #pods: PodRules | null = null;
  #isStopped = false;

  constructor(options: KubernetesRulesOptions) {
    this.#options = options;
  }

  /** Waits for an API server that cannot be reached, however long: sidecars keep what they have. */
  async start(sink: RuleSink): Promise<void> {
    const { namespace, log } = this.#options;
    const waiting = new Set<string>();
    const { promise, resolve } = Promise.withResolvers<void>();
    const arrived = (name: string): void => {
      waiting.delete(name);
      if (waiting.size === 0) resolve();
    };
    this.#reflectors = watchedKinds(namespace).map(({ kind, selection, isRule }) => {
      const name = `${resourceName(kind)} ${selection.labelSelector ?? ''}${selection.fieldSelector ?? ''}`;
      waiting.add(name);
      return new Reflector<Read>({
        ...this.#common(),
        ...selection,
        kind,
        keep: (object) => read(kind, isRule, object),
        onChange: ({ old, next }) => {
          if (next !== null) sink.apply(next.name, next.parsed);
          else if (old !== null) sink.remove(old.name);
        },
        onSynced: () => arrived(name),
      });
    });
    waiting.add('pods');
    this.#pods = new PodRules(this.#common(), sink, () => arrived('pods'));
    for (const reflector of this.#reflectors) reflector.start();
    this.#pods.start();
    const telling = setInterval(
      () => log.info('waiting for the API server', { kinds: [...waiting].join(', ') }),
      WAIT_MS,
    );
    await promise;
    clearInterval(telling);
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    await Promise.all([...this.#reflectors.map((reflector) => reflector.stop()), this.#pods?.stop()]);
  }

  /** The rules that are there now, as the API server has them. */
  *objects(): Iterable<RuleObject> {
    for (const { objects } of this.#reflectors) for (const { rule } of objects.values()) if (rule !== null) yield rule;
  }

  knows({ addresses }: MeshNode): boolean {
    return this.#pods?.hasOne(addresses) ?? false;
  }

  #common(): Pick<KubernetesRulesOptions, 'client' | 'log' | 'clock' | 'timing'> {
    const { client, log, clock, timing } = this.#options;
    return { client, log, clock, ...(timing === undefined ? {} : { timing }) };
  }
}

const WAIT_MS = 10_000;

function read(kind: KubeKind, isRule: boolean, object: KubeObject): Read {
  const name = objectName(object);
  const rule = isRule ? ruleObject(kind, name, object) : null;
  return { name, rule, parsed: parseObject(name, shownObject(object)) };
}
