// A control service as a process of its own, on ports of its own: what it shows on its pages, and its end.
import { request } from 'undici';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';

const READY_MS = 60_000;

export class ControlProcess {
  readonly child: Child;
  readonly xds: number;
  readonly http: number;

  /** Resolves when it runs, which it may do for long before it is ready. */
  static async start(flags: readonly string[]): Promise<ControlProcess> {
    const [xds = 0, http = 0, secure = 0] = await freePorts(3);
    const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`];
    const own = flags.includes('--ca-secret') ? ['--secure', `127.0.0.1:${secure}`] : [];
    const child = startChild(process.execPath, [OUTRIGGER, 'control', ...flags, ...places, ...own]);
    return new ControlProcess(child, xds, http);
  }

  private constructor(child: Child, xds: number, http: number) {
    this.child = child;
    this.xds = xds;
    this.http = http;
  }

  async ready(timeoutMs = READY_MS): Promise<this> {
    await untilReady(this.child, async () => (await statusOf(this.http, '/readyz')) === 200, timeoutMs);
    return this;
  }

  /** Rejects when nobody answers. */
  async text(path: string): Promise<string> {
    // A connection that is kept may be closed while the question is on its way.
    const { body } = await request(`http://127.0.0.1:${this.http}${path}`, { reset: true });
    return await body.text();
  }

  async page(path: string): Promise<unknown> {
    return JSON.parse(await this.text(path));
  }

  async stop(): Promise<void> {
    await this.child.stop();
  }
}
