// `outrigger install`, `upgrade` and `uninstall` as processes against a real API server: what they make, change, refuse and
// take away. No kubelet runs, so the test itself says that the control service is ready.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { KubeClient } from '../../src/kube/client.ts';
import { recordOf } from '../../src/kube/json-record.ts';
import type { KubeKind } from '../../src/kube/kind-path.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { startChild } from '../support/child.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { clusterObjects, expectObjects, settledObjects } from './cluster-objects.ts';

const NAMESPACE = 'outrigger-system';
const VIRTUAL_SERVICE: KubeKind = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'VirtualService',
  plural: 'virtualservices',
  isNamespaced: true,
};

let server: ApiServer;
let client: KubeClient;
let empty: readonly string[];
beforeAll(async () => {
  server = await ApiServer.start();
  client = new KubeClient({ access: server.access() });
  // The controllers make what every cluster has a moment after the start.
  await until(
    'the service account of kube-system',
    async () => {
      const listed = await client.list(KNOWN_KINDS.configMap, { namespace: 'kube-node-lease' });
      return listed.kind === 'done' && listed.value.items.length > 0;
    },
    60_000,
  );
  empty = await settledObjects(client);
});
afterAll(async () => {
  await client?.close();
  await server?.stop();
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...args: readonly string[]): Promise<Ran> {
  const child = startChild(process.execPath, [OUTRIGGER, ...args, '--kube', join(server.folder, 'kubeconfig')]);
  const code = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

const install = async (...args: readonly string[]): Promise<Ran> => await run('install', '--yes', '--no-wait', ...args);
const upgrade = async (...args: readonly string[]): Promise<Ran> => await run('upgrade', '--yes', '--no-wait', ...args);
const uninstall = async (...args: readonly string[]): Promise<Ran> => await run('uninstall', '--yes', ...args);

const control = { namespace: NAMESPACE, name: 'outrigger-control' };
async function specOf(kind: KubeKind): Promise<Readonly<Record<string, unknown>> | null> {
  const found = await client.get(kind, control);
  return found.kind === 'done' ? recordOf(found.value['spec']) : null;
}

describe('on an empty cluster', () => {
  test('upgrade refuses, because there is nothing to upgrade', async () => {
    const { code, stderr } = await upgrade();
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`there is no installation in the namespace ${NAMESPACE}: use outrigger install`),
    });
    await expectObjects(client, empty);
  });

  test('install asks nobody where there is no terminal, and changes nothing', async () => {
    const { code, stderr } = await run('install');
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('say --yes') });
    await expectObjects(client, empty);
  });

  test('install refuses objects of its names that are not ours, before anything is changed', async () => {
    const made = await client.create(KNOWN_KINDS.clusterRole, { metadata: { name: 'outrigger-control' }, rules: [] });
    expect(made.kind).toBe('done');
    const { code, stderr } = await install();
    await client.remove(KNOWN_KINDS.clusterRole, { namespace: '', name: 'outrigger-control' });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('ClusterRole outrigger-control is there already and is not ours'),
    });
    await expectObjects(client, empty);
  });

  test('values that there are not end it with 65, an API server that is away with 1', async () => {
    const wrong = await install('--set', 'replica=3');
    expect(wrong).toMatchObject({ code: 65, stderr: expect.stringContaining('did you mean replicas?') });
    const away = startChild(process.execPath, [OUTRIGGER, 'install', '--yes', '--kube', 'https://127.0.0.1:1']);
    expect(await away.exited).toBe(1);
    expect(away.stderr()).toContain('the API server at https://127.0.0.1:1 does not answer');
  });
});

