// Events on users' objects (events.k8s.io/v1), as few as will do: one that says the same of the same object again
// becomes a series, which is written once in a while; each object has a budget, and all of them share one queue. Events
// are a courtesy: what cannot be written is dropped and counted, and nothing waits for it.
import type { Clock } from '../base/clock.ts';
import { LocalKeyedBuckets } from '../base/keyed-buckets.ts';
import type { Log } from '../base/log.ts';
import type { KubeClient, KubeDraft } from './client.ts';
import { formatFailure, type KubeFailure } from './kube-answer.ts';
import type { KubeName } from './kind-path.ts';
import { KNOWN_KINDS } from './known-kinds.ts';
import { microTime } from './lease-elector.ts';

export interface EventReference {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty when it has none; the event then stands in `default`. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
}

export interface KubeNote {
  readonly regarding: EventReference;
  readonly type: 'Normal' | 'Warning';
  /** Why, in one word: `Rejected`. 128 characters. */
  readonly reason: string;
  /** What was done: `Validating`. 128 characters. */
  readonly action: string;
  /** For a person; cut to 1024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'create' | 'patchMerge'>;
  /** `outrigger.dev/control`. */
  readonly controller: string;
  /** Which process. */
  readonly instance: string;
  readonly log: Log;
  readonly clock: Clock;
  /** `Math.random` by default. */
  readonly random?: () => number;
  /** A series is written so often at most, and forgotten after six times that without another; 60 s. */
  readonly seriesMs?: number;
}

export interface EventCounters {
  readonly written: number;
  /** Became part of a series. */
  readonly merged: number;
  /** Beyond the budget of their object, or of the queue. */
  readonly dropped: number;
  readonly failed: number;
}

interface Series {
  readonly note: KubeNote;
  readonly name: KubeName;
  count: number;
  /** Unix epoch. */
  lastWallMs: number;
  lastMs: number;
  writtenCount: number;
  writtenMs: number;
  isQueued: boolean;
}

const WORD_CHARACTERS_MAX = 128;
const NOTE_BYTES_MAX = 1024;
const SERIES_MAX = 4096;
const QUEUE_MAX = 1000;
const OBJECTS_MAX = 4096;
/** As the recorder of Kubernetes itself: 25 at once, then one in five minutes. */
const BUDGET = { tokensMax: 25, tokensPerMs: 1 / 300_000 };
const SERIES_MS = 60_000;
const FORGET_AFTER = 6;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #seriesMs: number;
  readonly #series = new Map<string, Series>();
  readonly #budgets = new LocalKeyedBuckets(OBJECTS_MAX);
  readonly #queue: Series[] = [];
  readonly #counts = { written: 0, merged: 0, dropped: 0, failed: 0 };
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> | null = null;
  #complaint = '';

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#seriesMs = options.seriesMs ?? SERIES_MS;
    this.#timer = setInterval(() => this.#tend(), this.#seriesMs);
    this.#timer.unref();
  }

  note(note: KubeNote): void {
    const { clock } = this.#options;
    const { regarding, type, reason, action } = note;
    const object = [regarding.apiVersion, regarding.kind, regarding.namespace, regarding.name, regarding.uid].join(
      '\n',
    );
    const key = [object, type, reason, action, note.note].join('\n');
    const nowMs = clock.now();
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < FORGET_AFTER * this.#seriesMs) {
      known.count++;
      known.lastMs = nowMs;
      known.lastWallMs = clock.wall();
      this.#counts.merged++;
      return;
    }
    if (!this.#budgets.of(object).take(nowMs, BUDGET, 1) || this.#queue.length >= QUEUE_MAX) {
      this.#counts.dropped++;
      return;
    }
    const series = this.#make(note, nowMs);
    this.#series.delete(key);
    this.#series.set(key, series);
    for (const oldest of this.#series.keys()) {
      if (this.#series.size <= SERIES_MAX) break;
      this.#series.delete(oldest);
    }
    this.#enqueue(series);
  }

  counters(): EventCounters {
    return { ...this.#counts };
  }

  /** Resolves when all that was noted so far has been tried, series included. */
  async flush(): Promise<void> {
    await this.#writing;
    for (const series of this.#series.values()) if (series.count > series.writtenCount) this.#enqueue(series);
    await this.#writing;
  }

  /** Writes what is there, for as long as that takes the client, and ends. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #make(note: KubeNote, nowMs: number): Series {
    const { clock, random = Math.random } = this.#options;
    const suffix = `${Math.floor(clock.wall()).toString(16)}${Math.floor(random() * 0x10000_0000).toString(16)}`;
    // A name has 253 characters at most.
    const name = `${note.regarding.name.slice(0, 200)}.${suffix}`;
    return {
      note,
      name: { namespace: note.regarding.namespace || 'default', name },
      count: 1,
      lastWallMs: clock.wall(),
      lastMs: nowMs,
      writtenCount: 0,
      writtenMs: nowMs,
      isQueued: false,
    };
  }

  /** Writes series that went on, and forgets those that did not. */
  #tend(): void {
    const nowMs = this.#options.clock.now();
    for (const [key, series] of this.#series) {
      if (series.count > series.writtenCount && nowMs - series.writtenMs >= this.#seriesMs) this.#enqueue(series);
      else if (nowMs - series.lastMs >= FORGET_AFTER * this.#seriesMs) this.#series.delete(key);
    }
  }

  #enqueue(series: Series): void {
    if (series.isQueued || this.#queue.length >= QUEUE_MAX) return;
    series.isQueued = true;
    this.#queue.push(series);
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    for (let series = this.#queue.shift(); series !== undefined; series = this.#queue.shift()) {
      const { count } = series;
      const isNew = series.writtenCount === 0;
      const { client, clock } = this.#options;
      const answer = isNew
        ? await client.create(KNOWN_KINDS.event, this.#event(series))
        : await client.patchMerge(KNOWN_KINDS.event, series.name, { series: seriesOf(series) });
      series.writtenCount = count;
      series.writtenMs = clock.now();
      series.isQueued = false;
      if (answer.kind === 'done') this.#counts.written++;
      else this.#fail(answer.failure);
    }
    this.#writing = null;
  }

  #event(series: Series): KubeDraft {
    const { note, name, lastWallMs, count } = series;
    return {
      metadata: { name: name.name, namespace: name.namespace },
      eventTime: microTime(lastWallMs),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, WORD_CHARACTERS_MAX),
      type: note.type,
      reason: note.reason.slice(0, WORD_CHARACTERS_MAX),
      action: note.action.slice(0, WORD_CHARACTERS_MAX),
      note: cut(note.note),
      regarding: note.regarding,
      ...(count > 1 ? { series: seriesOf(series) } : {}),
    };
  }

  #fail(failure: KubeFailure): void {
    this.#counts.failed++;
    if (failure.reason !== this.#complaint)
      this.#options.log.warning(`an event was not written: ${formatFailure(failure)}`);
    this.#complaint = failure.reason;
  }
}

function seriesOf({ count, lastWallMs }: Series): Readonly<Record<string, unknown>> {
  return { count, lastObservedTime: microTime(lastWallMs) };
}

/** To bytes, at the end of a character. */
function cut(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= NOTE_BYTES_MAX) return text;
  let end = NOTE_BYTES_MAX - 3;
  // A byte that goes on with a character begins with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${new TextDecoder().decode(bytes.subarray(0, end))}…`;
}
