// The CNI plugin as a container runtime calls it, for pods that a real API server has, in real network namespaces: what it
// installs is in force, what it is told is passed on, and what it cannot know is an error that may be tried again.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { injectedPod } from '../../src/control/injection/pod-injection.ts';
import { recordOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { PodNetwork, type Pod } from '../support/pod.ts';
import { ApiServer } from './api-server.ts';

let kube: ApiServer;
let network: PodNetwork;

beforeAll(async () => {
  kube = await ApiServer.start();
  network = new PodNetwork(['meshed', 'plain', 'explicit']);
  await kube.call('/api/v1/namespaces', { metadata: { name: 'shop' } });
  await kube.makeAccount('shop', 'app');
  const excluded = { 'traffic.sidecar.istio.io/excludeOutboundPorts': '3306' };
  await makePod('meshed', excluded);
  await makePod('explicit', { 'sidecar.istio.io/interceptionMode': 'NONE' });
  await makePod('plain', { 'sidecar.istio.io/inject': 'false' });
});
afterAll(async () => {
  await network?.close();
  await kube?.stop();
});

async function makePod(name: string, annotations: JsonRecord): Promise<void> {
  const spec = { serviceAccountName: 'app', containers: [{ name: 'app', image: 'none' }] };
  const pod = { metadata: { name, namespace: 'shop', annotations }, spec };
  const options = { control: 'control:15012', image: 'outrigger', mode: 'cni', isClassic: false } as const;
  const result = injectedPod(pod, name, options);
  await kube.call('/api/v1/namespaces/shop/pods', result.kind === 'injected' ? result.pod : pod);
}

const PREVIOUS = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0' }], ips: [{ address: '10.0.0.1/24' }], dns: {} };

interface Called {
  readonly status: number | null;
  readonly answer: unknown;
}

function call(command: string, name: string, config: JsonRecord = {}): Called {
  const pod = name === '' ? null : network.pod(name);
  const input = {
    cniVersion: '1.0.0',
    name: 'pods',
    type: 'outrigger-cni',
    kubeconfig: `${kube.folder}/kubeconfig`,
    prevResult: PREVIOUS,
    ...config,
  };
  const { status, stdout } = spawnSync(process.execPath, [OUTRIGGER, 'cni'], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'one',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: pod === null ? '' : `/var/run/netns/${pod.namespace}`,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name}`,
    },
  });
  return { status, answer: stdout === '' ? null : JSON.parse(stdout) };
}

const FLAGS = ['--exclude-outbound-ports=3306'];
const redirect = (pod: Pod, action: string, ...flags: readonly string[]): number | null =>
  pod.run(process.execPath, OUTRIGGER, 'redirect', action, ...flags).status;

test('an injected pod is redirected as its annotations say, and its step of validation passes', () => {
  const pod = network.pod('meshed');
  expect(redirect(pod, 'probe', ...FLAGS)).toBe(1);
  expect(call('ADD', 'meshed')).toEqual({ status: 0, answer: PREVIOUS });
  expect([redirect(pod, 'verify', ...FLAGS), redirect(pod, 'verify'), redirect(pod, 'probe', ...FLAGS)]).toEqual([
    0, 1, 0,
  ]);
  expect(call('CHECK', 'meshed')).toEqual({ status: 0, answer: null });
  redirect(pod, 'remove');
  expect(call('CHECK', 'meshed')).toMatchObject({ status: 1, answer: { cniVersion: '1.0.0', code: 100 } });
  expect(call('DEL', 'meshed')).toEqual({ status: 0, answer: null });
}, 60_000);

test.each(['plain', 'explicit'])('a pod that is %s is left alone', (name) => {
  expect(call('ADD', name)).toEqual({ status: 0, answer: PREVIOUS });
  expect(network.pod(name).run('iptables-save').stdout).not.toContain('OUTRIGGER');
});

test.each([
  { title: 'a version that nobody knows', command: 'ADD', name: 'plain', config: { cniVersion: '9.0.0' }, code: 1 },
  { title: 'no namespace', command: 'ADD', name: '', config: {}, code: 4 },
  { title: 'an operation that nobody knows', command: 'MOVE', name: 'plain', config: {}, code: 4 },
  { title: 'no network before it', command: 'ADD', name: 'plain', config: { prevResult: null }, code: 7 },
  { title: 'no kubeconfig', command: 'ADD', name: 'plain', config: { kubeconfig: '/nowhere' }, code: 7 },
])('with $title it fails with code $code', ({ command, name, config, code }) => {
  expect(call(command, name, config)).toMatchObject({ status: 1, answer: { code } });
});

test('VERSION, STATUS and GC are answered, and namespaces can be left out', () => {
  const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
  expect(call('VERSION', '')).toEqual({ status: 0, answer: { cniVersion: '1.0.0', supportedVersions } });
  expect([call('STATUS', ''), call('GC', '')]).toEqual([
    { status: 0, answer: null },
    { status: 0, answer: null },
  ]);
  const left = call('ADD', 'explicit', { excludeNamespaces: ['shop'], kubeconfig: '/nowhere' });
  expect(left).toEqual({ status: 0, answer: PREVIOUS });
});

test('while the API server is away a pod does not begin, and is tried again', async () => {
  await kube.halt();
  const { status, answer } = call('ADD', 'meshed');
  await kube.resume();
  expect([status, recordOf(answer)['code']]).toEqual([1, 11]);
}, 120_000);
