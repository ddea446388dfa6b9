// Two control services on one real API server: one writes the status of rules, Events and the roots of every namespace; when
// it is killed the other does, and nothing that was said is lost.
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { listOf, recordOf, textOf } from '../../src/kube/json-record.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

const SYSTEM = 'outrigger-system';
const RULES = '/apis/networking.istio.io/v1/namespaces/shop/virtualservices';

let kube: ApiServer;
const controls: Child[] = [];

beforeAll(async () => {
  kube = await ApiServer.start();
  for (const name of [SYSTEM, 'shop']) await kube.call('/api/v1/namespaces', { metadata: { name } });
  for (const kind of kindSchemas())
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crdOf(kind));
  for (let i = 0; i < 2; i++) controls.push(await startControl());
});
afterAll(async () => {
  await Promise.all(controls.map(async (control) => await control.stop()));
  await kube?.stop();
});

async function startControl(): Promise<Child> {
  const [xds = 0, http = 0, secure = 0] = await freePorts(3);
  const places = ['--xds', `127.0.0.1:${xds}`, '--http', `127.0.0.1:${http}`, '--secure', `127.0.0.1:${secure}`];
  const own = ['--kube', `${kube.folder}/kubeconfig`, '--ca-secret', 'outrigger-ca'];
  const control = startChild(process.execPath, [OUTRIGGER, 'control', ...own, ...places]);
  await untilReady(control, async () => (await statusOf(http, '/ready')) === 200, 60_000);
  return control;
}

const leaders = (): readonly Child[] =>
  controls.filter((control) => !control.hasExited() && control.output().includes('this control service leads'));

const rule = (regex: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    hosts: ['web.example'],
    http: [{ match: [{ uri: { regex } }], route: [{ destination: { host: 'web.example' } }] }],
  },
});

async function version(): Promise<string> {
  const { body } = await kube.ask('GET', `${RULES}/web`);
  return textOf(recordOf(recordOf(body)['metadata'])['resourceVersion']);
}

/** `TYPE STATUS REASON GENERATION` of each condition. */
async function conditions(): Promise<readonly string[]> {
  const { body } = await kube.ask('GET', `${RULES}/web`);
  return listOf(recordOf(recordOf(body)['status'])['conditions']).map((one) => {
    const { type, status, reason, observedGeneration } = recordOf(one);
    return [type, status, reason, observedGeneration].join(' ');
  });
}

test('one of them leads', async () => {
  await until('a leader', () => leaders().length === 1, 20_000);
  const { body } = await kube.ask('GET', `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/outrigger-leader`);
  expect(textOf(recordOf(recordOf(body)['spec'])['holderIdentity'])).not.toBe('');
});

test('the roots of the mesh are in every namespace, also in one that comes later and one that was changed', async () => {
  const rootsOf = async (namespace: string): Promise<string> => {
    const { body } = await kube.ask('GET', `/api/v1/namespaces/${namespace}/configmaps/istio-ca-root-cert`);
    return textOf(recordOf(recordOf(body)['data'])['root-cert.pem']);
  };
  await until('the roots', async () => (await rootsOf('shop')).includes('BEGIN CERTIFICATE'), 20_000);
  await kube.call('/api/v1/namespaces', { metadata: { name: 'later' } });
  await until('the roots of the new one', async () => (await rootsOf('later')) === (await rootsOf('shop')), 20_000);
  await kube.ask('PATCH', '/api/v1/namespaces/shop/configmaps/istio-ca-root-cert', {
    type: 'application/merge-patch+json',
    body: { data: { 'root-cert.pem': 'somebody else' } },
  });
  await until('put right', async () => (await rootsOf('shop')).includes('BEGIN CERTIFICATE'), 20_000);
});

