// The process's span pipeline. The first target loads @opentelemetry/sdk-node and starts one NodeSDK
// with our processor, our ids and no auto-instrumentation; spans made before that wait. Each target
// (Collector and service name) has a queue of its own; equal targets are shared.
import { silentLog, type Log } from '../base/log.ts';
import type { Registry } from './registry.ts';
import type { ReadableSpan, TargetSpec } from './span-exporter.ts';
import { SpanCounters, SpanQueue } from './span-queue.ts';
import type { SpanRecord } from './span-shape.ts';
import { startSdk, type Sdk } from './span-sdk.ts';

export interface SpanPipelineOptions {
  readonly registry: Registry;
  readonly log?: Log;
}

/** Records that may wait for the SDK to be loaded. */
const WAITING_MAX = 2048;

export class SpanTarget {
  readonly name: string;
  readonly #queue: SpanQueue | null;
  readonly #pipeline: SpanPipeline;
  readonly #serviceName: string;

  constructor(pipeline: SpanPipeline, spec: TargetSpec, queue: SpanQueue | null) {
    this.name = spec.key;
    this.#pipeline = pipeline;
    this.#serviceName = spec.serviceName;
    this.#queue = queue;
  }

  /** Hands finished spans over. Never waits and never throws. */
  record(records: readonly SpanRecord[]): void {
    if (this.#queue === null) return;
    for (let i = 0; i < records.length; i++) {
      const record = records[i];
      if (record !== undefined) this.#pipeline.make(record, this);
    }
  }

  /** Called with the SDK's own span, when it has been made of a record. */
  take(span: ReadableSpan, sdk: Sdk): void {
    this.#queue?.add(sdk.withServiceName(span, this.#serviceName));
  }
}

export class SpanPipeline {
  readonly #counters: SpanCounters;
  readonly #log: Log;
  readonly #targets = new Map<string, SpanTarget>();
  readonly #queues: SpanQueue[] = [];
  #waiting: (readonly [SpanRecord, SpanTarget])[] = [];
  #loading: Promise<void> | null = null;
  #sdk: Sdk | null = null;

  constructor({ registry, log = silentLog }: SpanPipelineOptions) {
    this.#counters = new SpanCounters(registry);
    this.#log = log.child('tracing');
  }

  /** The target for `spec`; made on first use and kept for as long as the process runs. */
  target(spec: TargetSpec): SpanTarget {
    const known = this.#targets.get(spec.key);
    if (known !== undefined) return known;
    const queue = spec.protocol === 'none' ? null : new SpanQueue(spec, this.#counters, this.#log);
    if (queue !== null) {
      this.#queues.push(queue);
      this.#loading ??= this.#load(spec.serviceName);
    }
    const target = new SpanTarget(this, spec, queue);
    this.#targets.set(spec.key, target);
    return target;
  }

  make(record: SpanRecord, target: SpanTarget): void {
    if (this.#sdk !== null) {
      const span = this.#sdk.make(record);
      if (span !== null) target.take(span, this.#sdk);
    } else if (this.#waiting.length < WAITING_MAX) this.#waiting.push([record, target]);
    else this.#counters.registry.add(this.#counters.droppedFull, 1);
  }

  /** Resolves when everything queued so far has been exported, or an export has failed. */
  async flush(): Promise<void> {
    if (this.#loading !== null) await this.#loading;
    await Promise.all(this.#queues.map((queue) => queue.flush()));
  }

  /** Exports what is queued, for at most `timeoutMs`, and stops. */
  async close(timeoutMs = 2000): Promise<void> {
    if (this.#loading === null) return;
    await this.#loading;
    const closing = Promise.all(this.#queues.map((queue) => queue.close())).then(() => this.#sdk?.stop());
    await Promise.race([closing, new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref())]);
  }

  async #load(serviceName: string): Promise<void> {
    try {
      this.#sdk = await startSdk(serviceName);
    } catch (thrown) {
      this.#log.error('OpenTelemetry cannot be loaded, no spans are exported', { problem: String(thrown) });
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [record, target] of waiting) this.make(record, target);
  }
}
