// Two pods whose apps know nothing of their sidecars, and a place outside the mesh: real redirects, real sidecars
// of their own user, from a bootstrap that Envoy runs as well. What a caller gets must not differ between the two.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilReady, type Child } from '../support/child.ts';
import { PodNetwork, PROXY_UID, type Pod } from '../support/pod.ts';
import type { Agent } from '../support/pod-agent-client.ts';
import { capturedBootstrap, type CapturedPod } from './captured-bootstrap.ts';

const root = join(import.meta.dirname, '..', '..');
const launcher = join(root, 'bin', 'outrigger.js');
const envoy = join(root, '.realparts', 'envoy-venv', 'bin', 'envoy');
/** An address that nobody has: only the redirect makes it lead anywhere. */
const VIRTUAL = '10.88.0.1';
const families = ['ipv4', 'ipv6'] as const;

type Kind = 'outrigger' | 'two threads of outrigger' | 'envoy';

/** Starts the sidecar of a pod as the user that the redirect leaves alone. */
async function startSidecar(kind: Kind, pod: Pod, bootstrap: CapturedPod, folder: string): Promise<Child> {
  const file = join(folder, `${pod.name}-${bootstrap.policy}.json`);
  writeFileSync(file, JSON.stringify(capturedBootstrap(bootstrap)));
  const threads = kind === 'two threads of outrigger' ? '2' : '1';
  const ours = [process.execPath, launcher, 'sidecar', '-c', file, '--drain-seconds', '0', '--concurrency', threads];
  const child =
    kind === 'envoy'
      ? pod.start(PROXY_UID, envoy, '-c', file, '--concurrency', '1', '--use-dynamic-base-id', '--disable-hot-restart')
      : pod.start(PROXY_UID, ...ours);
  const listening = (): boolean => {
    const table = pod.run('ss', '-Hltn').stdout;
    return table.includes(':15001 ') && table.includes(':15006 ');
  };
  // Ours says when it is ready: a socket of it may listen a moment earlier.
  const isReady = (): boolean => (kind === 'envoy' ? listening() : child.stderr().includes('"ready"'));
  await untilReady(child, () => Promise.resolve(isReady()));
  return child;
}

