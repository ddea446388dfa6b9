// `--concurrency`: connections and requests are shared out evenly, the admin port tells of all workers on one page, a
// second sidecar does not share the port by accident, workers leave and are replaced as one, and every worker follows
// the same configuration.
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { parseBootstrap } from '../../src/sidecar/bootstrap.ts';
import { adminSourceOf } from '../../src/sidecar/proxy-admin.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { poolAdmin } from '../../src/sidecar/workers/pool-admin.ts';
import { WorkerPool } from '../../src/sidecar/workers/worker-pool.ts';
import { freePorts } from '../support/free-port.ts';
import { PacedLoad } from '../support/paced-load.ts';
import { statusOf } from '../support/until.ts';
import { forwardingBootstrap, SidecarFolder, startUpstream } from './sidecar-process.ts';

const TWO = ['--concurrency', '2'];
/** Another program may have the processor for a while. */
const PATIENT = { timeout: 10_000 };
const REQUEST = 'GET / HTTP/1.1\r\nhost: test\r\n\r\n';

/** Connections that each send 25 requests per second, whatever the processor has time for beside them. */
class Steady {
  readonly #sockets: Socket[] = [];
  readonly #timer: NodeJS.Timeout = setInterval(() => {
    for (const socket of this.#sockets) socket.write(REQUEST);
  }, 40);
  answers = 0;

  static async open(port: number, count: number): Promise<Steady> {
    const steady = new Steady();
    for (let i = 0; i < count; i++) {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => (steady.answers += bytes.toString('latin1').split(' 200 OK').length - 1));
      steady.#sockets.push(socket);
    }
    await Promise.all(steady.#sockets.map((socket) => new Promise((done) => socket.once('connect', done))));
    return steady;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}

async function metric(admin: number, name: string): Promise<number[]> {
  const page = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  return page
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
}

it.each([8, 20, 32, 64])(
  'each of two workers carries 40 to 60 percent of %i connections and of requests',
  async (count) => {
    using upstream = await startUpstream();
    using folder = new SidecarFolder();
    const [port = 0, admin = 0] = await freePorts(2);
    await folder.start({ port, admin, upstream: upstream.port }, TWO);
    for (let round = 0; round < 5; round++) {
      const before = await metric(admin, 'outrigger_worker_requests_total');
      const steady = await Steady.open(port, count);
      await sleep(400);
      const connections = await metric(admin, 'outrigger_worker_connections_active');
      const after = await metric(admin, 'outrigger_worker_requests_total');
      const { answers } = steady;
      steady.close();
      const requests = after.map((total, i) => total - (before[i] ?? 0));
      expect(answers).toBeGreaterThan(count);
      for (const shares of [connections, requests]) expect(Math.min(...shares) / sumOf(shares)).toBeGreaterThan(0.4);
      await expect.poll(() => metric(admin, 'outrigger_worker_connections_active'), PATIENT).toEqual([0, 0]);
    }
  },
);

it('one page adds up what the workers count', async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  await folder.start({ port, admin, upstream: upstream.port }, TWO);
  const steady = await Steady.open(port, 10);
  await expect.poll(() => steady.answers, PATIENT).toBeGreaterThan(50);
  steady.close();
  await expect.poll(() => metric(admin, 'envoy_http_downstream_cx_active'), PATIENT).toEqual([0]);
  const [[requests = 0], byWorker, [upstreamRequests]] = await Promise.all([
    metric(admin, 'envoy_http_downstream_rq_total'),
    metric(admin, 'outrigger_worker_requests_total'),
    metric(admin, 'envoy_cluster_upstream_rq_total'),
  ]);
  expect(sumOf(byWorker)).toBe(requests);
  expect(upstreamRequests).toBe(requests);
  const clusters = await (await fetch(`http://127.0.0.1:${admin}/clusters`)).text();
  expect(clusters).toContain(`::rq_total::${requests}\n`);
  const listeners = await (await fetch(`http://127.0.0.1:${admin}/listeners`)).text();
  expect(listeners).toBe(`ingress::127.0.0.1:${port}\n`);
  await fetch(`http://127.0.0.1:${admin}/drain_listeners?graceful`, { method: 'POST' });
  const last = await fetch(`http://127.0.0.1:${port}/`);
  expect([last.status, last.headers.get('connection')]).toEqual([200, 'close']);
});

