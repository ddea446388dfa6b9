// The whole control service, as a process, on the way to a real API server as it is on its worst days: connections that are
// reset every second, etcd that forgets, an API server that is away, while the cluster changes all the time. Who is connected
// loses nothing meanwhile; at the end the service holds, object by object, what a fresh one holds, and so does the client.
// OUTRIGGER_AWAY_SECONDS: how long the API server is away (6).
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listOf, recordOf } from '../../src/kube/json-record.ts';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { RouteConfigurationSchema, type RouteConfiguration } from '../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { ENDPOINT_TYPE, ROUTE_TYPE } from '../../src/xds/type-url.ts';
import { unpack } from '../../src/xds/unpack.ts';
import type { Update } from '../../src/xds/update.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';
import { ControlProcess } from './control-process.ts';
import { HeldResources } from './held-resources.ts';
import { KEPT, RestlessCluster, SHOP } from './restless-cluster.ts';
import { RoughNetwork } from './rough-network.ts';

const AWAY_MS = Number(process.env['OUTRIGGER_AWAY_SECONDS'] ?? 6) * 1000;
const SETTLE_MS = 2_000;
const WHOLE_MS = 45_000;
const PAGES = ['/debug/registry', '/debug/problems'];

let kube: ApiServer;
let network: RoughNetwork;
let cluster: RestlessCluster;
let control: ControlProcess;
let client: HeldResources;
/** What was taken from the client that nobody deleted. */
const losses: string[] = [];

beforeAll(async () => {
  kube = await ApiServer.start();
  network = await RoughNetwork.start(kube.port);
  for (const kind of kindSchemas())
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crdOf(kind));
  cluster = new RestlessCluster(kube);
  await until(
    'the kinds are served',
    async () => (await kube.ask('GET', '/apis/outrigger.dev/v1alpha1')).status === 200,
  );
  await cluster.prepare();
  await cluster.change(40);
  control = await startControl(network.url);
  client = new HeldResources(control.xds, SHOP, noteLosses);
});
afterAll(async () => {
  client?.close();
  await control?.stop();
  await cluster?.close();
  await network?.stop();
  await kube?.stop();
});

async function startControl(url: string): Promise<ControlProcess> {
  const config = await readFile(join(kube.folder, 'kubeconfig'), 'utf8');
  const path = join(kube.folder, `kubeconfig-${new URL(url).port}`);
  await writeFile(path, config.replace(kube.url, url));
  const started = await ControlProcess.start(['--kube', path, '--settle-ms', '0']);
  return await started.ready();
}

function noteLosses({ typeUrl, changed, removed }: Update): void {
  const type = typeUrl.split('.').at(-1);
  for (const name of removed)
    if (name.includes('kept-') || /^(?:0\.0\.0\.0_)?80$/.test(name)) losses.push(`${type} ${name}`);
  for (const { name, resource } of changed) {
    if (typeUrl === ENDPOINT_TYPE && name.includes('kept-')) {
      const assignment = unpack(resource, ClusterLoadAssignmentSchema);
      if (assignment?.endpoints.some(({ lbEndpoints }) => lbEndpoints.length > 0) !== true)
        losses.push(`the endpoints of ${name}`);
    }
    if (typeUrl === ROUTE_TYPE && name === '80') losses.push(...lostHosts(unpack(resource, RouteConfigurationSchema)));
  }
}

/** Of the services that are always there, those whose routes are not those of their rule. */
function lostHosts(routes: RouteConfiguration | null): readonly string[] {
  return Array.from({ length: KEPT }, (_, index) => `kept-${index}.${SHOP}.svc.cluster.local`).filter((host) => {
    const found = routes?.virtualHosts.find(({ domains }) => domains.includes(host));
    return found?.routes.length !== 2;
  });
}

interface State {
  readonly pages: readonly unknown[];
  readonly held: readonly string[];
}

async function countOf(metric: string): Promise<number> {
  const found = new RegExp(`^${metric} (\\d+)$`, 'm').exec(await control.text('/metrics'));
  return Number(found?.[1] ?? 0);
}

async function stateOf(of: ControlProcess, held: HeldResources): Promise<State> {
  const { rules, secrets, isCurrent } = recordOf(await of.page('/debug/rules'));
  // Rules and Secrets are told in the order in which they were heard.
  const inOrder = [rules, secrets].map((entries) =>
    listOf(entries)
      .map((entry) => JSON.stringify(entry))
      .toSorted(),
  );
  const pages = await Promise.all(PAGES.map(async (path) => await of.page(path)));
  return { pages: [...pages, ...inOrder, isCurrent], held: held.dump() };
}

