// A control service that begins while its API server is away: it lives, says what it waits for, tells sidecars nothing, and
// serves as soon as the API server is there. So it does when rights come late, and when the way there is cut all the time.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { accepts, statusOf, until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { ControlProcess } from './control-process.ts';
import { HeldResources } from './held-resources.ts';
import { RoughNetwork } from './rough-network.ts';

let kube: ApiServer;
const controls: ControlProcess[] = [];

beforeAll(async () => {
  kube = await ApiServer.start();
  for (const name of ['outrigger-system', 'shop']) await kube.call('/api/v1/namespaces', { metadata: { name } });
  const spec = { ports: [{ name: 'http', port: 80 }] };
  await kube.call('/api/v1/namespaces/shop/services', { metadata: { name: 'web' }, spec });
});
afterEach(async () => {
  await Promise.all(controls.splice(0).map(async (control) => await control.stop()));
});
afterAll(async () => await kube?.stop());

async function startControl(flags: readonly string[]): Promise<ControlProcess> {
  const control = await ControlProcess.start([...flags, '--ca-secret', 'outrigger-ca', '--settle-ms', '0']);
  controls.push(control);
  return control;
}

const pages = async ({ http }: ControlProcess): Promise<readonly (number | null)[]> =>
  await Promise.all(['/livez', '/readyz', '/ready', '/metrics'].map(async (path) => await statusOf(http, path)));

async function firstResources({ xds }: ControlProcess): Promise<readonly string[]> {
  const client = new HeldResources(xds, 'shop');
  await until('resources', () => client.isQuiet);
  client.close();
  return client.dump();
}

const binding = (name: string, role: string): object => ({
  metadata: { name },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
  subjects: [{ kind: 'ServiceAccount', name: 'poor', namespace: 'shop' }],
});

test('while the API server is away it lives and says why it waits, and then it serves', async () => {
  await kube.halt();
  const control = await startControl(['--kube', join(kube.folder, 'kubeconfig')]);
  await until('it lives', async () => (await statusOf(control.http, '/livez')) === 200);
  await until('the reason', async () => /services: Unreachable.*\n/.test(await control.text('/readyz')));
  expect(await pages(control)).toEqual([200, 503, 503, 200]);
  expect(await accepts(control.xds)).toBe(false);
  expect(control.child.stderr()).toContain('cannot list and watch services: Unreachable');
  await kube.resume();
  const sinceMs = performance.now();
  await control.ready();
  console.info(`ready ${((performance.now() - sinceMs) / 1000).toFixed(1)} s after its API server`);
  expect(await pages(control)).toEqual([200, 200, 200, 200]);
  expect((await firstResources(control)).join()).toContain('outbound|80||web.shop.svc.cluster.local');
});

test('while it may not read or write what it needs it says so, and serves once it may', async () => {
  await kube.makeAccount('shop', 'poor');
  const token = join(kube.folder, 'poor-token');
  const authority = join(kube.folder, 'certs/apiserver.crt');
  await writeFile(token, await kube.token('shop/poor', 'https://kubernetes.default.svc'));
  const control = await startControl(['--kube', kube.url, '--kube-token-file', token, '--kube-ca', authority]);
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  await until('the reason', async () =>
    (await control.text('/readyz').catch(() => '')).includes('grant the verbs list'),
  );
  const rules = [{ apiGroups: ['*'], resources: ['*'], verbs: ['list', 'watch'] }];
  await kube.call(`${rbac}/clusterroles`, { metadata: { name: 'see' }, rules });
  await kube.call(`${rbac}/clusterrolebindings`, binding('see', 'see'));
  await until(
    'the authority',
    async () => (await control.text('/readyz')).includes('Secret outrigger-system/outrigger-ca'),
    30_000,
  );
  expect(await accepts(control.xds)).toBe(false);
  await kube.call(`${rbac}/clusterrolebindings`, binding('do', 'cluster-admin'));
  await control.ready();
  expect(await statusOf(control.http, '/readyz')).toBe(200);
});

test('on a network that cuts every connection twice a second it gets ready', async () => {
  await kube.call('/api/v1/namespaces/outrigger-system/secrets/outrigger-ca', null);
  const network = await RoughNetwork.start(kube.port);
  network.cutEvery(500);
  const path = join(kube.folder, 'kubeconfig-rough');
  await writeFile(path, (await readFile(join(kube.folder, 'kubeconfig'), 'utf8')).replace(kube.url, network.url));
  const control = await startControl(['--kube', path]);
  await control.ready();
  expect((await firstResources(control)).join()).toContain('outbound|80||web.shop.svc.cluster.local');
  await network.stop();
});
