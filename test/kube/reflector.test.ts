// The client and its reflector against a real API server: what is asked, what is watched, and kinds that come and go.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { createLog, silentLog } from '../../src/base/log.ts';
import { KubeClient, type KubeDraft } from '../../src/kube/client.ts';
import { TokenFile } from '../../src/kube/credentials.ts';
import { findKind, servedKinds } from '../../src/kube/discovery.ts';
import { EventRecorder } from '../../src/kube/event-recorder.ts';
import { recordOf } from '../../src/kube/json-record.ts';
import type { KubeKind } from '../../src/kube/kind-path.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

const BOAT: KubeKind = {
  group: 'test.outrigger.dev',
  version: 'v1',
  kind: 'Boat',
  plural: 'boats',
  isNamespaced: true,
};

let kube: ApiServer;
let client: KubeClient;
beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
});
afterAll(async () => {
  await client?.close();
  await kube?.stop();
});

function reflect(kind: KubeKind, told: string[]): Reflector<string> {
  return new Reflector<string>({
    client,
    kind,
    namespace: 'default',
    keep: (object) => (object.metadata.name === 'kube-root-ca.crt' ? null : JSON.stringify(object['data'])),
    onChange: ({ key, old, next }) => told.push(`${key} ${old} ${next}`),
    log: silentLog,
    clock: systemClock,
    timing: { absentMs: 200 },
  });
}

const configMap = (name: string, data: Readonly<Record<string, string>>): KubeDraft => ({
  metadata: { name, namespace: 'default' },
  data,
});

test('an object is made, changed and removed, and a reflector is told of each', async () => {
  const told: string[] = [];
  const reflector = reflect(KNOWN_KINDS.configMap, told);
  reflector.start();
  await until('synced', () => reflector.isSynced);
  const { configMap: kind } = KNOWN_KINDS;
  const name = { namespace: 'default', name: 'a' };
  await client.apply(kind, configMap('a', { x: '1' }), { fieldManager: 'test' });
  await client.patchMerge(kind, name, { data: { x: '2' } });
  await client.patchJson(kind, name, [{ op: 'replace', path: '/data/x', value: '3' }]);
  await client.remove(kind, name);
  await until('told of all', () => told.length === 4);
  expect(told).toEqual([
    'default/a null {"x":"1"}',
    'default/a {"x":"1"} {"x":"2"}',
    'default/a {"x":"2"} {"x":"3"}',
    'default/a {"x":"3"} null',
  ]);
  expect(reflector.objects).toEqual(new Map());
  await reflector.stop();
});

test('a kind whose CRD comes later is found, and one whose CRD goes is gone', async () => {
  const told: string[] = [];
  const reflector = reflect(BOAT, told);
  reflector.start();
  await until('absent', () => reflector.isSynced && reflector.isAbsent);
  await client.create(KNOWN_KINDS.customResourceDefinition, {
    metadata: { name: 'boats.test.outrigger.dev' },
    spec: {
      group: BOAT.group,
      scope: 'Namespaced',
      names: { kind: 'Boat', plural: 'boats', singular: 'boat' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { data: { type: 'object', additionalProperties: { type: 'string' } } },
            },
          },
        },
      ],
    },
  });
  await until('served', () => !reflector.isAbsent);
  await client.create(BOAT, configMap('b', { x: '1' }));
  await until('told', () => told.length === 1);
  await client.remove(KNOWN_KINDS.customResourceDefinition, { namespace: '', name: 'boats.test.outrigger.dev' });
  await until('absent again', () => reflector.isAbsent, 30_000);
  expect(told).toEqual(['default/b null {"x":"1"}', 'default/b {"x":"1"} null']);
  await reflector.stop();
});

