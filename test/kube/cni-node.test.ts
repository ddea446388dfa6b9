// `outrigger cni install` on a node with a real API server: the plugin is called as a container runtime calls it, by the file in
// the runtime's folder, with what the runtime's configuration says. Networks that come later or are rewritten get it again,
// a replaced token is shown, and at the end the node is as it was.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { injectedPod } from '../../src/control/injection/pod-injection.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { listOf, recordOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import { PodNetwork } from '../support/pod.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

/** Of the API server itself. */
const AUDIENCE = 'https://kubernetes.default.svc';
const BRIDGE = { type: 'bridge', bridge: 'cni0' };
const LIST = { cniVersion: '1.0.0', name: 'pods', plugins: [BRIDGE] };
const PREVIOUS = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0' }], ips: [{ address: '10.0.0.1/24' }] };

let kube: ApiServer;
let client: KubeClient;
let network: PodNetwork;
let token: string;
let node: string;
let readiness: number;
let child: Child;

beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
  network = new PodNetwork(['meshed']);
  await kube.call('/api/v1/namespaces', { metadata: { name: 'shop' } });
  await kube.makeAccount('shop', 'app');
  await kube.makeAccount('kube-system', 'outrigger-cni');
  await client.create(KNOWN_KINDS.clusterRole, {
    metadata: { name: 'outrigger-cni' },
    rules: [
      { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
      { apiGroups: ['apps'], resources: ['daemonsets'], verbs: ['get'] },
    ],
  });
  await client.create(KNOWN_KINDS.clusterRoleBinding, {
    metadata: { name: 'outrigger-cni' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'outrigger-cni' },
    subjects: [{ kind: 'ServiceAccount', name: 'outrigger-cni', namespace: 'kube-system' }],
  });
  token = await kube.token('kube-system/outrigger-cni', AUDIENCE);
  const pod = {
    metadata: { name: 'meshed', namespace: 'shop' },
    spec: { serviceAccountName: 'app', containers: [APP] },
  };
  const result = injectedPod(pod, 'meshed', { control: 'c:1', image: 'outrigger', mode: 'cni', isClassic: false });
  await kube.call('/api/v1/namespaces/shop/pods', result.kind === 'injected' ? result.pod : pod);
}, 120_000);
const APP = { name: 'app', image: 'none' };
afterAll(async () => {
  await client?.close();
  await network?.close();
  await kube?.stop();
});
beforeEach(async () => {
  node = mkdtempSync(join(tmpdir(), 'outrigger-node-'));
  mkdirSync(join(node, 'net.d'));
  readiness = await freePort();
});
afterEach(async () => {
  await child?.stop();
  rmSync(node, { recursive: true, force: true });
});

const file = (...names: readonly string[]): string => join(node, ...names);
const networkOf = (name: string): JsonRecord => recordOf(JSON.parse(readFileSync(file('net.d', name), 'utf8')));
const typesOf = (name: string): readonly unknown[] =>
  listOf(networkOf(name)['plugins']).map((one) => recordOf(one)['type']);
const isReady = async (): Promise<boolean> => (await statusOf(readiness, '/readyz')) === 200;

async function install(...flags: readonly string[]): Promise<void> {
  writeFileSync(file('token'), token);
  const places = ['--bin-dir', file('bin'), '--net-dir', file('net.d'), '--kube', kube.access().url];
  const shown = ['--kube-token-file', file('token'), '--kube-ca', join(kube.folder, 'certs/apiserver.crt')];
  const command = ['cni', 'install', ...places, ...shown, '--readiness', String(readiness), ...flags];
  child = startChild(process.execPath, [OUTRIGGER, ...command]);
  await untilReady(child, async () => (await statusOf(readiness, '/readyz')) !== null);
}

/** As a runtime does: the last plugin of the list, with what the list says. */
function add(list: string): { readonly status: number | null; readonly answer: unknown } {
  const plugin = recordOf(listOf(networkOf(list)['plugins']).at(-1));
  const { cniVersion, name } = networkOf(list);
  const { status, stdout } = spawnSync(file('bin', 'outrigger-cni'), [], {
    input: JSON.stringify({ ...plugin, cniVersion, name, prevResult: PREVIOUS }),
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'one',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: `/var/run/netns/${network.pod('meshed').namespace}`,
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=meshed',
    },
  });
  return { status, answer: JSON.parse(stdout) };
}

