// Health checks of a sidecar with workers: the main thread asks for all of them, every worker follows what it finds,
// and what a worker sees of traffic reaches it. Run from dist where that is newer.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { freePorts, listen } from '../support/free-port.ts';
import { SidecarFolder } from './sidecar-process.ts';

const TWO = ['--concurrency', '2'];
const INTERVAL_MS = 100;
const CHECK = {
  timeout: '1s',
  interval: `${INTERVAL_MS / 1000}s`,
  unhealthy_interval: `${INTERVAL_MS / 1000}s`,
  no_traffic_interval: '0.4s',
  unhealthy_threshold: 1,
  healthy_threshold: 1,
  http_health_check: { path: '/health' },
};

class App implements Disposable {
  isHealthy = true;
  headers: Record<string, string> = {};
  checks = 0;
  readonly #server = createServer((request, response) => this.#answer(request, response));

  static async start(): Promise<{ readonly app: App; readonly port: number }> {
    const app = new App();
    return { app, port: await listen(app.#server) };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.url !== '/health') {
      response.writeHead(200, this.headers).end('ok');
      return;
    }
    this.checks++;
    response.writeHead(this.isHealthy ? 200 : 503).end();
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** The statuses of requests on connections of their own, which both workers get. */
async function statuses(port: number, count: number): Promise<string> {
  const answers = await Promise.all(Array.from({ length: count }, () => status(port)));
  return [...new Set(answers)].toSorted().join(' ');
}

function status(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write('GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n');
    });
    socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve(text.slice(9, 12)));
  });
}

it('are made once, and hold for all workers', async () => {
  const { app, port: upstream } = await App.start();
  using _app = app;
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const cluster = { health_checks: [CHECK], common_lb_config: { healthy_panic_threshold: { value: 0 } } };
  await folder.start({ port, admin, upstream, cluster }, TWO);
  expect(await statuses(port, 10)).toBe('200');

  // Workers carry traffic, so the ordinary interval holds: ten a second, and not twice or thrice as many.
  await expect.poll(() => paceOf(app), { timeout: 5000 }).toBeGreaterThan(6);
  expect(await paceOf(app)).toBeLessThan(12);

  app.isHealthy = false;
  await expect.poll(() => statuses(port, 10), { timeout: 5000 }).toBe('503');
  expect(await (await fetch(`http://127.0.0.1:${admin}/clusters`)).text()).toContain(
    'health_flags::/failed_active_hc\n',
  );
  app.isHealthy = true;
  await expect.poll(() => statuses(port, 10), { timeout: 5000 }).toBe('200');
});

it('are overruled by a response that any worker forwards', async () => {
  const { app, port: upstream } = await App.start();
  using _app = app;
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const check = { ...CHECK, interval: '60s', unhealthy_interval: '60s', no_traffic_interval: '60s' };
  const cluster = { health_checks: [check], common_lb_config: { healthy_panic_threshold: { value: 0 } } };
  await folder.start({ port, admin, upstream, cluster }, TWO);
  app.headers = { 'x-envoy-immediate-health-check-fail': 'true' };
  expect(await statuses(port, 1)).toBe('200');
  await expect.poll(() => statuses(port, 10), { timeout: 5000 }).toBe('503');
});

/** Checks in the next second. */
async function paceOf(app: App): Promise<number> {
  const before = app.checks;
  await sleep(1000);
  return app.checks - before;
}
