// The bounded queue in front of one Collector. One export is under way at a time; a batch that
// failed is tried again after a pause, a few times, while new spans wait behind it up to the bound.
// What does not fit is dropped and counted. Nothing here is awaited by a request.
//
//   add ─► │ queue ≤ 2048 │ ─► batch of ≤ 512, once a second or when full ─► exporter
//               ▲                                                               │
//               └──────────────── failed, tries left ◄──────────────────────────┘
import { createBackoff } from '../base/backoff.ts';
import type { Log } from '../base/log.ts';
import { makeExportBreaker, type GuardedExport } from './export-breaker.ts';
import type { Registry } from './registry.ts';
import { makeExporter, type Exporter, type TargetSpec } from './span-exporter.ts';
import type { Sdk } from './span-sdk.ts';
import { SpanBatch } from './span-batch.ts';
import { encodeSpan } from './span-encoder.ts';
import type { SpanRecord } from './span-shape.ts';

const QUEUE_MAX = 2048;
const BATCH_MAX = 512;
const SPARE_MAX = 2;
const FLUSH_MS = 1000;
const TRIES_MAX = 5;
/** Past the exporter's own timeout, the export is given up: a callback that never comes must not stop us. */
const GRACE_MS = 2000;

export class SpanCounters {
  readonly registry: Registry;
  readonly exported: number;
  readonly droppedFull: number;
  readonly droppedFailed: number;
  readonly failures: number;

  constructor(registry: Registry) {
    const dropped = registry.family({
      name: 'outrigger_spans_dropped_total',
      help: 'Spans that were not exported: the queue was full, or the Collector did not take them.',
      kind: 'counter',
      labelNames: ['reason'],
    });
    this.registry = registry;
    this.exported = registry.counter('outrigger_spans_exported_total', 'Spans that a Collector has taken.');
    this.failures = registry.counter('outrigger_span_export_failures_total', 'Exports that failed.');
    this.droppedFull = dropped.slot(['queue-full']);
    this.droppedFailed = dropped.slot(['export-failed']);
  }
}

export interface SpanQueueInit {
  readonly spec: TargetSpec;
  readonly counters: SpanCounters;
  readonly log: Log;
  /** Null when it cannot be loaded. */
  readonly sdk: Promise<Sdk | null>;
}

export class SpanQueue {
  readonly #sdk: Promise<Sdk | null>;
  readonly #spec: TargetSpec;
  readonly #counters: SpanCounters;
  readonly #log: Log;
  readonly #backoff = createBackoff({ baseMs: 500, maxMs: 5000 });
  /** Oldest first; the last one is being filled. */
  readonly #batches: SpanBatch[] = [];
  /** Batches that are free to be filled again. */
  readonly #spare: SpanBatch[] = [];
  /** Spans in all batches. */
  #length = 0;
  #tries = 0;
  #exporter: Exporter | null = null;
  #guarded: GuardedExport | null = null;
  #address = '';
  #timer: NodeJS.Timeout | null = null;
  #export: Promise<void> | null = null;
  #isClosed = false;

  constructor({ spec, counters, log, sdk }: SpanQueueInit) {
    this.#sdk = sdk;
    this.#spec = spec;
    this.#counters = counters;
    this.#log = log;
  }