test('a pod of the node is redirected, and at the end the node is as it was', async () => {
  writeFileSync(file('net.d', '10-pods.conflist'), JSON.stringify(LIST));
  await install();
  await until('the plugin is in force', isReady);
  expect(statSync(file('net.d', 'outrigger-cni.kubeconfig')).mode & 0o777).toBe(0o600);
  expect(add('10-pods.conflist')).toEqual({ status: 0, answer: PREVIOUS });
  const rules = network.pod('meshed').run('iptables-save').stdout;
  expect(rules).toContain('OUTRIGGER_INBOUND');
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
  expect(readdirSync(file('net.d'))).toEqual(['10-pods.conflist']);
  expect(networkOf('10-pods.conflist')).toEqual(LIST);
  expect(existsSync(file('bin', 'outrigger-cni'))).toBe(false);
}, 60_000);

test('networks that come later, are rewritten or stand alone get it, and a replaced token is shown', async () => {
  await install();
  expect(await isReady()).toBe(false);
  const alone = { cniVersion: '0.4.0', name: 'pods', ...BRIDGE };
  writeFileSync(file('net.d', '20-pods.conf'), JSON.stringify(alone));
  await until('a plugin alone becomes a list', isReady);
  expect(typesOf('20-pods.conflist')).toEqual(['bridge', 'outrigger-cni']);
  expect(existsSync(file('net.d', '20-pods.conf'))).toBe(false);
  writeFileSync(file('net.d', '05-first.conflist'), JSON.stringify(LIST));
  await until('what runtimes take first gets it', () => typesOf('05-first.conflist').length === 2);
  writeFileSync(
    file('net.d', '05-first.conflist'),
    JSON.stringify({ ...LIST, plugins: [BRIDGE, { type: 'portmap' }] }),
  );
  await until('it is put in again', () => typesOf('05-first.conflist').length === 3);
  const next = await kube.token('kube-system/outrigger-cni', AUDIENCE);
  writeFileSync(file('token'), next);
  const kubeconfig = (): string => readFileSync(file('net.d', 'outrigger-cni.kubeconfig'), 'utf8');
  await until('the token is replaced', () => kubeconfig().includes(next), 15_000);
  expect(child.output()).not.toContain(next);
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
  expect(readdirSync(file('net.d'))).toEqual(['05-first.conflist', '20-pods.conf']);
  expect(networkOf('20-pods.conf')).toEqual(alone);
}, 60_000);

test('what cannot be chained is left alone, and the reason is told', async () => {
  const old = { cniVersion: '0.1.0', name: 'pods', ...BRIDGE };
  writeFileSync(file('net.d', '10-pods.conf'), JSON.stringify(old));
  await install();
  const page = await fetch(`http://127.0.0.1:${readiness}/readyz`);
  expect([page.status, await page.text()]).toEqual([503, expect.stringContaining('10-pods.conf: cniVersion "0.1.0"')]);
  expect(networkOf('10-pods.conf')).toEqual(old);
}, 60_000);

test('while its DaemonSet is there it stays on the node, and when that is gone it goes', async () => {
  const labels = { app: 'cni' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'install', image: 'none' }] } };
  await client.create(KNOWN_KINDS.daemonSet, {
    metadata: { name: 'outrigger-cni', namespace: 'kube-system' },
    spec: { selector: { matchLabels: labels }, template },
  });
  writeFileSync(file('net.d', '10-pods.conflist'), JSON.stringify(LIST));
  for (const isThere of [true, false]) {
    if (!isThere) await client.remove(KNOWN_KINDS.daemonSet, { namespace: 'kube-system', name: 'outrigger-cni' });
    await install('--daemon-set', 'kube-system/outrigger-cni');
    await until('the plugin is in force', isReady);
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
    expect([typesOf('10-pods.conflist').length, existsSync(file('bin', 'outrigger-cni'))]).toEqual(
      isThere ? [2, true] : [1, false],
    );
  }
}, 60_000);
