// Steady traffic through a proxy from a process of its own, so that what the test does beside it does
// not slow it down. The same process is its upstream: `/large` answers 1 MiB, everything else 100 bytes.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

export interface SteadyWindow {
  readonly answered: number;
  readonly failed: number;
  /** Due, but no connection was free to send it. */
  readonly late: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface SteadyPace {
  readonly port: number;
  readonly ratePerSecond: number;
  readonly connections: number;
}

export class SteadyTraffic {
  readonly upstreamPort: number;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, upstreamPort: number) {
    this.#child = child;
    this.#lines = lines;
    this.upstreamPort = upstreamPort;
  }

  /** Starts the upstream; nothing is sent yet. */
  static async open(): Promise<SteadyTraffic> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'steady-worker.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    process.once('exit', () => child.kill('SIGKILL'));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first: unknown = JSON.parse((await lines.next()).value ?? 'null');
    if (typeof first !== 'object' || first === null || !('upstreamPort' in first)) throw new Error('no upstream port');
    return new SteadyTraffic(child, lines, Number(first.upstreamPort));
  }

  go({ port, ratePerSecond, connections }: SteadyPace): void {
    this.#child.stdin?.write(`go ${ratePerSecond} ${connections} ${port}\n`);
  }

  /** What happened since the last call. */
  async window(): Promise<SteadyWindow> {
    this.#child.stdin?.write('report\n');
    const { value } = await this.#lines.next();
    // Written by steady-worker.ts, field by field as above.
    const window: SteadyWindow = JSON.parse(value ?? 'null');
    return window;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}
