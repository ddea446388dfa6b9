// Leaving and replacing under 5,000 requests per second: no request fails, twenty times in a row. A sidecar that
// gets SIGTERM while another one is there for new connections; and a sidecar whose successor takes its ports.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
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
