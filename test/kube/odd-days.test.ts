// A whole control service through days that are odd rather than rough: its token and the authority of the API server are
// replaced on disk, the API server puts it off, lists come slowly and are forgotten between two pages, definitions go and
// come back, objects grow too large. It misses nothing, and who is connected loses nothing.
// OUTRIGGER_MANY: how many objects are listed slowly (600); 10000 take minutes to make.
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { listOf, recordOf, textOf } from '../../src/kube/json-record.ts';
import { TestAuthority } from '../support/test-authority.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { ControlProcess } from './control-process.ts';
import { HeldResources } from './held-resources.ts';
import { MoodyFront, refuse } from './moody-front.ts';

const MANY = Number(process.env['OUTRIGGER_MANY'] ?? 600);
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const RULES = '/apis/networking.istio.io/v1/namespaces/shop/virtualservices';
const ENTRIES = '/apis/networking.istio.io/v1/namespaces/many/serviceentries';

const old = new TestAuthority('old');
const later = new TestAuthority('later');
let kube: ApiServer;
let front: MoodyFront;
let control: ControlProcess;
let client: HeldResources;
let first: readonly string[];

const file = (name: string): string => join(kube.folder, name);
/** As the kubelet does it: whole or not at all. */
async function put(name: string, text: string): Promise<void> {
  await writeFile(file(`${name}.new`), text);
  await rename(file(`${name}.new`), file(name));
}
const freshToken = async (): Promise<string> => await kube.token('shop/control', 'https://kubernetes.default.svc');
const pairOf = (authority: TestAuthority) => authority.issue({ addresses: ['127.0.0.1'] });

beforeAll(async () => {
  kube = await ApiServer.start();
  for (const name of ['outrigger-system', 'shop', 'many'])
    await kube.call('/api/v1/namespaces', { metadata: { name } });
  for (const kind of kindSchemas()) await kube.call(CRDS, crdOf(kind));
  await kube.makeAccount('shop', 'control');
  await kube.call('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'control' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'control', namespace: 'shop' }],
  });
  await makeService('web');
  front = await MoodyFront.start(kube, pairOf(old));
  await put('token', await freshToken());
  await put('ca.pem', old.pem);
  control = await startControl();
  client = new HeldResources(control.xds, 'shop');
  await until('resources', () => client.isQuiet);
  first = client.dump().filter((line) => line.startsWith('Cluster '));
});
beforeEach(() => {
  front.mood = () => 0;
});
afterAll(async () => {
  client?.close();
  await control?.stop();
  await front?.stop();
  await kube?.stop();
});

async function startControl(): Promise<ControlProcess> {
  const flags = ['--kube', front.url, '--kube-token-file', file('token'), '--kube-ca', file('ca.pem')];
  return await (await ControlProcess.start([...flags, '--settle-ms', '0'])).ready();
}

async function makeService(name: string): Promise<void> {
  const spec = { ports: [{ name: 'http', port: 80 }] };
  await kube.call('/api/v1/namespaces/shop/services', { metadata: { name }, spec });
}

/** A new Service reaches the client; nothing that it had before is gone. Resolves with how long it took. */
async function heard(name: string, timeoutMs = 30_000): Promise<number> {
  const sinceMs = performance.now();
  await makeService(name);
  const wanted = `Cluster outbound|80||${name}.shop.svc.cluster.local `;
  await until(`the client hears of ${name}`, () => client.dump().some((line) => line.startsWith(wanted)), timeoutMs);
  expect(client.dump()).toEqual(expect.arrayContaining([...first]));
  expect(client.disconnections).toBe(0);
  return performance.now() - sinceMs;
}

function report(what: string, ms: number): void {
  console.info(`heard of a change after ${what}: ${(ms / 1000).toFixed(1)} s`);
}

const failures = async (reason: string): Promise<boolean> =>
  (await control.text('/metrics')).includes(`outrigger_kube_failures_total{reason="${reason}"}`);

const redirectRule = (uri: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'web' },
  spec: { hosts: ['web'], http: [{ redirect: { uri } }] },
});

const hasRule = async (wanted: boolean): Promise<boolean> =>
  JSON.stringify(await control.page('/debug/rules')).includes('VirtualService/shop/web') === wanted;

const problems = async (): Promise<string> => JSON.stringify(await control.page('/debug/problems'));

async function apply(path: string, kind: string, body: object): Promise<void> {
  const [, , group = '', version = ''] = path.split('/');
  const apiVersion = path.startsWith('/api/') ? 'v1' : `${group}/${version}`;
  const metadata = { name: path.split('/').at(-1) };
  const answer = await kube.ask('PATCH', `${path}?fieldManager=test&force=true`, {
    type: 'application/apply-patch+yaml',
    body: { apiVersion, kind, metadata, ...body },
  });
  if (answer.status >= 300) throw new Error(JSON.stringify(answer.body).slice(0, 500));
}

async function makeRule(count: number): Promise<void> {
  const pad = 'x'.repeat(400);
  const http = Array.from({ length: count }, (_, i) => {
    return { match: [{ uri: { exact: `/${i}${pad}` } }], redirect: { uri: '/' } };
  });
  await apply(`${RULES}/web`, 'VirtualService', { spec: { hosts: ['web'], http } });
}

const setMesh = async (text: string): Promise<void> =>
  await apply('/api/v1/namespaces/outrigger-system/configmaps/istio', 'ConfigMap', { data: { mesh: text } });

const entryOf = (i: number): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: `e${i}` },
  spec: {
    hosts: [`e${i}.example`],
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    endpoints: [{ address: '10.4.0.1' }],
  },
});

