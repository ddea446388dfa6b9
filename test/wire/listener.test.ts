// The life of a listening socket and of its connections: counting, draining, an update under load,
// Unix sockets, and header names with underscores. Sockets are real; only the clock is sometimes not.
import { mkdtempSync, existsSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterEach, expect, test, vi } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import { CONTINUE } from '../../src/plan/plan.ts';
import { step } from '../../src/plan/step.ts';
import type { HttpManager } from '../../src/sidecar/http-manager.ts';
import { listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlane, type DataPlaneOptions } from './data-plane.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const REQUEST = { pieces: ['GET / HTTP/1.1\r\nHost: a\r\n\r\n'], methods: ['GET'] };

/** Answers every read with `ok` and notes what it read. */
function anUpstream(seen: string[] = []): Server {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      seen.push(bytes.toString('latin1'));
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  open.push(() => server.close());
  return server;
}

async function aPlane(options: DataPlaneOptions = {}, seen: string[] = []): Promise<DataPlane> {
  const plane = await startDataPlane(await listen(anUpstream(seen)), options);
  open.push(() => plane.close());
  return plane;
}

async function aClient(plane: DataPlane): Promise<RawClient> {
  const client = await RawClient.connect(plane.port);
  open.push(() => client.close());
  return client;
}

/** As if a newer version of the listener had come. */
function update({ listener, manager }: DataPlane, fingerprint: string, extra: Partial<HttpManager> = {}): void {
  const next = { ...manager, ...extra };
  const chains = [
    { kind: 'http', name: 'http', fingerprint, transport: null, limit: null, guards: [], manager: next } as const,
  ];
  listener.update({ ...listener.config, fingerprint, chains });
}

test('connections and requests are counted from their beginning to their end', async () => {
  const plane = await aPlane();
  const { tally } = plane.listener.config;
  const http = plane.manager.tally;
  const before = tally.connectionsTotal;
  const client = await aClient(plane);
  await client.exchange(REQUEST);
  await client.exchange(REQUEST);
  expect([tally.connectionsTotal - before, tally.connectionsActive, http.connectionsTotal]).toEqual([1, 1, 1]);
  expect([http.requestsTotal, http.requestsActive, http.connectionsActive]).toEqual([2, 0, 1]);
  client.close();
  await until('no connection', () => tally.connectionsActive === 0);
  expect(http.connectionsActive).toBe(0);
});

test('a request that waits for its upstream is active, and no more when its client goes', async () => {
  const server = createServer((socket: Socket) => void socket.on('error', () => {}));
  open.push(() => server.close());
  const plane = await startDataPlane(await listen(server));
  open.push(() => plane.close());
  const client = await aClient(plane);
  client.socket.write(REQUEST.pieces[0] ?? '');
  const http = plane.manager.tally;
  await until('a request', () => http.requestsActive === 1);
  client.socket.resetAndDestroy();
  await until('no request', () => http.requestsActive === 0);
});

test('bytes that are no request are counted as a protocol error', async () => {
  const plane = await aPlane();
  const client = await aClient(plane);
  await client.exchange({ pieces: ['nonsense\r\n\r\n'], methods: ['GET'] });
  expect(plane.manager.tally.protocolErrors).toBe(1);
});

test('a graceful drain keeps the socket open and ends connections, a drain after it closes the socket', async () => {
  const plane = await aPlane();
  plane.listener.drainGracefully();
  const [response] = await (await aClient(plane)).exchange(REQUEST);
  expect(response?.headers).toContainEqual(['connection', 'close']);
  plane.listener.drain();
  await expect(RawClient.connect(plane.port)).rejects.toThrow(/ECONNREFUSED/);
});

test('an update of routes alone leaves open connections in peace', async () => {
  const plane = await aPlane();
  const client = await aClient(plane);
  await client.exchange(REQUEST);
  update(plane, plane.listener.config.fingerprint);
  const [response] = await client.exchange(REQUEST);
  expect(response?.headers.some(([name]) => name === 'connection')).toBe(false);
});

test('after an update of the filter chain the next response is the last of an open connection', async () => {
  const plane = await aPlane();
  const client = await aClient(plane);
  await client.exchange(REQUEST);
  update(plane, 'other', { serverName: 'new' });
  const [response] = await client.exchange(REQUEST);
  expect(response?.headers).toContainEqual(['connection', 'close']);
  expect(await client.closesWithin(1000)).toBe(true);
  const [next] = await (await aClient(plane)).exchange(REQUEST);
  expect(next?.headers).toContainEqual(['server', 'new']);
});

test('an idle connection of a replaced filter chain is closed after the grace, not before', async () => {
  let nowMs = 1000;
  const clock: Clock = { now: () => nowMs, wall: () => nowMs };
  const plane = await aPlane({ clock });
  const client = await aClient(plane);
  await client.exchange(REQUEST);
  update(plane, 'other');
  nowMs += 2900;
  plane.engine.wheel.advance();
  expect(await client.closesWithin(50)).toBe(false);
  nowMs += 200;
  plane.engine.wheel.advance();
  expect(await client.closesWithin(1000)).toBe(true);
});