  /** False when the queue is full; the `count` spans that are not made for that reason count as dropped. */
  admits(count: number): boolean {
    if (this.#length < QUEUE_MAX && !this.#isClosed) return true;
    this.#count(this.#counters.droppedFull, count);
    return false;
  }

  /** Takes a span, or drops it when the queue is full. */
  add(span: SpanRecord): void {
    if (this.#length >= QUEUE_MAX || this.#isClosed) {
      this.#count(this.#counters.droppedFull, 1);
      return;
    }
    let batch = this.#batches.at(-1);
    if (batch === undefined || batch.count >= BATCH_MAX) {
      batch = this.#spare.pop() ?? new SpanBatch();
      this.#batches.push(batch);
    }
    batch.add(encodeSpan(span));
    this.#length++;
    if (this.#export !== null || this.#tries > 0) return;
    if (this.#length >= BATCH_MAX) this.#schedule(0);
    else if (this.#timer === null) this.#schedule(FLUSH_MS);
  }

  /** Exports what is queued, one batch after the other; stops at the first failure. */
  async flush(): Promise<void> {
    for (;;) {
      if (this.#export !== null) await this.#export;
      else if (this.#length === 0 || this.#tries > 0) return;
      else await this.#begin();
    }
  }

  async close(): Promise<void> {
    this.#tries = 0;
    await this.flush();
    this.#isClosed = true;
    this.#disarm();
    const left = this.#length;
    this.#batches.length = 0;
    this.#length = 0;
    if (left > 0) this.#count(this.#counters.droppedFailed, left);
    await this.#dismiss();
  }

  #schedule(delayMs: number): void {
    this.#disarm();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#begin();
    }, delayMs).unref();
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #begin(): Promise<void> {
    this.#disarm();
    this.#export ??= this.#exportBatch().finally(() => {
      this.#export = null;
      if (this.#isClosed || this.#length === 0) return;
      const pauseMs = this.#length >= BATCH_MAX ? 0 : FLUSH_MS;
      this.#schedule(this.#tries > 0 ? this.#backoff.next() : pauseMs);
    });
    return this.#export;
  }

  async #exportBatch(): Promise<void> {
    const batch = this.#batches.shift();
    if (batch === undefined) return;
    const { count } = batch;
    this.#length -= count;
    const problem = await this.#send(batch);
    if (problem === null) {
      if (this.#tries > 0) this.#log.info('spans are exported again', { collector: this.#address });
      this.#tries = 0;
      this.#backoff.reset();
      this.#count(this.#counters.exported, count);
      batch.clear();
      if (this.#spare.length < SPARE_MAX) this.#spare.push(batch);
      return;
    }
    if (this.#tries === 0) this.#log.warning('spans are not exported', { collector: this.#address, problem });
    this.#tries++;
    this.#count(this.#counters.failures, 1);
    // A fresh channel dials at once; an old one waits out a back-off of its own, of up to two minutes.
    await this.#dismiss();
    const room = this.#tries >= TRIES_MAX ? 0 : Math.max(0, QUEUE_MAX - this.#length);
    if (room < count) {
      this.#count(this.#counters.droppedFailed, count - room);
      batch.dropOldest(count - room);
    }
    // The oldest go first: they have been tried already.
    if (batch.count > 0) this.#batches.unshift(batch);
    this.#length += batch.count;
    if (this.#tries >= TRIES_MAX) this.#tries = 1;
  }

  /** Null when the Collector took the batch, else what went wrong. Never rejects. */
  async #send(batch: SpanBatch): Promise<string | null> {
    try {
      const sdk = await this.#sdk;
      if (sdk === null) return 'OpenTelemetry cannot be loaded';
      const exporter = await this.#connect();
      if (exporter === null) return 'the address of the Collector is not known';
      this.#guarded ??= await makeExportBreaker(this.#spec.timeoutMs + GRACE_MS);
      return await this.#guarded(exporter, { spans: batch, resource: sdk.resourceOf(this.#spec.serviceName) });
    } catch (thrown) {
      return String(thrown);
    }
  }

  async #connect(): Promise<Exporter | null> {
    const address = this.#spec.address();
    if (address === null) return null;
    if (this.#exporter !== null && address === this.#address) return this.#exporter;
    await this.#dismiss();
    this.#address = address;
    this.#exporter = await makeExporter(this.#spec, address);
    return this.#exporter;
  }

  async #dismiss(): Promise<void> {
    const exporter = this.#exporter;
    this.#exporter = null;
    try {
      await exporter?.shutdown();
    } catch (thrown) {
      this.#log.debug('an exporter did not shut down', { problem: String(thrown) });
    }
  }

  #count(slot: number, amount: number): void {
    this.#counters.registry.add(slot, amount);
  }
}