test('a kind is watched in the version that is served, and in another when that goes', async () => {
  const ship = { ...BOAT, kind: 'Ship', plural: 'ships' };
  const [first, second] = ['v1beta1', 'v1'].map((version) => ({ ...ship, version }));
  if (first === undefined || second === undefined) throw new Error('two versions');
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const serving = (...served: readonly string[]) => ({
    group: ship.group,
    scope: 'Namespaced',
    names: { kind: 'Ship', plural: 'ships', singular: 'ship' },
    versions: ['v1', 'v1beta1'].map((name) => ({
      name,
      served: served.includes(name),
      storage: name === 'v1',
      schema,
    })),
  });
  const name = { namespace: '', name: `ships.${ship.group}` };
  const { customResourceDefinition } = KNOWN_KINDS;
  await client.create(customResourceDefinition, { metadata: { name: name.name }, spec: serving('v1beta1') });
  await until('served', async () => (await client.list(first)).kind === 'done');
  await client.create(first, configMap('b', { x: '1' }));
  const told: string[] = [];
  const reflector = new Reflector<string>({
    client,
    kind: second,
    otherVersions: ['v1alpha1', 'v1beta1'],
    keep: ({ apiVersion }) => apiVersion,
    onChange: ({ key, old, next }) => told.push(`${key} ${old} ${next}`),
    log: silentLog,
    clock: systemClock,
    timing: { absentMs: 200 },
  });
  reflector.start();
  await until('synced', () => reflector.isSynced);
  await client.patchMerge(customResourceDefinition, name, { spec: serving('v1') });
  await until('the other version', () => told.length === 2, 30_000);
  expect([reflector.isAbsent, told]).toEqual([
    false,
    ['default/b null test.outrigger.dev/v1beta1', 'default/b test.outrigger.dev/v1beta1 test.outrigger.dev/v1'],
  ]);
  await reflector.stop();
});

test('what is served is found by what a manifest says', async () => {
  const served = await servedKinds(client);
  if (served.kind === 'failed') throw new Error(served.failure.message);
  expect(findKind(served.value, 'apps/v1', 'Deployment')).toMatchObject({
    plural: 'deployments',
    isNamespaced: true,
    shortNames: ['deploy'],
    hasStatus: true,
  });
  expect(findKind(served.value, 'v1', 'Namespace')).toMatchObject({ group: '', isNamespaced: false });
  expect(findKind(served.value, 'apps/v9', 'Deployment')).toBe(null);
});

test('the API server takes an event and its series', async () => {
  const recorder = new EventRecorder({
    client,
    controller: 'outrigger.dev/control',
    instance: 'control-1',
    log: silentLog,
    clock: systemClock,
  });
  const made = await client.create(KNOWN_KINDS.configMap, configMap('noted', {}));
  if (made.kind === 'failed') throw new Error(made.failure.message);
  const { namespace, name, uid } = made.value.metadata;
  const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name, uid };
  const note = { regarding, type: 'Warning', reason: 'Rejected', action: 'Translating', note: 'it is wrong' } as const;
  recorder.note(note);
  await recorder.flush();
  recorder.note(note);
  await recorder.stop();
  expect(recorder.counters()).toEqual({ written: 2, merged: 1, dropped: 0, failed: 0 });
  const listed = await client.list(KNOWN_KINDS.event, { namespace, fieldSelector: 'reason=Rejected' });
  const events = listed.kind === 'done' ? listed.value.items : [];
  expect(events.map((event) => [event['note'], recordOf(event['series'])['count']])).toEqual([['it is wrong', 2]]);
});

test('who has no rights is told which ones, once, and watches as soon as they are granted', async () => {
  await kube.makeAccount('default', 'nobody');
  const tokenFile = join(kube.folder, 'nobody-token');
  await writeFile(tokenFile, await kube.token('default/nobody', 'https://kubernetes.default.svc'));
  const poor = new KubeClient({ access: { ...kube.access(), credentials: new TokenFile(tokenFile, systemClock) } });
  const lines: string[] = [];
  const reflector = new Reflector<string>({
    client: poor,
    kind: KNOWN_KINDS.secret,
    keep: (object) => object.metadata.name,
    onChange: () => {},
    log: createLog('kube', 'warning', (line) => lines.push(line)),
    clock: systemClock,
    timing: { backoffMinMs: 10, backoffMaxMs: 50 },
  });
  reflector.start();
  await until('refused often', () => (reflector.counters().failures['Forbidden'] ?? 0) >= 3);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    /may not list and watch secrets: grant the verbs list and watch on it \(secrets is forbidden/,
  );
  const name = 'watch-secrets';
  await client.create(KNOWN_KINDS.clusterRole, {
    metadata: { name },
    rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['list', 'watch'] }],
  });
  await client.create(KNOWN_KINDS.clusterRoleBinding, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', name: 'nobody', namespace: 'default' }],
  });
  await until('synced', () => reflector.isSynced);
  await reflector.stop();
  await poor.close();
});
