// The control service, with the flags of its Deployment, under exactly the rights that an installation gives it: a token of
// its service account at an API server that enforces RBAC. Nothing that it asks for is forbidden, and a rule of each kind
// gets its status.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listOf, numberOf, recordOf, textOf } from '../../src/kube/json-record.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { gatewayDefinitions } from './gateway-definitions.ts';
import { rulesOfEachKind } from './rules-of-each-kind.ts';

let server: ApiServer;
beforeAll(async () => {
  server = await ApiServer.start();
  for (const one of await gatewayDefinitions())
    await server.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', one);
  await server.call('/api/v1/namespaces', { metadata: { name: 'shop' } });
  const flags = ['--yes', '--no-wait', '--kube', join(server.folder, 'kubeconfig')];
  const child = startChild(process.execPath, [OUTRIGGER, 'install', ...flags]);
  if ((await child.exited) !== 0) throw new Error(child.output());
});
afterAll(async () => await server?.stop());

let control: Child;

test('the control service gets ready, makes its authority and is trusted', { timeout: 120_000 }, async () => {
  const files = { token: join(server.folder, 'control-token'), ca: join(server.folder, 'control-ca.pem') };
  const audience = 'https://kubernetes.default.svc';
  await writeFile(files.token, await server.token('outrigger-system/outrigger-control', audience));
  await writeFile(files.ca, server.authority);
  const [xds = 0, http = 0, secure = 0, webhooks = 0] = await freePorts(4);
  const flags = {
    '--kube': server.url,
    '--kube-token-file': files.token,
    '--kube-ca': files.ca,
    '--namespace': 'outrigger-system',
    '--ca-secret': 'outrigger-ca',
    '--xds': `127.0.0.1:${xds}`,
    '--http': `127.0.0.1:${http}`,
    '--secure': `127.0.0.1:${secure}`,
    '--webhooks': `127.0.0.1:${webhooks}`,
    '--trust-domain': 'cluster.local',
    '--settle-ms': '0',
  };
  control = startChild(process.execPath, [OUTRIGGER, 'control', ...Object.entries(flags).flat()]);
  await untilReady(control, async () => await isReady(`http://127.0.0.1:${http}/ready`), 60_000);
  await until('the webhooks are trusted', () => control.stderr().includes('outrigger-validator'), 30_000);
});

const cases = rulesOfEachKind().map((rule) => [rule.kind.kind, rule] as const);

test.each(cases)('a %s gets its status', async (_, { kind, spec, said }) => {
  const apiVersion = `${kind.group}/${kind.version}`;
  const collection = `/apis/${apiVersion}/namespaces/shop/${kind.plural}`;
  const made = await server.ask('POST', collection, {
    body: { apiVersion, kind: kind.kind, metadata: { name: 'one' }, spec },
  });
  expect(made).toMatchObject({ status: 201 });
  const conditions = async (): Promise<readonly string[]> => {
    const { body } = await server.ask('GET', `${collection}/one`);
    const status = recordOf(recordOf(body)['status']);
    const [parent = status] = listOf(status['parents']).map(recordOf);
    return listOf(parent['conditions']).map((one) => {
      const { type, status: holds, reason } = recordOf(one);
      return [type, holds, reason].join(' ');
    });
  };
  await until('its status', async () => (await conditions()).join() === said.join(), 15_000).catch(() => null);
  expect(await conditions()).toEqual(said);
});

const refused = (timeout: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'broken' },
  spec: {
    hosts: ['a'],
    http: [{ match: [{ uri: { regex: '(' } }], timeout, route: [{ destination: { host: 'a' } }] }],
  },
});

test('a rule that is refused gets one Event, however often it is written', { timeout: 60_000 }, async () => {
  const path = '/apis/networking.istio.io/v1/namespaces/shop/virtualservices';
  const observed = async (): Promise<number> => {
    const { body } = await server.ask('GET', `${path}/broken`);
    return numberOf(recordOf(recordOf(body)['status'])['observedGeneration']);
  };
  await server.call(path, refused('1s'));
  await until('the status', async () => (await observed()) === 1, 15_000);
  await server.ask('PATCH', `${path}/broken`, { type: 'application/merge-patch+json', body: refused('2s') });
  await until('the status of the second', async () => (await observed()) === 2, 15_000);
  const events = async (): Promise<readonly string[]> => {
    const { body } = await server.ask('GET', '/apis/events.k8s.io/v1/namespaces/shop/events');
    return listOf(recordOf(body)['items'])
      .map(recordOf)
      .filter(({ regarding }) => recordOf(regarding)['name'] === 'broken')
      .map(({ reason, note }) => `${textOf(reason)} ${textOf(note).split(':')[0]}`);
  };
  await until('an Event', async () => (await events()).length > 0, 15_000);
  await new Promise((resume) => setTimeout(resume, 2_000));
  expect(await events()).toEqual(['Rejected spec.http[0].match[0].uri.regex']);
});

test('nothing that it asked for was forbidden', async () => {
  await control.stop();
  expect(control.output().match(/[^\n]*forbidden[^\n]*/gi) ?? []).toEqual([]);
});

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
