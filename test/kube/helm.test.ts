// The chart by the real helm at a real API server: install, upgrade, rollback, uninstall; that it and our own commands keep
// their hands off each other's releases; and that every manifest pleases the server and kubeconform.
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { releaseObjects } from '../../src/cli/install/release-objects.ts';
import { defaultValues } from '../../src/cli/install/release-values.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { isJsonRecord, listOf, recordOf, textOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { startChild } from '../support/child.ts';
import { OUTRIGGER, PROJECT_ROOT, realPart } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { clusterObjects, settledObjects } from './cluster-objects.ts';
import { CHART, helm, type HelmRan } from './helm.ts';

const NAMESPACE = 'outrigger-system';
const DEPLOYMENT = { namespace: NAMESPACE, name: 'outrigger-control' };
const VALIDATOR = { namespace: '', name: 'outrigger-validator' };

let server: ApiServer;
let client: KubeClient;
let empty: readonly string[];
beforeAll(async () => {
  const made = startChild(process.execPath, [join(PROJECT_ROOT, 'tools/crds/generate.ts')]);
  expect(await made.exited).toBe(0);
  server = await ApiServer.start();
  client = new KubeClient({ access: server.access() });
  await until(
    'the roots of all namespaces',
    async () => {
      const listed = await client.list(KNOWN_KINDS.configMap, { namespace: 'kube-node-lease' });
      return listed.kind === 'done' && listed.value.items.length > 0;
    },
    60_000,
  );
  // Ours is made by the person who installs, as `--create-namespace` does, and stays.
  await client.create(KNOWN_KINDS.namespace, { metadata: { name: NAMESPACE } });
  await until('the root of ours', async () => {
    const names = (await clusterObjects(client)).filter((line) => line.includes(` ${NAMESPACE}/`));
    return names.length >= 2;
  });
  empty = await settledObjects(client);
});
afterAll(async () => {
  await client?.close();
  await server?.stop();
});

async function release(verb: string, ...args: readonly string[]): Promise<HelmRan> {
  return await helm(server.folder, verb, 'mesh', ...args, '-n', NAMESPACE);
}

async function own(...args: readonly string[]): Promise<{ readonly code: number; readonly stderr: string }> {
  const child = startChild(process.execPath, [OUTRIGGER, ...args, '--kube', join(server.folder, 'kubeconfig')]);
  return { code: await child.exited, stderr: child.stderr() };
}

async function replicas(): Promise<unknown> {
  const found = await client.get(KNOWN_KINDS.deployment, DEPLOYMENT);
  return found.kind === 'done' ? recordOf(found.value['spec'])['replicas'] : found.failure.reason;
}

async function policy(): Promise<unknown> {
  const found = await client.get(KNOWN_KINDS.validatingWebhookConfiguration, VALIDATOR);
  return found.kind === 'done' ? recordOf(listOf(found.value['webhooks'])[0])['failurePolicy'] : found.failure.reason;
}

