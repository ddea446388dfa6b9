// A service-wide limit with a control service and real sidecars: whatever they all send at once, the service never has
// more requests under way than the limit, and each sidecar has its share, also after one more has come and has gone.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { ControlService } from '../../src/control/control.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { statusOf, until } from '../support/until.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/outrigger.js', import.meta.url));
const GET = 'GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n';
/** Of each sidecar at once. */
const CLIENTS = 8;
const LIMIT = 6;

it('several sidecars together keep to the limit of a service', { timeout: 40_000 }, async () => {
  const held = new Set<Socket>();
  let most = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('close', () => held.delete(socket));
    socket.on('data', () => {
      held.add(socket);
      most = Math.max(most, held.size);
    });
  });
  const answerAll = (): void => {
    for (const socket of held) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    held.clear();
  };
  await using mesh = await Mesh.start(await listen(server));
  const [first, second] = await Promise.all([mesh.sidecar('first'), mesh.sidecar('second')]);
  /** What each of these gets when they all send at once: how many are served, once all others are refused. */
  const servedOf = async (outbounds: readonly number[]): Promise<readonly number[]> => {
    const volleys = await Promise.all(outbounds.map((port) => Volley.send(port)));
    await until('refusals', () => volleys.every(({ refused }) => refused + LIMIT / outbounds.length === CLIENTS));
    answerAll();
    await Promise.all(volleys.map((volley) => volley.over));
    return volleys.map(({ served }) => served);
  };
  await mesh.sharesAre([first, second], 3);
  expect(await servedOf([first.outbound, second.outbound])).toEqual([3, 3]);
  const third = await mesh.sidecar('third');
  await mesh.sharesAre([first, second, third], 2);
  expect(await servedOf([first.outbound, second.outbound, third.outbound])).toEqual([2, 2, 2]);
  await third.child.stop();
  await mesh.sharesAre([first, second], 3);
  expect(await servedOf([first.outbound, second.outbound])).toEqual([3, 3]);
  expect(most).toBe(LIMIT);
  server.close();
});

/** So many requests at once over connections of their own. */
class Volley {
  served = 0;
  refused = 0;
  readonly over: Promise<unknown>;

  private constructor(clients: readonly RawClient[]) {
    this.over = Promise.all(
      clients.map(async (client) => {
        const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
        if (response?.status === 200) this.served++;
        if (response?.status === 503) this.refused++;
        client.close();
      }),
    );
  }

  static async send(port: number): Promise<Volley> {
    return new Volley(await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(port))));
  }
}

interface Sidecar {
  readonly child: Child;
  readonly outbound: number;
  readonly admin: number;
}

class Mesh implements AsyncDisposable {
  readonly #control: ControlService;
  readonly #xds: string;
  readonly #rules: string;
  readonly #children: Child[] = [];

  private constructor(control: ControlService, xds: string, rules: string) {
    this.#control = control;
    this.#xds = xds;
    this.#rules = rules;
  }

  static async start(upstream: number): Promise<Mesh> {
    const rules = mkdtempSync(join(tmpdir(), 'outrigger-limit-'));
    writeFileSync(join(rules, 'rules.yaml'), rulesFor(upstream));
    const any = '127.0.0.1:0';
    const options = { rules, log: silentLog, xdsAddress: any, httpAddress: any, settleMs: 0, graceMs: 200 };
    const control = new ControlService(options);
    const { xds } = await control.start();
    return new Mesh(control, xds, rules);
  }

  async sidecar(service: string): Promise<Sidecar> {
    const [inbound = 0, outbound = 0, admin = 0, app = 0] = await freePorts(4);
    const ports = ['--inbound', `${inbound}`, '--outbound', `${outbound}`, '--admin', `${admin}`];
    const flags = ['sidecar', '--control', this.#xds, '--service', service, '--app', `${app}`, ...ports];
    const child = startChild(process.execPath, [LAUNCHER, ...flags]);
    this.#children.push(child);
    await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
    return { child, outbound, admin };
  }

  /** Waits until each of them has heard of this share. */
  async sharesAre(sidecars: readonly Sidecar[], share: number): Promise<void> {
    const line = `circuit_breakers.default.remaining_rq: ${share}\n`;
    for (const { admin } of sidecars) {
      await until(`a share of ${share}`, async () => {
        const stats = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=slow`)).text();
        return stats.includes(line);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await this.#control.stop();
    rmSync(this.#rules, { recursive: true, force: true });
  }
}

function rulesFor(upstream: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: slow, namespace: default }
spec:
  hosts: [slow.test]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${upstream} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: outrigger.dev/v1alpha1
kind: ResiliencePolicy
metadata: { name: slow, namespace: default }
spec:
  targetRefs: [{ kind: ServiceEntry, name: slow }]
  concurrencyLimit: { requests: ${LIMIT} }
`;
}