/**
 * Until it is what a control service is that has just begun, and the client has what somebody has whom nobody told anything
 * before. Resolves with how long it took; the fresh one takes part of that.
 */
async function whole(): Promise<number> {
  const sinceMs = performance.now();
  const fresh = await startControl(kube.url);
  const newcomer = new HeldResources(fresh.xds, SHOP);
  let [wanted, found] = [await stateOf(fresh, newcomer), await stateOf(control, client)];
  const isWhole = async (): Promise<boolean> => {
    [wanted, found] = [await stateOf(fresh, newcomer), await stateOf(control, client)];
    return newcomer.isQuiet && JSON.stringify(wanted) === JSON.stringify(found);
  };
  try {
    await until('whole', isWhole, WHOLE_MS).catch(() => expect(found).toEqual(wanted));
  } finally {
    newcomer.close();
    await fresh.stop();
  }
  expect(losses).toEqual([]);
  expect(client.disconnections).toBe(0);
  return performance.now() - sinceMs;
}

/** The status of every rule speaks of what it says now. */
async function areStatusesCurrent(): Promise<boolean> {
  const paths = ['networking.istio.io/v1/virtualservices', 'networking.istio.io/v1/destinationrules'];
  const lists = await Promise.all(paths.map(async (path) => await kube.ask('GET', `/apis/${path}`)));
  const rules = lists.flatMap(({ body }) => listOf(recordOf(body)['items']).map(recordOf));
  return (
    rules.length > KEPT &&
    rules.every(({ metadata, status }) => {
      const [accepted] = listOf(recordOf(status)['conditions']).map(recordOf);
      return accepted?.['status'] === 'True' && accepted['observedGeneration'] === recordOf(metadata)['generation'];
    })
  );
}

function report(what: string, ms: number): void {
  console.info(`whole after ${what}: ${(ms / 1000).toFixed(1)} s`);
}

test('without trouble it is what a fresh one is', async () => {
  await cluster.change(60);
  const { rules, secrets } = recordOf(await control.page('/debug/rules'));
  expect([listOf(rules).length > 30, listOf(secrets).length > 1]).toEqual([true, true]);
  report('changes', await whole());
});

test('connections that are reset every second cost nothing', async () => {
  const lists = await countOf('outrigger_kube_lists_total');
  network.cutEvery(1000);
  await cluster.changeFor(4_500);
  network.calm();
  // Watches go on where they were; kinds of the Gateway API, which are not there, are looked for.
  expect(network.cuts).toBeGreaterThan(100);
  expect((await countOf('outrigger_kube_lists_total')) - lists).toBeLessThan(10);
  report('resets every second', await whole());
});

test('what happened before etcd forgot it is found out', async () => {
  for (const name of ['lost', 'other']) await cluster.landmarks(name, 'made');
  // The kind that is made last.
  await until('both are heard of', async () =>
    (await control.text('/debug/rules')).includes('PeerAuthentication/shop/other'),
  );
  network.isBlocked = true;
  network.cut();
  await cluster.landmarks('lost', 'deleted');
  await cluster.landmarks('other', 'replaced');
  await cluster.landmarks('found', 'made');
  await cluster.change(80);
  await kube.halt();
  await kube.compact();
  await kube.resume();
  await cluster.change(20);
  network.cutEvery(1000);
  network.isBlocked = false;
  await cluster.changeFor(2_000);
  network.calm();
  report('a compaction', await whole());
  expect(await countOf('outrigger_kube_failures_total{reason="Expired"}')).toBeGreaterThan(0);
});

test('an API server that was away is found again', async () => {
  await cluster.landmarks('found', 'deleted');
  await cluster.change(30);
  await kube.halt();
  // What was told last is on its way to the client.
  await sleep(SETTLE_MS);
  const before = client.dump();
  await sleep(AWAY_MS - SETTLE_MS);
  expect(control.child.hasExited()).toBe(false);
  expect(client.dump()).toEqual(before);
  await kube.resume();
  await cluster.change(60);
  report(`${AWAY_MS / 1000} s without an API server`, await whole());
  const sinceMs = performance.now();
  await until('statuses are current', areStatusesCurrent, 40_000);
  report('it, with every status', performance.now() - sinceMs);
});