test('helm installs, upgrades, rolls back and uninstalls, and leaves nothing behind', async () => {
  const keep = ['--set', 'definitions.keep=false'];
  const installed = await release('install', CHART, ...keep);
  expect(installed).toMatchObject({ code: 0, stdout: expect.stringContaining('istio-injection=enabled') });
  expect(await replicas()).toBe(2);
  // What the control service does once it is sure of itself.
  const closed = [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' }] as const;
  await client.patchJson(KNOWN_KINDS.validatingWebhookConfiguration, VALIDATOR, closed);
  const more = ['--set', 'replicas=4', '--set', 'podDisruptionBudget.enabled=false'];
  expect(await release('upgrade', CHART, ...keep, ...more)).toMatchObject({ code: 0 });
  expect([await replicas(), await policy()]).toEqual([4, 'Fail']);
  expect((await client.get(KNOWN_KINDS.podDisruptionBudget, DEPLOYMENT)).kind).toBe('failed');
  expect(await release('rollback', '1')).toMatchObject({ code: 0 });
  expect(await replicas()).toBe(2);
  expect((await client.get(KNOWN_KINDS.podDisruptionBudget, DEPLOYMENT)).kind).toBe('done');
  expect(await release('uninstall', '--wait')).toMatchObject({ code: 0 });
  await until('nothing is left', async () => (await clusterObjects(client)).join() === empty.join(), 30_000);
});

test('an upgrade brings definitions up to date, uninstalling keeps them, and a new release takes them on', async () => {
  expect(await release('install', CHART)).toMatchObject({ code: 0 });
  const name = { namespace: '', name: 'virtualservices.networking.istio.io' };
  const kind = KNOWN_KINDS.customResourceDefinition;
  const stale = [{ op: 'replace', path: '/spec/names/shortNames', value: ['old'] }] as const;
  expect((await client.patchJson(kind, name, stale)).kind).toBe('done');
  expect(await release('upgrade', CHART)).toMatchObject({ code: 0 });
  const found = await client.get(kind, name);
  const names = found.kind === 'done' ? recordOf(recordOf(found.value['spec'])['names']) : {};
  expect(names['shortNames']).toEqual(['vs']);
  expect(await release('uninstall', '--wait')).toMatchObject({ code: 0 });
  const left = (await clusterObjects(client)).filter((line) => !empty.includes(line));
  expect(left.length).toBeGreaterThan(10);
  expect(left.filter((line) => !/^(customresourcedefinitions|apiservices)\./.test(line))).toEqual([]);
  expect(await release('install', CHART, '--set', 'definitions.keep=false')).toMatchObject({ code: 0 });
  expect(await release('uninstall', '--wait')).toMatchObject({ code: 0 });
  await until('nothing is left', async () => (await clusterObjects(client)).join() === empty.join(), 30_000);
});

test('helm and our own commands refuse what the other has installed', async () => {
  expect(await release('install', CHART, '--set', 'definitions.keep=false')).toMatchObject({ code: 0 });
  const refused: unknown = expect.stringContaining('belongs to the Helm release mesh');
  expect(await own('install', '--yes', '--no-wait')).toMatchObject({ code: 1, stderr: refused });
  const removed: unknown = expect.stringContaining('use helm uninstall');
  expect(await own('uninstall', '--yes')).toMatchObject({ code: 1, stderr: removed });
  expect(await release('uninstall', '--wait')).toMatchObject({ code: 0 });
  await until('nothing is left', async () => (await clusterObjects(client)).join() === empty.join(), 30_000);

  expect(await own('install', '--yes', '--no-wait')).toMatchObject({ code: 0 });
  const owned: unknown = expect.stringContaining('invalid ownership metadata');
  expect(await release('install', CHART)).toMatchObject({ code: 1, stderr: owned });
  expect(await own('uninstall', '--yes')).toMatchObject({ code: 0 });
  await until('nothing is left', async () => (await clusterObjects(client)).join() === empty.join(), 30_000);
});

test('every manifest fits the schemas of the API server, as kubeconform reads them', async () => {
  const answer = await client.call({ method: 'GET', path: '/openapi/v2' });
  const { definitions } = recordOf(answer.kind === 'done' ? answer.value : null);
  const folder = join(server.folder, 'schemas');
  await mkdir(folder);
  const known = Object.fromEntries(Object.entries(recordOf(definitions)).map(([name, one]) => [name, strict(one)]));
  const values = defaultValues();
  values.autoscaling.enabled = true;
  values.cni.enabled = true;
  const objects = releaseObjects({ values, namespace: NAMESPACE, instance: 'outrigger', managedBy: 'outrigger-cli' });
  for (const { kind, apiVersion } of objects) {
    const name = Object.keys(known).find((one) => isOf(known[one], kind, apiVersion)) ?? '';
    const schema = { $ref: `#/definitions/${name}`, definitions: known };
    await writeFile(join(folder, `${kind.toLowerCase()}.json`), JSON.stringify(schema));
  }
  const file = join(server.folder, 'manifests.yaml');
  const options = { lineWidth: 0, aliasDuplicateObjects: false };
  await writeFile(file, objects.map((object) => `---\n${stringify(object, options)}`).join(''));
  const flags = ['-strict', '-summary', '-schema-location', join(folder, '{{.ResourceKind}}.json'), file];
  const { stdout, status } = spawnSync(realPart('kubeconform'), flags, { encoding: 'utf8' });
  expect({ stdout, status }).toEqual({
    stdout: `Summary: ${objects.length} resources found in 1 file - Valid: ${objects.length}, Invalid: 0, Errors: 0, Skipped: 0\n`,
    status: 0,
  });
});

function isOf(schema: unknown, kind: string, apiVersion: string): boolean {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return listOf(recordOf(schema)['x-kubernetes-group-version-kind']).some((one) => {
    const { group: ofGroup, version: ofVersion, kind: ofKind } = recordOf(one);
    return ofGroup === group && ofVersion === version && textOf(ofKind) === kind;
  });
}

/** Nothing unknown, and numbers where either is taken: OpenAPI 2 has no word for that. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => strict(one));
  if (!isJsonRecord(value)) return value;
  if (value['format'] === 'int-or-string') return {};
  const inner: JsonRecord = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, strict(one)]));
  return isJsonRecord(value['properties']) && value['type'] === 'object' && value['additionalProperties'] === undefined
    ? { ...inner, additionalProperties: false }
    : inner;
}
