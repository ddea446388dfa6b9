// Writes the status of rules, as the one of all control services that leads: server-side apply with a field manager of our
// own, only where something is different, a few at a time. What cannot be written is tried again with the next look. A
// rule that is refused also gets an Event.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Problem } from '../../base/problem.ts';
import type { KubeClient } from '../../kube/client.ts';
import { EventRecorder } from '../../kube/event-recorder.ts';
import type { JsonRecord } from '../../kube/json-record.ts';
import { apiVersionOf, type KubeKind } from '../../kube/kind-path.ts';
import type { ProxyCount } from './proxy-records.ts';
import { CONTROLLER, wantedParents } from './route-parents.ts';
import type { RuleObject } from './rule-object.ts';
import { bounded, wantedConditions, writtenConditions, type Progress } from './rule-status.ts';

export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** Which process. */
  readonly instance: string;
  readonly rules: () => Iterable<RuleObject>;
  readonly problems: () => readonly Problem[];
  /** Null: what was heard last is not translated yet, and nothing can be said. */
  readonly progress: () => ((kind: KubeKind, version: string) => ProxyCount) | null;
  readonly log: Log;
  readonly clock: Clock;
  /** Between two looks; 1 s by default. */
  readonly lookMs?: number;
}

interface Seen {
  readonly generation: number;
  /** The version in which it was first seen. */
  readonly version: string;
  /** When this generation was first seen. */
  readonly sinceMs: number;
  failures: number;
  /** After a failure: not before. Others are not to wait for what cannot be written. */
  notBeforeMs: number;
  /** What was written on, until the watch brings what came of it. */
  writtenOn: string;
}

/** What a status should say. */
interface Wanted {
  readonly status: JsonRecord;
  /** Why the rule is refused; empty: it is not. */
  readonly refused: string;
}

const FIELD_MANAGER = 'outrigger-control';
const LOOK_MS = 1000;
/** Of one look; the others wait for the next. */
const WRITES_MAX = 50;
const AT_ONCE = 5;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** Kinds that have no status, or another. */
const SILENT: ReadonlySet<string> = new Set(['ReferenceGrant', 'XBackendTrafficPolicy']);

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #events: EventRecorder;
  /** By file. */
  readonly #seen = new Map<string, Seen>();
  #timer: NodeJS.Timeout | null = null;
  #isEnded = false;
  #looking: Promise<void> = Promise.resolve();
  readonly counts = { written: 0, failed: 0 };

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    const { client, instance, log, clock } = options;
    this.#events = new EventRecorder({ client, controller: CONTROLLER, instance, log, clock });
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => {
        if (!this.#isEnded) this.start();
      });
    }, this.#options.lookMs ?? LOOK_MS).unref();
  }

  async stop(): Promise<void> {
    this.#isEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
    await this.#events.stop();
  }

  async #look(): Promise<void> {
    const { rules, problems, clock } = this.#options;
    const byFile = Map.groupBy(problems(), ({ place }) => place?.file ?? '');
    const nowMs = clock.now();
    const progress = this.#options.progress();
    if (progress === null) return;
    const due: (() => Promise<void>)[] = [];
    const there = new Set<string>();
    for (const rule of rules()) {
      there.add(rule.file);
      const seen = this.#note(rule, nowMs);
      if (nowMs < seen.notBeforeMs) continue;
      // What is known is older than what was written: it would be written again.
      if (seen.writtenOn === rule.resourceVersion) continue;
      const ageMs = nowMs - seen.sinceMs;
      const write = this.#writeOf(rule, byFile.get(rule.file) ?? [], {
        ...progress(rule.kind, seen.version),
        ageMs,
      });
      if (write !== null && due.length < WRITES_MAX) due.push(write);
    }
    for (const file of this.#seen.keys()) if (!there.has(file)) this.#seen.delete(file);
    for (let first = 0; first < due.length && !this.#isEnded; first += AT_ONCE)
      await Promise.all(due.slice(first, first + AT_ONCE).map(async (write) => await write()));
  }

  #note({ file, generation, resourceVersion: version }: RuleObject, nowMs: number): Seen {
    const known = this.#seen.get(file);
    if (known?.generation === generation) return known;
    const seen = { generation, version, sinceMs: nowMs, failures: 0, notBeforeMs: 0, writtenOn: '' };
    this.#seen.set(file, seen);
    return seen;
  }

  #postpone(file: string): void {
    const seen = this.#seen.get(file);
    if (seen === undefined) return;
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** seen.failures);
    seen.failures += 1;
    seen.notBeforeMs = this.#options.clock.now() + waitMs;
  }

  /** Null: its status says what it should. */
  #writeOf(rule: RuleObject, problems: readonly Problem[], progress: Progress): (() => Promise<void>) | null {
    if (SILENT.has(rule.kind.kind)) return null;
    const time = new Date(this.#options.clock.wall()).toISOString().replace(/\.\d+Z$/, 'Z');
    const refused = bounded(problems.filter(({ severity }) => severity === 'error'));
    if (rule.kind.kind === 'HTTPRoute') {
      const parents = wantedParents(problems, rule, progress, time);
      return parents === null ? null : async () => await this.#write(rule, { status: { parents }, refused });
    }
    const wanted = wantedConditions(problems, rule, progress);
    const conditions = writtenConditions(wanted, rule.conditions, { generation: rule.generation, time });
    if (conditions === null) return null;
    const status = { observedGeneration: rule.generation, conditions };
    return async () => await this.#write(rule, { status, refused });
  }

  async #write(rule: RuleObject, { status, refused }: Wanted): Promise<void> {
    const { client, log } = this.#options;
    const { kind, namespace, name, resourceVersion } = rule;
    const answer =
      'parents' in status
        ? await client.patchMerge(
            kind,
            { namespace, name },
            // Others write into the same list: what they wrote since is not to be lost.
            { metadata: { resourceVersion }, status },
            { subresource: 'status', fieldManager: FIELD_MANAGER },
          )
        : await client.applyStatus(
            kind,
            { metadata: { namespace, name }, status },
            { fieldManager: FIELD_MANAGER, isForced: true },
          );
    if (answer.kind === 'failed') {
      this.counts.failed += 1;
      this.#postpone(rule.file);
      if (answer.failure.status !== 404)
        log.info('a status cannot be written', { rule: rule.file, cause: answer.failure.message });
      return;
    }
    this.counts.written += 1;
    const seen = this.#seen.get(rule.file);
    if (seen !== undefined) {
      seen.failures = 0;
      // The same version: nothing came of it, and no watch will tell.
      seen.writtenOn = answer.value.metadata.resourceVersion === resourceVersion ? '' : resourceVersion;
    }
    if (refused !== '') this.#tell(rule, refused);
  }

  #tell({ kind, namespace, name, uid }: RuleObject, note: string): void {
    const regarding = { apiVersion: apiVersionOf(kind), kind: kind.kind, namespace, name, uid };
    this.#events.note({ regarding, type: 'Warning', reason: 'Rejected', action: 'Translating', note });
  }
}