it.each([[[]], [TWO], [['--concurrency', '3']]])(
  'a connection limit holds for all threads together: %o',
  async (flags) => {
    using upstream = await startUpstream();
    using folder = new SidecarFolder();
    const [port = 0, admin = 0] = await freePorts(2);
    await folder.start({ port, admin, upstream: upstream.port, connectionLimit: 5 }, flags);
    for (let round = 0; round < 3; round++) {
      const outcomes = { served: 0, refused: 0 };
      const sockets = Array.from({ length: 9 }, () => {
        const socket = connect({ port, host: '127.0.0.1' });
        socket.once('data', () => outcomes.served++);
        socket.on('error', () => {});
        socket.once('close', () => outcomes.refused++);
        socket.write(REQUEST);
        return socket;
      });
      await expect.poll(() => outcomes, PATIENT).toEqual({ served: 5, refused: 4 });
      for (const socket of sockets) socket.destroy();
      await expect.poll(() => metric(admin, 'envoy_http_downstream_cx_active'), PATIENT).toEqual([0]);
    }
  },
);

it('a worker that crashes is started again, what it counted stays, and the proxy serves meanwhile', async () => {
  using upstream = await startUpstream();
  const [port = 0, admin = 0] = await freePorts(2);
  const { bootstrap } = parseBootstrap(
    JSON.stringify(forwardingBootstrap({ port, admin, upstream: upstream.port })),
    'bootstrap.json',
  );
  if (bootstrap === null) throw new Error('the bootstrap is not sound');
  const log = silentLog;
  const draining = { drainSeconds: 1, drainDelaySeconds: 0, drainStrategy: 'immediate' } as const;
  const pool = new WorkerPool({ workers: 2, bootstrap, log, ...draining });
  const proxy = new Proxy({ bootstrap, log, host: pool.host, connect: pool.connect });
  try {
    pool.start(proxy);
    await Promise.all([proxy.start(), pool.ready]);
    const source = poolAdmin(adminSourceOf(proxy, { version: '', commandLine: {}, quit: () => {} }), proxy, pool);
    const count = async (): Promise<number | undefined> => {
      await source.refresh?.();
      return source.stats().get('http.ingress.downstream_rq_total');
    };
    for (let i = 0; i < 20; i++) expect(await statusOf(port, '/')).toBe(200);
    expect(await count()).toBe(20);
    const victim = pool.threads[0];
    await victim?.terminate();
    expect([pool.restarts, pool.threads.length, pool.isReady]).toEqual([1, 1, true]);
    for (let i = 0; i < 10; i++) expect(await statusOf(port, '/')).toBe(200);
    await expect.poll(() => pool.threads.filter(({ isReady }) => isReady).length, PATIENT).toBe(2);
    expect(pool.threads).not.toContain(victim);
    const steady = await Steady.open(port, 10);
    await expect.poll(() => steady.answers, PATIENT).toBeGreaterThan(50);
    await source.refresh?.();
    const page = source.prometheus('').body;
    steady.close();
    expect(page).toContain('outrigger_worker_restarts_total 1\n');
    // The ten, and what fetch keeps open.
    const active = page.matchAll(/^outrigger_worker_connections_active\{worker="\d"\} (?<count>\d+)$/gm);
    for (const { groups } of active) expect(Number(groups?.['count'])).toBeGreaterThanOrEqual(5);
    expect(await count()).toBeGreaterThanOrEqual(80);
  } finally {
    await Promise.all([proxy.stop(0), pool.leave(0)]);
  }
});

it.each([[[]], [TWO]])('a second sidecar on the same port is refused: %o', async (flags) => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0, other = 0] = await freePorts(3);
  await folder.start({ port, admin, upstream: upstream.port }, flags);
  const second = folder.launch({ port, admin: other, upstream: upstream.port }, flags);
  expect(await second.exited).toBe(1);
  expect(second.stderr()).toContain('EADDRINUSE');
  expect(await statusOf(port, '/')).toBe(200);
});

it('sidecars of one, two and three threads replace each other under load, and none fails a request', async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const ports = { port, admin, upstream: upstream.port };
  const handover = ['--handover', join(folder.path, 'handover.sock')];
  let current = await folder.start(ports, handover);
  const load = new PacedLoad({ perSecond: 3000, connections: 60, requestsPerConnection: 50, ports: () => [port] });
  for (const threads of [2, 3, 2, 1, 1]) {
    await sleep(300);
    const successor = await folder.start(ports, [...handover, '--concurrency', `${threads}`]);
    expect(await current.exited).toBe(0);
    current = successor;
  }
  const { sent, succeeded, failures } = await load.stop();
  expect({ failures: [...failures], missing: sent - succeeded }).toEqual({ failures: [], missing: 0 });
  current.kill('SIGTERM');
  expect(await current.exited).toBe(0);
});
