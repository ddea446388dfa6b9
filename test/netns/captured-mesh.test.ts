// A whole mesh in redirect mode: control service, two captured pods and one outside, as network namespaces. The apps
// know nothing of any of it: they dial what a Kubernetes app would. Each case holds for every kind of sidecar.
import { execFileSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { APP_UID, PodNetwork, PROXY_UID } from '../support/pod.ts';
import type { Agent } from '../support/pod-agent-client.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { capturePod, type SidecarKind } from './captured-pod.ts';
import { CapturedRules, GUESSED, MAIL, meshedPod, REVIEWS, STORE } from './captured-rules.ts';

const MESHES: readonly { readonly title: string; readonly kind: SidecarKind; readonly isSecure: boolean }[] = [
  { title: 'envoy', kind: 'envoy', isSecure: false },
  { title: 'outrigger', kind: 'outrigger', isSecure: false },
  { title: 'outrigger with identities', kind: 'outrigger', isSecure: true },
];

describe.each(MESHES)('a captured mesh of $title', ({ kind, isSecure }) => {
  let network: PodNetwork;
  let rules: CapturedRules;
  const agents = new Map<string, Agent>();
  const app = (name: string): Agent => {
    const agent = agents.get(name);
    if (agent === undefined) throw new Error(name);
    return agent;
  };
  const address = (name: string): string => network.pod(name).ipv4;

  beforeAll(async () => {
    network = new PodNetwork(['control', 'caller', 'server', 'outside']);
    rules = await CapturedRules.write(address('server'));
    await chmod(rules.directory, 0o755);
    for (const name of ['control', 'caller', 'server', 'outside'])
      agents.set(name, await network.pod(name).agent(APP_UID));
    const where = ['--rules', rules.directory, '--xds', '0.0.0.0:15010', '--http', '127.0.0.1:15014'];
    if (isSecure) {
      await chmod(rules.directory, 0o777);
      await rules.put('pods', [meshedPod(address('server'))]);
      where.push('--ca-dir', join(rules.directory, 'ca'), '--secure', '0.0.0.0:15012');
    }
    network.pod('control').start(PROXY_UID, process.execPath, OUTRIGGER, 'control', ...where);
    await until('the control service is ready', async () =>
      (await app('control').get('127.0.0.1', 15_014, '/ready')).text.startsWith('200'),
    );
    await app('server').listen('http', 9080);
    await app('server').listen('echo', 5432);
    await app('server').listen('greeting', 3306);
    await app('server').listen('greeting', 3307);
    await app('server').listen('http', 8088);
    await app('outside').listen('http', 8080);
    await app('outside').listen('greeting', 2525);
    for (const name of ['caller', 'server']) {
      const service = name === 'server' ? 'reviews' : 'caller';
      const secret = isSecure ? { tokenFile: await tokenFor(service, rules.directory) } : {};
      const options = { kind, service, control: address('control'), folder: rules.directory, ...secret };
      await capturePod(network.pod(name), app(name), options);
    }
  }, 60_000);

  afterAll(async () => {
    await network.close();
    await rules.remove();
  });

  it('HTTP to the address of a service reaches its app, which sees its own sidecar', async () => {
    const { text } = await app('caller').get(REVIEWS, 80, '/a', 'reviews');
    expect(text).toBe('200 GET reviews /a from 127.0.0.6');
  });

  it('TCP to the address of a service reaches its app', async () => {
    expect(await app('caller').dial(STORE, 5432, { text: 'ping', until: 'ping' })).toEqual({ error: '', text: 'ping' });
  });

  it('a server that speaks first on a port declared as TCP is not waited for', async () => {
    const startMs = performance.now();
    const { text } = await app('caller').dial(MAIL, 25, { until: '\n' });
    expect(text).not.toBe('');
    expect(performance.now() - startMs).toBeLessThan(1500);
  });

  it('HTTP on a port that nobody declared has the rules of its service', async () => {
    expect((await app('caller').get(GUESSED, 81, '/b', 'whoever')).text).toBe('200 GET whoever /b from 127.0.0.6');
  });

  it('the service itself may be called by its own app', async () => {
    expect((await app('server').get(REVIEWS, 80, '/c', 'reviews')).text).toBe('200 GET reviews /c from 127.0.0.6');
  });

  it('an app reaches itself by loopback without its sidecar', async () => {
    expect((await app('server').get('127.0.0.1', 9080, '/d', 'me')).text).toBe('200 GET me /d from 127.0.0.1');
  });

  it('ports that no service has pass, also when the server speaks first', async () => {
    const server = address('server');
    expect((await app('caller').get(server, 8088, '/e', 'x')).text).toBe('200 GET x /e from 127.0.0.6');
    const { text } = await app('caller').dial(server, 3307, { until: '\n' });
    expect(text).not.toBe('');
  });

  it('IPv6 is captured as well', async () => {
    const { server, outside } = { server: network.pod('server').ipv6, outside: network.pod('outside').ipv6 };
    expect((await app('caller').get(server, 8088, '/j', 'x')).text).toBe('200 GET x /j from ::6');
    const { text } = await app('caller').get(outside, 8080, '/k', 'x');
    expect(text).toBe(`200 GET x /k from ${network.pod('caller').ipv6}`);
  });

  it('what is outside is reached as it is, HTTP and what speaks first', async () => {
    const outside = address('outside');
    expect((await app('caller').get(outside, 8080, '/f', 'out')).text).toBe(`200 GET out /f from ${address('caller')}`);
    const { ipv6 } = network.pod('outside');
    const from = network.pod('caller').ipv6;
    expect((await app('caller').get(ipv6, 8080, '/f', 'out')).text).toBe(`200 GET out /f from ${from}`);
    const { text } = await app('caller').dial(outside, 2525, { until: '\n' });
    expect(text).not.toBe('');
  });

  it('nobody outside can make a sidecar go round in circles', async () => {
    for (const port of [15_001, 15_006]) {
      const answer = await app('outside').get(address('server'), port, '/g', 'x');
      // What was sent may still be unread when the connection is closed.
      expect(['', 'ECONNRESET']).toContain(answer.error);
      // 15006 is closed; 15001 is a port like any other to the inbound half, and closed by the outbound one.
      expect(answer.text).toMatch(port === 15_006 ? /^$/ : /^503 /);
    }
    expect((await app('caller').get(REVIEWS, 80, '/a', 'reviews')).text).toMatch(/^200 /);
  });

  it('under REGISTRY_ONLY what the mesh does not know is refused, and what it knows is not', async () => {
    const sidecar = 'apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: { name: default }\n';
    await rules.put('policy', [`${sidecar}spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }\n`]);
    const outside = address('outside');
    await until('the way out is closed', async () => (await app('caller').get(outside, 8080, '/', 'out')).text === '');
    // Port 80 has services, so that the answer is HTTP.
    await until('unknown hosts are refused', async () =>
      (await app('caller').get(outside, 80, '/h', 'out')).text.startsWith('502 '),
    );
    expect((await app('caller').get(REVIEWS, 80, '/i', 'reviews')).text).toBe('200 GET reviews /i from 127.0.0.6');
  });

  if (!isSecure) return;
  it('the control service shows the pages of sidecars on other machines, and nobody else gets them', async () => {
    const control = network.pod('control');
    const about = (...args: readonly string[]) => control.run(process.execPath, OUTRIGGER, 'proxy-config', ...args);
    for (const node of ['reviews', 'caller']) {
      const { status, stdout, stderr } = about(node, 'listeners');
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain('virtualInbound');
      expect(about(node, 'clusters').stdout).toContain('outbound|');
    }
    const unknown = await app('control').get('127.0.0.1', 15_014, '/proxies/nobody/config_dump');
    expect(unknown.text).toMatch(/^404 [^]*no such node/);
    // Plaintext, and TLS without a certificate.
    expect((await app('outside').get(address('server'), 15_022, '/config_dump')).text).toBe('');
    const url = `https://${address('server')}:15022/config_dump`;
    expect(network.pod('outside').run('curl', '-sk', '-m', '3', url)).toMatchObject({ status: 56, stdout: '' });
  });

  it('under STRICT no plaintext reaches any port, and everything of the mesh goes on', async () => {
    const meta = 'metadata: { name: default, namespace: istio-system }\nspec: { mtls: { mode: STRICT } }\n';
    const server = address('server');
    const before = await app('outside').get(server, 9080, '/l', 'reviews');
    expect(before.text).toBe('200 GET reviews /l from 127.0.0.6');
    await rules.put('strict', [`apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n${meta}`]);
    await until(
      'plaintext is refused',
      async () => (await app('outside').get(server, 9080, '/m', 'reviews')).text === '',
    );
    for (const port of [9080, 8088, 81]) expect((await app('outside').get(server, port, '/n', 'x')).text).toBe('');
    expect((await app('outside').dial(server, 5432, { text: 'ping', until: 'ping' })).text).toBe('');
    expect((await app('outside').dial(server, 3306, { until: '\n' })).text).toBe('');
    expect((await app('caller').get(REVIEWS, 80, '/o', 'reviews')).text).toBe('200 GET reviews /o from 127.0.0.6');
    expect((await app('caller').get(GUESSED, 81, '/p', 'any')).text).toBe('200 GET any /p from 127.0.0.6');
    expect(await app('caller').dial(STORE, 5432, { text: 'ping', until: 'ping' })).toEqual({ error: '', text: 'ping' });
    expect((await app('caller').dial(MAIL, 25, { until: '\n' })).text).not.toBe('');
  });
});

/** Written where the sidecar's user can read it. */
async function tokenFor(service: string, folder: string): Promise<string> {
  const file = join(folder, `${service}.token`);
  const args = [OUTRIGGER, 'token', 'create', '--ca-dir', join(folder, 'ca'), `default/${service}`];
  await writeFile(file, execFileSync(process.execPath, args), { mode: 0o644 });
  return file;
}