const entryNames = async (of: ControlProcess): Promise<readonly string[]> =>
  listOf(recordOf(await of.page('/debug/rules'))['rules'])
    .map((rule) => textOf(recordOf(rule)['key']))
    .filter((key) => key.startsWith('ServiceEntry/'))
    .toSorted();

test('a token that is replaced every second is followed, and one that is refused is read again', async () => {
  for (let i = 0; i < 4; i++) {
    await put('token', await freshToken());
    front.cut();
    await sleep(1000);
  }
  await heard('replaced');
  await put('token', 'no-token-of-anybody');
  // The one that was read last counts for ten seconds, unless it is refused.
  front.mood = (request, response) =>
    request.headers.authorization === 'Bearer no-token-of-anybody' ? 0 : refuse(response, 401);
  front.cut();
  await until('a refusal', async () => await failures('Unauthorized'));
  await put('token', await freshToken());
  front.mood = () => 0;
  report('a good token', await heard('shown'));
});

test('an API server whose certificate is of another authority is trusted when the file says so', async () => {
  front.show(pairOf(later));
  front.cut();
  await until('no trust', async () => await failures('Unreachable'));
  await put('ca.pem', later.pem);
  report('another authority', await heard('trusted'));
});

test.each([
  ['429', 429, '2'],
  ['503 without a time', 503, ''],
])('an API server that puts everything off with %s is asked again when it said', async (name, status, after) => {
  let early = 0;
  const askedMs = new Map<string, number>();
  front.mood = ({ url = '' }, response) => {
    const place = url.split('?')[0] ?? '';
    const sinceMs = performance.now() - (askedMs.get(place) ?? -Infinity);
    // Secrets are asked for twice: in two sorts.
    if (after !== '' && sinceMs < 1900 && !place.endsWith('/secrets')) early++;
    askedMs.set(place, performance.now());
    return refuse(response, status, after === '' ? {} : { 'retry-after': after });
  };
  front.cut();
  await sleep(2500);
  front.mood = () => 0;
  report(name, await heard(`after-${name.replaceAll(' ', '-')}`));
  expect(early).toBe(0);
});

test('definitions that go take their rules along, and when they come back theirs are followed', async () => {
  await kube.call(RULES, redirectRule('/one'));
  await until('the rule', async () => await hasRule(true));
  const definition = kindSchemas().find(({ kind }) => kind === 'VirtualService');
  if (definition === undefined) throw new Error('no such kind');
  await kube.call(`${CRDS}/virtualservices.networking.istio.io`, null);
  await until('the rule is gone', async () => await hasRule(false), 30_000);
  await heard('without');
  await until('it is gone', async () => (await kube.ask('GET', RULES)).status === 404, 30_000);
  await kube.call(CRDS, crdOf(definition));
  await until(
    'it is back',
    async () => (await kube.ask('POST', RULES, { body: redirectRule('/two') })).status === 201,
    30_000,
  );
  const sinceMs = performance.now();
  await until('the rule of the new definition', async () => await hasRule(true), 30_000);
  report('a definition came back', performance.now() - sinceMs);
});

test('what grows to a megabyte costs nobody else anything, be it good or not', async () => {
  await makeRule(1_800);
  await heard('beside-a-large-rule');
  expect(await problems()).not.toContain('VirtualService/shop/web');
  await setMesh(`outboundTrafficPolicy: { mode: REGISTRY_ONLY }\n# ${'x'.repeat(900_000)}\n`);
  await heard('beside-a-long-comment');
  await setMesh(`outboundTrafficPolicy: { mode: ALLOW_ANY }\nextensionProviders:\n${'- name: x\n'.repeat(80_000)}`);
  await until('the problem', async () => (await problems()).includes('ConfigMap/outrigger-system/istio'));
  await heard('beside-what-is-too-much');
  await setMesh('outboundTrafficPolicy: { mode: ALLOW_ANY }\n');
  await until('no problem', async () => !(await problems()).includes('ConfigMap/outrigger-system/istio'));
  await makeRule(1);
  await heard('beside-a-small-rule');
});

test(
  'a slow list in pages that is forgotten between two of them is whole in the end',
  { timeout: 600_000 },
  async () => {
    for (let i = 0; i < MANY; i += 20)
      await Promise.all(Array.from({ length: 20 }, async (_, k) => await kube.call(ENTRIES, entryOf(i + k))));
    const pages: string[] = [];
    let isForgotten = false;
    front.mood = ({ url = '' }, response) => {
      const { pathname, searchParams } = new URL(url, front.url);
      if (searchParams.has('sendInitialEvents')) return refuse(response, 400);
      if (!pathname.endsWith('/serviceentries') || searchParams.has('watch')) return 0;
      pages.push(searchParams.get('continue') ?? '');
      if (pages.length < 2 || isForgotten) return 300;
      isForgotten = true;
      return refuse(response, 410);
    };
    const sinceMs = performance.now();
    const starting = startControl();
    await until('the second page', () => pages.length >= 2, 60_000);
    await kube.call(`${ENTRIES}/e3`, null);
    await kube.call(ENTRIES, entryOf(MANY));
    const slow = await starting;
    console.info(
      `${MANY} objects in ${pages.length} slow pages: ${((performance.now() - sinceMs) / 1000).toFixed(1)} s`,
    );
    const wanted = Array.from({ length: MANY + 1 }, (_, i) => `ServiceEntry/many/e${i}`).filter(
      (name) => !name.endsWith('/e3'),
    );
    await until(
      'all of them',
      async () => (await entryNames(slow)).length === MANY && (await entryNames(control)).length === MANY,
      60_000,
    );
    expect(await entryNames(slow)).toEqual(wanted.toSorted());
    expect(await entryNames(control)).toEqual(wanted.toSorted());
    expect(isForgotten).toBe(true);
    await slow.stop();
  },
);
