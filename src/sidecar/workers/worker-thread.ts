// One worker as the main thread holds it: the thread, what it last reported, and how it ends. Starting it again is the
// pool's.
//
//   started ─► ready ─► leaving ─► left
//      └──────────┴──► ended (crashed)
import { MessageChannel, Worker } from 'node:worker_threads';
import type { FromWorker, ToWorker, WorkerReport, WorkerStart } from './worker-message.ts';

export interface WorkerThreadOptions {
  readonly start: WorkerStart;
  readonly onMessage: (thread: WorkerThread, message: FromWorker) => void;
  /** Once; `cause` is empty when it left in good order. */
  readonly onEnd: (thread: WorkerThread, cause: string) => void;
}

/** A worker that is busy for longer is reported as it was the last time. */
const REPORT_MS_MAX = 1000;

export class WorkerThread {
  readonly index: number;
  readonly startedMs: number = performance.now();
  isReady = false;
  /** It takes updates, after all that came before. */
  hasJoined = false;
  report: WorkerReport | null = null;
  /** Resolves when it accepts no more, or is no more. */
  readonly closed: Promise<void>;
  /** Resolves when it is no more. */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #reports = new Map<number, () => void>();
  #lastReport = 0;
  #hasLeft = false;
  #cause = '';

  constructor({ start, onMessage, onEnd }: WorkerThreadOptions) {
    this.index = start.index;
    this.#worker = new Worker(entry(), { workerData: start, name: `worker ${start.index}` });
    const closed = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    this.closed = closed.promise;
    this.ended = ended.promise;
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'closed') closed.resolve();
      else if (message.kind === 'left') this.#hasLeft = true;
      else if (message.kind === 'reported') {
        this.report = message.report;
        this.#reports.get(message.id)?.();
      } else onMessage(this, message);
    });
    this.#worker.on('error', (error) => {
      this.#cause = error instanceof Error ? error.message : String(error);
    });
    this.#worker.on('exit', (code) => {
      this.isReady = false;
      this.hasJoined = false;
      for (const done of this.#reports.values()) done();
      closed.resolve();
      ended.resolve();
      onEnd(this, this.#hasLeft ? '' : this.#cause || `exit code ${code}`);
    });
  }

  post(message: ToWorker): void {
    this.#worker.postMessage(message, []);
  }

  /** Gives two workers a way to each other. */
  static introduce(one: WorkerThread, other: WorkerThread): void {
    const { port1, port2 } = new MessageChannel();
    one.#worker.postMessage({ kind: 'peer', index: other.index, port: port1 } satisfies ToWorker, [port1]);
    other.#worker.postMessage({ kind: 'peer', index: one.index, port: port2 } satisfies ToWorker, [port2]);
  }

  /** Asks for a new `report`; resolves when it is there, or when it takes too long. */
  refresh(): Promise<void> {
    const id = ++this.#lastReport;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#reports.get(id)?.(), REPORT_MS_MAX);
      this.#reports.set(id, () => {
        clearTimeout(timer);
        this.#reports.delete(id);
        resolve();
      });
      this.post({ kind: 'report', id });
    });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The bundle has the entry beside itself under its own name. */
function entry(): URL {
  const here = import.meta.url;
  return new URL(here.endsWith('.ts') ? './data-worker.ts' : './sidecar-worker.js', here);
}