describe('an installation', () => {
  beforeEach(async () => {
    expect(await install('--force-conflicts')).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    expect(await uninstall('--remove-rules')).toMatchObject({ code: 0 });
    await expectObjects(client, empty);
  });

  test('is complete, and a second time changes nothing', async () => {
    const listed = await clusterObjects(client);
    expect(listed).toContain(`deployments.apps ${NAMESPACE}/outrigger-control`);
    expect(listed).toContain('mutatingwebhookconfigurations.admissionregistration.k8s.io /outrigger-injector');
    const { code, stdout, stderr } = await install();
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain('everything is as it should be');
  });

  test('is shown as differences and changed by upgrade; what the values no longer want goes', async () => {
    const values = join(server.folder, 'values.yaml');
    await writeFile(values, 'replicas: 3\npodDisruptionBudget: { enabled: false }\n');
    const shown = [
      `~ Deployment ${NAMESPACE}/outrigger-control`,
      '    spec.replicas: 2 → 3',
      `- PodDisruptionBudget ${NAMESPACE}/outrigger-control`,
      '',
    ].join('\n');
    expect(await upgrade('--diff', '--values', values)).toMatchObject({ code: 0, stdout: shown });
    expect(await specOf(KNOWN_KINDS.deployment)).toMatchObject({ replicas: 2 });
    expect(await upgrade('--values', values)).toMatchObject({ code: 0, stdout: shown });
    expect(await specOf(KNOWN_KINDS.deployment)).toMatchObject({ replicas: 3 });
    expect(await specOf(KNOWN_KINDS.podDisruptionBudget)).toBeNull();
  });

  test('names who manages a field that it wants, and takes it over when it is told to', async () => {
    const options = { fieldManager: 'somebody', isForced: true };
    const replicas = { metadata: control, spec: { replicas: 7 } };
    expect((await client.apply(KNOWN_KINDS.deployment, replicas, options)).kind).toBe('done');
    const refused = await upgrade();
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('somebody') });
    expect(await upgrade('--force-conflicts')).toMatchObject({ code: 0 });
    expect(await specOf(KNOWN_KINDS.deployment)).toMatchObject({ replicas: 2 });
  });

  test('stays closed to broken rules once the control service has closed it', async () => {
    const name = { namespace: '', name: 'outrigger-validator' };
    const kind = KNOWN_KINDS.validatingWebhookConfiguration;
    const closed = [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' }] as const;
    const written = await client.patchJson(kind, name, closed, { fieldManager: 'outrigger-control' });
    expect(written.kind).toBe('done');
    expect(await upgrade('--set', 'replicas=3')).toMatchObject({ code: 0 });
    const found = await client.get(kind, name);
    expect(found.kind === 'done' ? JSON.stringify(found.value['webhooks']) : '').toContain('"failurePolicy":"Fail"');
    // The next installation makes it anew, open: nobody answers for it here.
    await client.remove(kind, name);
  });

  test('waits until the control service is ready, and says so when it is not', async () => {
    const late = await run('upgrade', '--yes', '--timeout', '1');
    expect(late).toMatchObject({ code: 1, stderr: expect.stringContaining('is not ready after 1 s') });
    const waiting = run('upgrade', '--yes', '--timeout', '60');
    const deployment = await client.get(KNOWN_KINDS.deployment, control);
    const observedGeneration = deployment.kind === 'done' ? deployment.value.metadata.generation : 0;
    const status = { observedGeneration, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };
    const options = { subresource: 'status' };
    // The Deployment's own controller, which sees no pods run, writes zeros now and then.
    const writer = setInterval(() => void client.patchMerge(KNOWN_KINDS.deployment, control, { status }, options), 50);
    const { code, stderr } = await waiting;
    clearInterval(writer);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('✔ the control service is ready') });
  });

  test('keeps definitions that have rules, unless they may go with them', async () => {
    const rule = {
      metadata: { namespace: 'default', name: 'kept' },
      spec: { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }] }] },
    };
    expect((await client.apply(VIRTUAL_SERVICE, rule, { fieldManager: 'user' })).kind).toBe('done');
    const { code, stdout, stderr } = await uninstall();
    expect(code).toBe(0);
    expect(stderr).toContain('virtualservices.networking.istio.io stays: there is a rule of it; --remove-rules');
    expect(stdout).toContain('CustomResourceDefinition sidecars.networking.istio.io removed');
    expect((await client.get(VIRTUAL_SERVICE, rule.metadata)).kind).toBe('done');
  });

  test('removes what the control service has made, too', async () => {
    const labels = { 'app.kubernetes.io/part-of': 'outrigger' };
    const made = await client.create(KNOWN_KINDS.configMap, {
      metadata: { namespace: 'default', name: 'istio-ca-root-cert', labels },
    });
    expect(made.kind).toBe('done');
    const stdout: unknown = expect.stringContaining('default/istio-ca-root-cert');
    expect(await uninstall('--remove-rules')).toMatchObject({
      code: 0,
      stdout,
      stderr: expect.stringContaining('nothing is left'),
    });
    await expectObjects(client, empty);
  });
});

test('a namespace, a mesh configuration and definitions of others are used, and stay when it goes', async () => {
  const mesh = { metadata: { namespace: NAMESPACE, name: 'istio' }, data: { mesh: 'enableTracing: true' } };
  await client.create(KNOWN_KINDS.namespace, { metadata: { name: NAMESPACE } });
  await client.create(KNOWN_KINDS.configMap, mesh);
  const names = { plural: 'sidecars', singular: 'sidecar', kind: 'Sidecar', listKind: 'SidecarList' };
  const openAPIV3Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const made = await client.create(KNOWN_KINDS.customResourceDefinition, {
    metadata: { name: 'sidecars.networking.istio.io', labels: { release: 'istio' } },
    spec: {
      group: 'networking.istio.io',
      scope: 'Namespaced',
      names,
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  });
  expect(made.kind).toBe('done');
  // A namespace gets its service account and its roots a moment later.
  await until('the default service account', async () => {
    const found = await client.get(KNOWN_KINDS.serviceAccount, { namespace: NAMESPACE, name: 'default' });
    return found.kind === 'done';
  });
  const before = await settledObjects(client);
  // The plugin of the nodes lives in a namespace of its own, and goes, too.
  const { code, stderr } = await install('--set', 'cni.enabled=true');
  expect(code).toBe(0);
  const plugin = await client.get(KNOWN_KINDS.daemonSet, { namespace: 'kube-system', name: 'outrigger-cni' });
  expect(plugin.kind).toBe('done');
  expect(stderr).toContain('sidecars.networking.istio.io belongs to istio and is left alone');
  expect(stderr).toContain(`ConfigMap ${NAMESPACE}/istio is there already and is used as it is`);
  const found = await client.get(KNOWN_KINDS.configMap, mesh.metadata);
  expect(found.kind === 'done' ? found.value['data'] : null).toEqual(mesh.data);
  expect(await uninstall()).toMatchObject({ code: 0 });
  await expectObjects(client, before);
});