describe.each<Kind>(['outrigger', 'two threads of outrigger', 'envoy'])('captured pods with %s', (kind) => {
  let folder: string;
  let network: PodNetwork;
  let client: Pod;
  let server: Pod;
  let outside: Pod;
  let app: Agent;
  let proxy: Agent;
  let stranger: Agent;
  let sidecar: Child;

  const bootstrapOf = (pod: Pod, policy: CapturedPod['policy']): CapturedPod => ({
    own: pod.ipv4,
    server: server.ipv4,
    policy,
    // Envoy waits this long for a client where the server speaks first.
    filtersTimeout: kind === 'envoy' ? '0.3s' : '5s',
  });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'outrigger-capture-'));
    chmodSync(folder, 0o755);
    network = new PodNetwork(['client', 'server', 'outside']);
    [client, server, outside] = [network.pod('client'), network.pod('server'), network.pod('outside')];
    for (const pod of [client, server]) {
      const { stderr } = pod.run(process.execPath, launcher, 'redirect', 'install', '-o', '7', '-d', '7');
      expect(stderr).toBe('ipv4: installed\nipv6: installed\n');
    }
    const apps = await Promise.all([client.agent(), server.agent(), outside.agent()]);
    for (const agent of apps) {
      await agent.listen('http', 80);
      await agent.listen('http', 8080);
      await agent.listen('echo', 7);
      await agent.listen('echo', 9000);
      await agent.listen('greeting', 25);
    }
    [app, , stranger] = apps;
    proxy = await client.agent(PROXY_UID);
    [sidecar] = await Promise.all([
      startSidecar(kind, client, bootstrapOf(client, 'ALLOW_ANY'), folder),
      startSidecar(kind, server, bootstrapOf(server, 'ALLOW_ANY'), folder),
    ]);
  });
  afterAll(async () => {
    await network.close();
    rmSync(folder, { recursive: true });
  });

  it('carry HTTP to a service through both sidecars, wherever the name led', async () => {
    const seen = '200 GET server.mesh /a from 127.0.0.6 via outbound, inbound';
    expect(await app.get(server.ipv4, 80, '/a', 'server.mesh')).toEqual({ error: '', text: seen });
    expect(await app.get(VIRTUAL, 80, '/a', 'server.mesh')).toEqual({ error: '', text: seen });
  });

  it.each(families)('carry HTTP to an address of the mesh over %s', async (family) => {
    const from = family === 'ipv4' ? '127.0.0.6' : '::6';
    const host = family === 'ipv4' ? server.ipv4 : `[${server.ipv6}]`;
    const seen = (via: string): string => `200 GET ${host} / from ${from} via ${via}`;
    expect((await app.get(server[family], 80)).text).toBe(seen('outbound, inbound'));
    // No rule of the caller knows this port; the callee finds out what it speaks.
    expect((await app.get(server[family], 8080)).text).toBe(seen('inbound'));
  });

  it.each(families)('carry TCP over %s, both directions until both have ended', async (family) => {
    expect(await app.dial(server[family], 9000, { text: 'abc\n', until: '\n' })).toEqual({ error: '', text: 'abc\n' });
    expect(await stranger.dial(server[family], 9000, { text: 'abc\n', until: '\n' })).toEqual({
      error: '',
      text: 'abc\n',
    });
  });

  it.each(families)('carry a protocol where the server speaks first over %s', async (family) => {
    const from = family === 'ipv4' ? '127.0.0.6' : '::6';
    const greeting = `220 hello ${from}\r\n`;
    expect((await app.dial(server[family], 25, { until: '\n' })).text).toBe(greeting);
    // The second time it is known.
    expect((await app.dial(server[family], 25, { until: '\n' })).text).toBe(greeting);
  });

  it('let an app talk to itself, by its address and by loopback, without a sidecar', async () => {
    for (const address of [client.ipv4, client.ipv6, '127.0.0.1', '::1']) {
      const host = address.includes(':') ? `[${address}]` : address;
      expect((await app.get(address, 80)).text).toBe(`200 GET ${host} / from ${address}`);
    }
  });

  it('bring a call of an app to its own service back to it, through its sidecar both ways', async () => {
    const { text } = await app.get(VIRTUAL, 80, '/', 'self.mesh');
    expect(text).toBe('200 GET self.mesh / from 127.0.0.6 via outbound, inbound');
  });

  it.each(families)('let through what goes outside the mesh over %s', async (family) => {
    const to = outside[family];
    const host = family === 'ipv4' ? to : `[${to}]`;
    expect((await app.get(to, 80)).text).toBe(`200 GET ${host} / from ${client[family]} via outbound`);
    expect((await app.dial(to, 25, { until: '\n' })).text).toBe(`220 hello ${client[family]}\r\n`);
  });

  it.each(families)('take calls from outside the mesh over %s', async (family) => {
    const from = family === 'ipv4' ? '127.0.0.6' : '::6';
    const host = family === 'ipv4' ? server.ipv4 : `[${server.ipv6}]`;
    expect((await stranger.get(server[family], 80)).text).toBe(`200 GET ${host} / from ${from} via inbound`);
  });

  it('leave excluded ports and the sidecar itself alone', async () => {
    expect((await app.dial(server.ipv4, 7, { text: 'abc\n', until: '\n' })).text).toBe('abc\n');
    const { text } = await proxy.get(outside.ipv4, 80);
    expect(text).toBe(`200 GET ${outside.ipv4} / from ${client.ipv4}`);
  });

  it('refuse connections to the ports of the sidecar instead of going round in circles', async () => {
    const refused = [
      await app.dial('127.0.0.1', 15_001, { text: 'abc\n' }),
      await app.dial('127.0.0.1', 15_006, { text: 'abc\n' }),
      await stranger.dial(server.ipv4, 15_006, { text: 'abc\n' }),
    ];
    expect(refused.map(({ error, text }) => ({ isLate: error === 'ETIMEDOUT', text }))).toEqual(
      refused.map(() => ({ isLate: false, text: '' })),
    );
    expect((await app.get(server.ipv4, 80, '/', 'server.mesh')).text).toMatch(/^200 /);
  });

  it('tell a caller that nobody listens', async () => {
    const { error, text } = await app.dial(server.ipv4, 4321, { text: 'abc\n' });
    expect({ isLate: error === 'ETIMEDOUT', text }).toEqual({ isLate: false, text: '' });
    expect((await app.get(outside.ipv4, 80, '/', outside.ipv4)).text).toMatch(/^200 /);
  });

  describe('where only what is registered may be called', () => {
    beforeAll(async () => {
      await sidecar.stop();
      await startSidecar(kind, client, bootstrapOf(client, 'REGISTRY_ONLY'), folder);
    });

    it('a service is, and nothing else', async () => {
      const seen = '200 GET server.mesh / from 127.0.0.6 via outbound, inbound';
      expect((await app.get(VIRTUAL, 80, '/', 'server.mesh')).text).toBe(seen);
      expect((await app.get(outside.ipv4, 80)).text).toBe('502');
      expect((await app.dial(outside.ipv4, 25, { until: '\n' })).text).toBe('');
      expect((await app.dial(outside.ipv6, 9000, { text: 'abc\n', until: '\n' })).text).toBe('');
      expect((await app.dial(outside.ipv4, 7, { text: 'abc\n', until: '\n' })).text).toBe('abc\n');
    });
  });

  it('are ordinary pods again when the redirect is removed', async () => {
    expect(client.run(process.execPath, launcher, 'redirect', 'remove').status).toBe(0);
    const host = `[${outside.ipv6}]`;
    expect((await app.get(outside.ipv6, 80)).text).toBe(`200 GET ${host} / from ${client.ipv6}`);
  });
});
