// Hand-overs that go wrong or meet something else: a sidecar told to end meanwhile, a successor that is killed or is
// not alone, a configuration that changed, a path that a killed sidecar left behind.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Predecessor } from '../../src/sidecar/handover/predecessor.ts';
import { freePorts } from '../support/free-port.ts';
import { statusOf, until } from '../support/until.ts';
import { SidecarFolder, startUpstream } from './sidecar-process.ts';

const ONE: readonly string[] = [];
const TWO = ['--concurrency', '2'];

it.each([[ONE], [TWO]])('a sidecar that is told to end hands over sockets that accept: %o', async (flags) => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const ports = { port, admin, upstream: upstream.port };
  const path = join(folder.path, 'handover.sock');
  const handover = [...flags, '--handover', path];
  const first = await folder.start(ports, [...handover, '--drain-delay-seconds', '3', '--drain-seconds', '9']);
  first.kill('SIGTERM');
  await until('readiness fails', async () => (await statusOf(admin, '/ready')) === 503);
  const second = folder.launch(ports, handover);
  await until('the successor serves', () => second.stderr().includes('"ready"'));
  expect(await first.exited).toBe(0);
  for (let i = 0; i < 10; i++) expect(await statusOf(port, '/')).toBe(200);
  expect(await statusOf(admin, '/ready')).toBe(200);
  second.kill('SIGTERM');
  expect(await second.exited).toBe(0);
});

it('one successor at a time: another one is turned away at once, and nothing else happens', async () => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const ports = { port, admin, upstream: upstream.port };
  const path = join(folder.path, 'handover.sock');
  const first = await folder.start(ports, ['--handover', path]);
  const slow = await Predecessor.meet(path);
  const startMs = performance.now();
  const second = folder.launch(ports, ['--handover', path]);
  expect(await second.exited).toBe(1);
  expect(second.stderr()).toContain('did not hand over');
  expect(performance.now() - startMs).toBeLessThan(8000);
  slow?.abandon();
  await until('the first one goes away', () => first.stderr().includes('the successor went away'));
  expect([first.hasExited(), await statusOf(port, '/')]).toEqual([false, 200]);
  const third = await folder.start(ports, ['--handover', path]);
  expect(await first.exited).toBe(0);
  expect([third.hasExited(), await statusOf(port, '/')]).toEqual([false, 200]);
});

it.each([[ONE], [TWO]])(
  'a sidecar that is killed in the middle leaves its sockets to its successor: %o',
  async (flags) => {
    using upstream = await startUpstream();
    using folder = new SidecarFolder();
    const [port = 0, admin = 0] = await freePorts(2);
    const ports = { port, admin, upstream: upstream.port };
    const path = join(folder.path, 'handover.sock');
    const first = await folder.start(ports, [...flags, '--handover', path]);
    const successor = await Predecessor.meet(path);
    first.kill('SIGKILL');
    await first.exited;
    // Nobody has told it: its successor goes on as if it had been.
    await successor?.relieve();
    expect([existsSync(path), statSync(path).mode & 0o777]).toEqual([true, 0o600]);
    const next = await folder.start(ports, [...flags, '--handover', path]);
    expect([next.hasExited(), await statusOf(port, '/')]).toEqual([false, 200]);
  },
);

it.each([[ONE], [TWO]])('addresses that only one of the two has are opened and closed as usual: %o', async (flags) => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [one = 0, other = 0, admin = 0, otherAdmin = 0] = await freePorts(4);
  const handover = [...flags, '--handover', join(folder.path, 'handover.sock')];
  const first = await folder.start({ port: one, admin, upstream: upstream.port }, handover);
  const second = await folder.start({ port: other, admin: otherAdmin, upstream: upstream.port }, handover);
  expect(await first.exited).toBe(0);
  expect([await statusOf(one, '/'), await statusOf(other, '/')]).toEqual([null, 200]);
  expect([await statusOf(admin, '/ready'), await statusOf(otherAdmin, '/ready')]).toEqual([null, 200]);
  second.kill('SIGTERM');
  expect(await second.exited).toBe(0);
});

it.each([[ONE], [TWO]])('SIGINT ends a sidecar at once that nobody is connected to: %o', async (flags) => {
  using upstream = await startUpstream();
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  const ends = ['--drain-delay-seconds', '20', '--drain-seconds', '30'];
  const child = await folder.start({ port, admin, upstream: upstream.port }, [...flags, ...ends]);
  const startMs = performance.now();
  child.kill('SIGINT');
  expect(await child.exited).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(5000);
});
