// The process's span pipeline. The first target loads OpenTelemetry; finished records wait
// in the queue of their target (Collector and service name) until then. Equal targets are shared.
import { silentLog, type Log } from '../base/log.ts';
import type { Registry } from './registry.ts';
import type { TargetSpec } from './span-exporter.ts';
import { SpanCounters, SpanQueue } from './span-queue.ts';
import type { Sdk } from './span-sdk.ts';
import type { SpanRecord } from './span-shape.ts';

export interface SpanPipelineOptions {
  readonly registry: Registry;
  readonly log?: Log;
}

export class SpanTarget {
  readonly name: string;
  readonly #queue: SpanQueue | null;

  constructor(name: string, queue: SpanQueue | null) {
    this.name = name;
    this.#queue = queue;
  }

  /** False when `count` spans would be dropped, which is then counted: do not make them. */
  admits(count: number): boolean {
    return this.#queue !== null && this.#queue.admits(count);
  }

  /** Hands finished spans over. Never waits and never throws. */
  record(records: readonly SpanRecord[]): void {
    if (this.#queue === null) return;
    for (const record of records) this.#queue.add(record);
  }
}

export class SpanPipeline {
  readonly #counters: SpanCounters;
  readonly #log: Log;
  readonly #targets = new Map<string, SpanTarget>();
  readonly #queues: SpanQueue[] = [];
  #loading: Promise<Sdk | null> | null = null;

  constructor({ registry, log = silentLog }: SpanPipelineOptions) {
    this.#counters = new SpanCounters(registry);
    this.#log = log.child('tracing');
  }

  /** The target for `spec`; made on first use and kept for as long as the process runs. */
  target(spec: TargetSpec): SpanTarget {
    const known = this.#targets.get(spec.key);
    if (known !== undefined) return known;
    const target = new SpanTarget(spec.key, spec.protocol === 'none' ? null : this.#newQueue(spec));
    this.#targets.set(spec.key, target);
    return target;
  }

  /** Resolves when everything queued so far has been exported, or an export has failed. */
  async flush(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.flush()));
  }

  /** Exports what is queued, for at most `timeoutMs`, and stops. */
  async close(timeoutMs = 2000): Promise<void> {
    const loading = this.#loading;
    if (loading === null) return;
    const closing = Promise.all(this.#queues.map((queue) => queue.close()))
      .then(() => loading)
      .then((sdk) => sdk?.stop());
    await Promise.race([closing, new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref())]);
  }

  #newQueue(spec: TargetSpec): SpanQueue {
    this.#loading ??= this.#load(spec.serviceName);
    const queue = new SpanQueue({ spec, counters: this.#counters, log: this.#log, sdk: this.#loading });
    this.#queues.push(queue);
    return queue;
  }

  async #load(serviceName: string): Promise<Sdk | null> {
    try {
      const { startSdk } = await import('./span-sdk.ts');
      return await startSdk(serviceName);
    } catch (thrown) {
      this.#log.error('OpenTelemetry cannot be loaded, no spans are exported', { problem: String(thrown) });
      return null;
    }
  }
}
