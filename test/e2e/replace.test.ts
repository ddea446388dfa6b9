// Leaving and replacing under 5,000 requests per second: no request fails, twenty times in a row. A sidecar that
// gets SIGTERM while another one is there for new connections; and a sidecar whose successor takes its ports.
import { existsSync, statSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { PacedLoad } from '../support/paced-load.ts';
import { statusOf, until } from '../support/until.ts';
import { SidecarFolder, startUpstream } from './sidecar-process.ts';

const ROUNDS = Number(process.env['OUTRIGGER_ROUNDS'] ?? 20);
const LOAD = { perSecond: 5000, connections: 100 };

it('SIGTERM ends a sidecar in good order: readiness, responses, listeners, process', async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const flags = ['--drain-delay-seconds', '1', '--drain-seconds', '4'];
  const child = await folder.start({ port, admin, upstream: upstream.port }, flags);
  child.kill('SIGTERM');
  await until('readiness fails', async () => (await statusOf(admin, '/ready')) === 503);
  expect(await statusOf(port, '/')).toBe(200);
  expect(child.hasExited()).toBe(false);
  expect(await child.exited).toBe(0);
  expect(await statusOf(port, '/')).toBe(null);
});

it.each([[[]], [['--concurrency', '2']]])(
  'requests under way end, and what never ends is cut at the deadline: %o',
  async (more) => {
    using folder = new SidecarFolder();
    const held: Socket[] = [];
    const upstream = createServer((socket) => {
      socket.on('error', () => {});
      held.push(socket);
    });
    const [port = 0, admin = 0] = await freePorts(2);
    const flags = ['--drain-delay-seconds', '0', '--drain-seconds', '2', ...more];
    const child = await folder.start({ port, admin, upstream: await listen(upstream) }, flags);
    const answered = fetch(`http://127.0.0.1:${port}/`);
    await until('the first request', () => held.length === 1);
    const unanswered = fetch(`http://127.0.0.1:${port}/`).catch(() => 'cut');
    await until('the second request', () => held.length === 2);
    child.kill('SIGTERM');
    const startMs = performance.now();
    await sleep(500);
    held[0]?.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    const answer = await answered;
    expect([answer.status, answer.headers.get('connection'), await answer.text()]).toEqual([200, 'close', 'ok']);
    expect(await unanswered).toBe('cut');
    expect(await child.exited).toBe(0);
    expect(performance.now() - startMs).toBeGreaterThan(1900);
    upstream.close();
    for (const socket of held) socket.destroy();
  },
);

it('a second SIGTERM ends at once', async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const flags = ['--drain-delay-seconds', '60', '--drain-seconds', '60'];
  const child = await folder.start({ port, admin, upstream: upstream.port }, flags);
  child.kill('SIGTERM');
  await until('readiness fails', async () => (await statusOf(admin, '/ready')) === 503);
  child.kill('SIGTERM');
  const startMs = performance.now();
  expect(await child.exited).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(5000);
});

it(`SIGTERM under load fails no request, ${ROUNDS} times`, { timeout: 200_000 }, async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [one = 0, oneAdmin = 0, two = 0, twoAdmin = 0] = await freePorts(4);
  const places = [
    { port: one, admin: oneAdmin, upstream: upstream.port },
    { port: two, admin: twoAdmin, upstream: upstream.port },
  ];
  const running: Child[] = await Promise.all(places.map((ports) => folder.start(ports)));
  let first = 0;
  const load = new PacedLoad({ ...LOAD, ports: () => (first === 0 ? [one, two] : [two, one]) });
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(300);
    // The load prefers the one that leaves until it refuses.
    const leaving = running[first];
    const place = places[first];
    if (leaving === undefined || place === undefined) break;
    leaving.kill('SIGTERM');
    expect(await leaving.exited).toBe(0);
    running[first] = await folder.start(place);
    first = 1 - first;
  }
  const { sent, succeeded, failures, connections } = await load.stop();
  process.stdout.write(`SIGTERM: ${ROUNDS} rounds, ${sent} requests, ${connections} connections\n`);
  expect({ failures: [...failures], missing: sent - succeeded }).toEqual({ failures: [], missing: 0 });
});

it('a successor that fails to start changes nothing, and the next one takes over', async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0, taken = 0] = await freePorts(3);
  const ports = { port, admin, upstream: upstream.port };
  const path = join(folder.path, 'handover.sock');
  const first = await folder.start(ports, ['--handover', path]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  // Its readiness port is taken by somebody else.
  const other = createServer();
  await listen(other, taken);
  const failing = folder.launch(ports, ['--handover', path, '--readiness', `${taken}`]);
  expect(await failing.exited).toBe(1);
  other.close();
  await until('the failure is noticed', () => first.stderr().includes('the successor went away'));
  for (let i = 0; i < 20; i++) expect(await statusOf(port, '/')).toBe(200);
  expect([first.hasExited(), await statusOf(admin, '/ready')]).toEqual([false, 200]);
  const second = await folder.start(ports, ['--handover', path]);
  expect(await first.exited).toBe(0);
  for (let i = 0; i < 20; i++) expect(await statusOf(port, '/')).toBe(200);
  second.kill('SIGTERM');
  expect(await second.exited).toBe(0);
  expect(existsSync(path)).toBe(false);
});

it(`a successor on the same ports fails no request, ${ROUNDS} times`, { timeout: 200_000 }, async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const ports = { port, admin, upstream: upstream.port };
  const flags = ['--handover', join(folder.path, 'handover.sock')];
  let current = await folder.start(ports, flags);
  const load = new PacedLoad({ ...LOAD, ports: () => [port] });
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(300);
    const successor = await folder.start(ports, flags);
    expect(await current.exited).toBe(0);
    current = successor;
  }
  const { sent, succeeded, failures, connections } = await load.stop();
  process.stdout.write(`hand-over: ${ROUNDS} rounds, ${sent} requests, ${connections} connections\n`);
  expect({ failures: [...failures], missing: sent - succeeded }).toEqual({ failures: [], missing: 0 });
});
