// The client and its reflector against a real API server: what is asked, what is watched, and kinds that come and go.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { KubeClient, type KubeDraft } from '../../src/kube/client.ts';
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