test('updates of the filter chain under load fail no request', async () => {
  const plane = await aPlane();
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  open.push(() => agent.destroy());
  let left = 2000;
  const failures: unknown[] = [];
  const served = new Set<string>();
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      get({ host: '127.0.0.1', port: plane.port, agent }, (response) => {
        served.add(String(response.headers['server']));
        if (response.statusCode !== 200) failures.push(response.statusCode);
        response.resume().on('end', resolve);
      }).on('error', (cause) => {
        failures.push(cause);
        resolve();
      });
    });
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      if (left % 100 === 0) update(plane, `version ${left}`, { serverName: `v${left}` });
      await one();
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(failures).toEqual([]);
  expect(served.size).toBeGreaterThan(15);
});

const folder = mkdtempSync(join(tmpdir(), 'outrigger-'));

function overUnix(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.on('error', reject);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    socket.setEncoding('latin1').once('data', (text: string) => resolve(text.split('\r\n', 1)[0] ?? ''));
  });
}

test('an idle connection is hardly ever looked at, and still a request on it may not stand still for long', async () => {
  let nowMs = 1_000_000;
  const silent = createServer((socket) => void socket.on('error', () => {}));
  open.push(() => silent.close());
  const plane = await startDataPlane(await listen(silent), {
    timeoutMs: 0,
    clock: { now: () => nowMs, wall: () => nowMs },
  });
  open.push(() => plane.close());
  const pass = (milliseconds: number): void => {
    for (const endMs = nowMs + milliseconds; nowMs < endMs; nowMs += 10) plane.engine.wheel.advance();
  };
  const client = await aClient(plane);
  await until('the connection is there', () => plane.listener.active === 1);
  const arm = vi.spyOn(plane.engine.wheel, 'arm');
  pass(1_800_000);
  // Every five minutes: a request could have begun just after the last look.
  expect(arm.mock.calls.length).toBeLessThan(10);
  client.socket.write(REQUEST.pieces[0] ?? '');
  // The connect timeout goes by the same clock: the connection must be there before time passes.
  await until('the request is sent', () => plane.endpoint.connectionsActive === 1);
  pass(299_000);
  expect(plane.manager.tally.requestsActive).toBe(1);
  pass(2_000);
  expect(plane.manager.tally.requestsActive).toBe(0);
});

test('a request that may stand still for ever is hardly ever looked at', async () => {
  let nowMs = 1_000_000;
  const silent = createServer((socket) => void socket.on('error', () => {}));
  open.push(() => silent.close());
  const patient = step('patient', 'test', (x) => ((x.streamIdleTimeoutMs = 0), CONTINUE), null);
  const plane = await startDataPlane(await listen(silent), {
    timeoutMs: 0,
    part: { onRequest: [patient] },
    clock: { now: () => nowMs, wall: () => nowMs },
  });
  open.push(() => plane.close());
  const client = await aClient(plane);
  client.socket.write(REQUEST.pieces[0] ?? '');
  // The connect timeout goes by the same clock: the connection must be there before time passes.
  await until('the request is sent', () => plane.endpoint.connectionsActive === 1);
  const arm = vi.spyOn(plane.engine.wheel, 'arm');
  for (const endMs = nowMs + 7_200_000; nowMs < endMs; nowMs += 10) plane.engine.wheel.advance();
  expect(plane.manager.tally.requestsActive).toBe(1);
  expect(arm.mock.calls.length).toBeLessThan(30);
});

test('a Unix socket file that a dead process left behind does not keep a listener from its path', async () => {
  const address = join(folder, 'left.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(address)}, () => process.kill(process.pid, 9))`;
  spawnSync(process.execPath, ['-e', script]);
  expect(existsSync(address)).toBe(true);
  await aPlane({ address });
  expect(await overUnix(address)).toBe('HTTP/1.1 200 OK');
});

test('a Unix socket that somebody listens on, or a file that is no socket, is left alone', async () => {
  const taken = join(folder, 'taken.sock');
  await aPlane({ address: taken });
  await expect(aPlane({ address: taken })).rejects.toThrow(/EADDRINUSE/);
  expect(await overUnix(taken)).toBe('HTTP/1.1 200 OK');
  const file = join(folder, 'file');
  writeFileSync(file, 'kept');
  await expect(aPlane({ address: file })).rejects.toThrow(/EADDRINUSE/);
  expect(existsSync(file)).toBe(true);
});

test('a path that begins with @ is an abstract socket, to listen on and to forward to', async () => {
  const name = `outrigger-test-${process.pid}`;
  const upstream = anUpstream();
  await new Promise<void>((resolve) => upstream.listen(`\0${name}-up`, resolve));
  const plane = await startDataPlane(0, { address: `@${name}`, upstreamPath: `@${name}-up` });
  open.push(() => plane.close());
  expect(await overUnix(`\0${name}`)).toBe('HTTP/1.1 200 OK');
});

const UNDERSCORED = {
  pieces: ['GET / HTTP/1.1\r\nHost: a\r\nx_b: 1\r\nX-C: 2_3\r\n\r\n'],
  methods: ['GET'],
};

test.each([
  ['allow', 200, true, false],
  ['drop', 200, false, false],
  ['reject', 400, false, true],
] as const)('header names with an underscore: %s', async (underscoredHeaders, status, isPassed, isClosed) => {
  const seen: string[] = [];
  const plane = await aPlane({ manager: { underscoredHeaders } }, seen);
  const client = await aClient(plane);
  const [response] = await client.exchange(UNDERSCORED);
  expect([response?.status, seen.join('').includes('x_b')]).toEqual([status, isPassed]);
  expect(seen.length === 0 || seen.join('').includes('2_3')).toBe(true);
  expect(await client.closesWithin(isClosed ? 1000 : 50)).toBe(isClosed);
});