test('a rule says whether it is followed, and when everybody has it', async () => {
  await kube.call(RULES, rule('/[a-z]+'));
  await until('the status', async () => (await conditions()).length === 3, 20_000);
  expect(await conditions()).toEqual([
    'Accepted True Accepted 1',
    'ResolvedRefs False ReferencedResourceNotFound 1',
    'Programmed True Programmed 1',
  ]);
  const { body } = await kube.ask('GET', RULES, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
  const column = listOf(recordOf(body)['columnDefinitions']).findIndex((one) => recordOf(one)['name'] === 'Accepted');
  expect(listOf(recordOf(listOf(recordOf(body)['rows'])[0])['cells'])[column]).toBe('True');
});

test('wait ends when the status says that proxies have what the file says, and not before', async () => {
  const file = `${kube.folder}/wanted.yaml`;
  const wait = async (): Promise<string> => {
    const place = ['--kube', `${kube.folder}/kubeconfig`, '--timeout', '1'];
    const waiting = startChild(process.execPath, [OUTRIGGER, 'wait', '--for=distribution', '-f', file, ...place]);
    await until('its end', () => waiting.hasExited(), 20_000);
    return waiting.output();
  };
  writeFileSync(file, JSON.stringify(rule('/[a-z]+')));
  expect(await wait()).toContain('1 rules are where they belong');
  writeFileSync(file, JSON.stringify(rule('/[a-y]+')));
  expect(await wait()).toContain('VirtualService/shop/web says something else there');
  writeFileSync(file, JSON.stringify({ ...rule('/'), metadata: { name: 'absent', namespace: 'shop' } }));
  expect(await wait()).toContain('VirtualService/shop/absent: 404 NotFound');
});

test('check judges what the cluster has as if files were applied to it', async () => {
  const file = `${kube.folder}/checked.yaml`;
  const check = async (...files: readonly string[]): Promise<string> => {
    const checking = startChild(process.execPath, [
      OUTRIGGER,
      'check',
      ...files,
      '--kube',
      `${kube.folder}/kubeconfig`,
    ]);
    await until('its end', () => checking.hasExited(), 20_000);
    return checking.output();
  };
  // Nobody serves web.example.
  expect(await check()).toContain('warning: kubernetes:VirtualService/shop/web: ');
  writeFileSync(file, JSON.stringify(rule('(')));
  const applied = await check(file);
  expect(applied).toContain('error: ');
  expect(applied).toContain('spec.http[0].match[0].uri.regex');
  expect(applied).not.toContain('kubernetes:VirtualService/shop/web');
});

test('a rule that cannot be followed says why, by its field, and in an Event', async () => {
  await kube.ask('PATCH', `${RULES}/web`, { type: 'application/merge-patch+json', body: rule('(') });
  await until('the status', async () => (await conditions())[0] === 'Accepted False Invalid 2', 20_000);
  const { body } = await kube.ask('GET', `${RULES}/web`);
  const [accepted] = listOf(recordOf(recordOf(body)['status'])['conditions']).map(recordOf);
  expect(textOf(accepted?.['message'])).toContain('spec.http[0].match[0].uri.regex');
  await until(
    'the Event',
    async () => {
      const events = await kube.ask('GET', '/apis/events.k8s.io/v1/namespaces/shop/events');
      return listOf(recordOf(events.body)['items']).some((one) => recordOf(one)['reason'] === 'Rejected');
    },
    20_000,
  );
});

test('a status that says what it should is not written again', async () => {
  const before = await version();
  await new Promise((resume) => setTimeout(resume, 3_000));
  expect(await version()).toBe(before);
});

test('when the leader is killed the other writes within 20 s', { timeout: 60_000 }, async () => {
  const [leader] = leaders();
  leader?.kill('SIGKILL');
  await leader?.exited;
  const sinceMs = performance.now();
  await kube.ask('PATCH', `${RULES}/web`, { type: 'application/merge-patch+json', body: rule('/[b-c]+') });
  await until('the status', async () => (await conditions())[0] === 'Accepted True Accepted 3', 30_000);
  expect(performance.now() - sinceMs).toBeLessThan(20_000);
});
