// Rules from an API server: each object is one name, and goes through the readers of `config` that files go through: the
// same Problems, the same last good version, the same stand-ins. It is synced when every kind has been listed once; a
// kind that is not served counts as empty, and is looked for. When the server was away and answers one question, all that
// wait for it ask at once.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { parseObject, type ParsedFile } from '../../config/parse.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import type { ObjectChange } from '../../kube/object-store.ts';
import type { ReflectorTiming } from '../../kube/reflector-timing.ts';
import { Reflector } from '../../kube/reflector.ts';
import type { KnownPods } from '../known-pods.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { RuleSink, RuleSource } from '../rule-source.ts';
import { objectName, shownObject } from './object-text.ts';
import { PodRules } from './pod-rules.ts';
import { ruleObject, type RuleObject } from './rule-object.ts';
import { watchedKinds, type WatchedKind } from './watched-kinds.ts';
import { watchCounters, type Watching } from './watch-counters.ts';

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

interface Watched extends WatchedKind {
  readonly reflector: Reflector<Read>;
}

export class KubernetesRules implements RuleSource {
  readonly #options: KubernetesRulesOptions;
  readonly #watched: Watched[] = [];
  #pods: PodRules | null = null;
  #isStopped = false;

  constructor(options: KubernetesRulesOptions) {
    this.#options = options;
  }

  /** Waits for an API server that cannot be reached, however long: sidecars keep what they have. */
  async start(sink: RuleSink): Promise<void> {
    const { namespace, log } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const arrived = (): void => {
      if (this.waiting().length === 0) resolve();
    };
    for (const watched of watchedKinds(namespace)) {
      const { kind, selection, otherVersions, isRule } = watched;
      const reflector = new Reflector<Read>({
        ...this.#common(),
        ...selection,
        kind,
        otherVersions,
        keep: (object) => read(kind, isRule, object),
        onChange: (change) => this.#tell(sink, kind, change),
        onSynced: arrived,
      });
      this.#watched.push({ ...watched, reflector });
    }
    this.#pods = new PodRules(this.#common(), sink, arrived);
    for (const { reflector } of this.#watched) reflector.start();
    this.#pods.start();
    const telling = setInterval(() => log.info('waiting for the API server', { for: this.#whatIsAwaited() }), WAIT_MS);
    await promise;
    clearInterval(telling);
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    await Promise.all([...this.#watched.map(({ reflector }) => reflector.stop()), this.#pods?.stop()]);
  }

  /** The rules that are there now, as the API server has them. */
  *objects(): Iterable<RuleObject> {
    for (const { reflector } of this.#watched)
      for (const { rule } of reflector.objects.values()) if (rule !== null) yield rule;
  }

  get pods(): KnownPods {
    return {
      at: (address) => this.#pods?.at(address) ?? [],
      named: (namespace, name) => this.#pods?.named(namespace, name) ?? null,
    };
  }

  knows({ addresses }: MeshNode): boolean {
    return this.#pods?.hasOne(addresses) ?? false;
  }

  /** What has not been listed yet, and why. */
  waiting(): readonly string[] {
    const unsynced = this.#reflectors().filter(({ isSynced }) => !isSynced);
    return [...new Set(unsynced.map(({ complaint, what }) => complaint || `${what}: asked for`))];
  }

  counters(): ReadonlyMap<string, number> {
    return watchCounters(this.#reflectors());
  }

  #reflectors(): readonly Watching[] {
    return [...this.#watched.map(({ reflector }) => reflector), ...(this.#pods?.reflectors ?? [])];
  }

  /** The first reason stands for all: mostly they have one in common. */
  #whatIsAwaited(): string {
    const [first = '', ...others] = this.waiting();
    return others.length === 0 ? first : `${first}; and ${others.length} more (/readyz)`;
  }

  /**
   * Secrets are watched in two sorts, and one that was replaced by one of the other sort is told of by two watches in any
   * order: it is gone when neither has it.
   */
  #tell(sink: RuleSink, kind: KubeKind, { key, old, next }: ObjectChange<Read>): void {
    if (next !== null) return sink.apply(next.name, next.parsed);
    if (old === null) return undefined;
    for (const { kind: other, reflector } of this.#watched) {
      const still = other === kind ? reflector.objects.get(key) : undefined;
      if (still !== undefined) return sink.apply(still.name, still.parsed);
    }
    return sink.remove(old.name);
  }

  #common(): Pick<KubernetesRulesOptions, 'client' | 'log' | 'clock' | 'timing'> & { readonly onAnswered: () => void } {
    const { client, log, clock, timing } = this.#options;
    const onAnswered = (): void => {
      for (const reflector of this.#reflectors()) reflector.hearAnswer();
    };
    return { client, log, clock, onAnswered, ...(timing === undefined ? {} : { timing }) };
  }
}

const WAIT_MS = 10_000;

function read(kind: KubeKind, isRule: boolean, object: KubeObject): Read {
  const name = objectName(object);
  // Its status is written where it is served.
  const version = object.apiVersion.split('/').at(-1) ?? kind.version;
  const rule = isRule ? ruleObject({ ...kind, version }, name, object) : null;
  return { name, rule, parsed: parseObject(name, shownObject(object)) };
}
