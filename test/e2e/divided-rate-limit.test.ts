// A rate limit of a whole service with a control service and real sidecars, without any other server: together they admit
// what the limit says, wherever the requests arrive, also after that has moved. One of them has two workers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { ControlService } from '../../src/control/control.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { PacedLoad } from '../support/paced-load.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';

const LIMIT = 100;
const BUSY = 180;
const QUIET = 12;
const MEASURED_MS = 3000;

const RULES = `
apiVersion: v1
kind: Service
metadata: { name: app, namespace: default }
spec: { selector: { app: app }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: app, namespace: default }
spec:
  targetRefs: [{ kind: Service, name: app }]
  limits: [{ name: all, requests: ${LIMIT}, per: 1s, burst: 10, scope: Service }]
`;

it('three sidecars admit together what a service may take, wherever it is asked', { timeout: 60_000 }, async () => {
  await using mesh = await Mesh.start();
  const instances = await Promise.all([mesh.sidecar(), mesh.sidecar(), mesh.sidecar('--concurrency', '2')]);
  const [first, second, third] = instances;
  const skewed = await admitted([first, second, third], 3000);
  const moved = await admitted([third, first, second], 5000);
  process.stdout.write(`admitted per second: ${skewed} skewed, ${moved} after the skew moved\n`);
  for (const rate of [skewed, moved]) {
    expect(rate).toBeGreaterThan(LIMIT * 0.9);
    expect(rate).toBeLessThan(LIMIT * 1.1);
  }
  // Without the control service the last parts stay.
  await mesh.stopControl();
  const alone = await admitted([third, first, second], 500);
  expect(alone).toBeGreaterThan(LIMIT * 0.85);
  expect(alone).toBeLessThan(LIMIT * 1.1);
});

/** Requests per second that pass, of all three, while the first is asked for much and the others for little. */
async function admitted([busy, ...quiet]: readonly number[], settleMs: number): Promise<number> {
  const loads = [busy ?? 0, ...quiet].map(
    (port, i) => new PacedLoad({ perSecond: i === 0 ? BUSY : QUIET, connections: 4, ports: () => [port] }),
  );
  await sleep(settleMs);
  const passed = (): number => loads.reduce((sum, load) => sum + load.succeeded, 0);
  const [before, beginMs] = [passed(), performance.now()];
  await sleep(MEASURED_MS);
  const rate = ((passed() - before) * 1000) / (performance.now() - beginMs);
  await Promise.all(loads.map((load) => load.stop()));
  return Math.round(rate);
}

class Mesh implements AsyncDisposable {
  readonly #control: ControlService;
  readonly #xds: string;
  readonly #rules: string;
  readonly #app: number;
  readonly #children: Child[] = [];
  readonly #close: () => void;
  #isStopped = false;

  private constructor(control: ControlService, xds: string, rules: string, app: { port: number; close: () => void }) {
    this.#control = control;
    this.#xds = xds;
    this.#rules = rules;
    this.#app = app.port;
    this.#close = app.close;
  }

  static async start(): Promise<Mesh> {
    const server = createServer((_request, response) => response.end('ok'));
    const port = await listen(server);
    const rules = mkdtempSync(join(tmpdir(), 'outrigger-divided-'));
    writeFileSync(join(rules, 'rules.yaml'), RULES);
    const any = '127.0.0.1:0';
    const options = { rules, log: silentLog, xdsAddress: any, httpAddress: any, settleMs: 0, graceMs: 1000 };
    const control = new ControlService(options);
    const { xds } = await control.start();
    const close = (): void => {
      server.closeAllConnections();
      server.close();
    };
    return new Mesh(control, xds, rules, { port, close });
  }

  /** The port where it takes requests for the app. */
  async sidecar(...more: readonly string[]): Promise<number> {
    const [inbound = 0, outbound = 0, admin = 0] = await freePorts(3);
    const ports = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
    const flags = ['sidecar', '--control', this.#xds, '--service', 'app', '--app', `${this.#app}`, ...ports, ...more];
    const child = startChild(process.execPath, [OUTRIGGER, ...flags]);
    this.#children.push(child);
    await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
    return inbound;
  }

  async stopControl(): Promise<void> {
    if (!this.#isStopped) await this.#control.stop();
    this.#isStopped = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await this.stopControl();
    this.#close();
    rmSync(this.#rules, { recursive: true, force: true });
  }
}
