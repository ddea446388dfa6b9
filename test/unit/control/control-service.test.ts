// The control service as a ViewSource on a real directory: what a subscriber is given, what a broken file
// leaves in force, what waits and what does not, and what survives a crash.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { ControlService } from '../../../src/control/control.ts';
import type { ControlOptions } from '../../../src/control/control-options.ts';
import type { NodeInfo, View, ViewSubscription } from '../../../src/control/flow.ts';
import { DiscoveryClient } from '../../../src/sidecar/discovery.ts';
import { NodeSchema } from '../../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { ClusterLoadAssignmentSchema } from '../../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, ROUTE_TYPE } from '../../../src/xds/type-url.ts';
import { RouteConfigurationSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_pb.js';

const SERVICE =
  'apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: { selector: { app: reviews }, ports: [{ name: http, port: 80 }] }\n';
const rule = (uri: string): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: reviews }\nspec: { hosts: [reviews], http: [{ redirect: { uri: ${uri} } }] }\n`;

let directory = '';
const running: ControlService[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-control-'));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((control) => control.stop()));
  await rm(directory, { recursive: true });
});

async function start(options: Partial<ControlOptions> = {}) {
  const control = new ControlService({
    rules: directory,
    log: silentLog,
    xdsAddress: '127.0.0.1:0',
    httpAddress: '127.0.0.1:0',
    settleMs: 0,
    debounceMs: 20,
    graceMs: 50,
    ...options,
  });
  running.push(control);
  const addresses = await control.start();
  return { control, addresses };
}

function aNode(service: string, inboundPort = 20_001): NodeInfo {
  return {
    id: `sidecar~127.0.0.1~${service}-v1.default~x`,
    cluster: service,
    metadata: {
      NAMESPACE: 'default',
      INSTANCE_IPS: '127.0.0.1',
      OUTRIGGER: { service, version: 'v1', apps: [{ port: 1, inboundPort }] },
    },
  };
}

/** A subscriber whose views can be awaited. */
class Watcher {
  readonly subscription: ViewSubscription;
  view: View | null;
  #wake: () => void = () => {};

  constructor(control: ControlService, node: NodeInfo & { readonly isReturning?: boolean }) {
    const opened = control.open(node, (view) => {
      this.view = view;
      this.#wake();
    });
    if (opened.kind === 'refused') throw new Error(opened.message);
    this.subscription = opened.subscription;
    this.view = opened.subscription.view;
  }

  async until(holds: (view: View) => boolean): Promise<void> {
    while (this.view === null || !holds(this.view)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

function redirectOf(view: View): string {
  const bytes = view.resources.get(ROUTE_TYPE)?.get('http_proxy')?.bytes ?? new Uint8Array();
  const host = fromBinary(RouteConfigurationSchema, bytes).virtualHosts.find((candidate) =>
    candidate.name.startsWith('reviews'),
  );
  const action = host?.routes[0]?.action;
  return action?.case === 'redirect' && action.value.pathRewriteSpecifier.case === 'pathRedirect'
    ? action.value.pathRewriteSpecifier.value
    : '';
}

function portsOf(view: View, host: string): readonly number[] {
  const assignments = [...(view.resources.get(ENDPOINT_TYPE)?.values() ?? [])].filter((resource) =>
    resource.name.includes(`||${host}.`),
  );
  return assignments.flatMap(({ bytes }) =>
    fromBinary(ClusterLoadAssignmentSchema, bytes).endpoints.flatMap((locality) =>
      locality.lbEndpoints.map((endpoint) => {
        const address =
          endpoint.hostIdentifier.case === 'endpoint' ? endpoint.hostIdentifier.value.address?.address : undefined;
        return address?.case === 'socketAddress' && address.value.portSpecifier.case === 'portValue'
          ? address.value.portSpecifier.value
          : 0;
      }),
    ),
  );
}

test('a change of a rule reaches a subscriber, and only the types that changed are new', async () => {
  await writeFile(join(directory, 'a.yaml'), SERVICE + rule('/one'));
  const { control } = await start();
  const watcher = new Watcher(control, aNode('frontend'));
  await watcher.until((view) => redirectOf(view) === '/one');
  const before = watcher.view;
  await writeFile(join(directory, 'a.yaml'), SERVICE + rule('/two'));
  await watcher.until((view) => redirectOf(view) === '/two');
  expect(watcher.view?.resources.get(ENDPOINT_TYPE)).toBe(before?.resources.get(ENDPOINT_TYPE));
  expect(watcher.view?.versions.get(ROUTE_TYPE)).not.toBe(before?.versions.get(ROUTE_TYPE));
});

test.each([
  [
    'a value that is refused',
    SERVICE + rule('/two').replace('redirect:', 'timeout: 5, redirect:'),
    'a.yaml:9:45: spec.http[0].timeout',
  ],
  ['YAML that is broken', `${SERVICE}---\n  x: [`, 'not valid YAML'],
])('%s leaves the last good version in force and everything else alive', async (_, broken, says) => {
  await writeFile(join(directory, 'a.yaml'), SERVICE + rule('/one'));
  const { control } = await start();
  const watcher = new Watcher(control, aNode('frontend'));
  await writeFile(join(directory, 'a.yaml'), broken);
  while (control.problems.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(control.problems.map(formatProblem).join('\n')).toContain(says);
  await watcher.until((view) => redirectOf(view) === '/one');
  await writeFile(join(directory, 'a.yaml'), SERVICE + rule('/three'));
  await watcher.until((view) => redirectOf(view) === '/three');
  expect(control.problems).toEqual([]);
});

test('instances that join and leave reach others without waiting for the quiet time', async () => {
  await writeFile(join(directory, 'a.yaml'), SERVICE);
  const { control } = await start({ debounceMs: 60_000 });
  const watcher = new Watcher(control, aNode('frontend'));
  const joined = new Watcher(control, aNode('reviews', 20_002));
  await watcher.until((view) => portsOf(view, 'reviews').includes(20_002));
  joined.subscription.close();
  await watcher.until((view) => portsOf(view, 'reviews').length === 0);
});

test('equal views share their bytes, and a node without an id is refused', async () => {
  await writeFile(join(directory, 'a.yaml'), SERVICE);
  const { control } = await start();
  const [one, two] = [new Watcher(control, aNode('frontend')), new Watcher(control, aNode('catalog'))];
  await Promise.all([one, two].map((watcher) => watcher.until((view) => portsOf(view, 'catalog').length === 1)));
  expect(one.view?.resources.get(ROUTE_TYPE)?.get('http_proxy')).toBe(
    two.view?.resources.get(ROUTE_TYPE)?.get('http_proxy'),
  );
  expect(control.open({ id: '', cluster: '', metadata: {} }, () => {})).toEqual({
    kind: 'refused',
    message: 'the node has no id',
  });
});

test('who comes back waits until the others can have come back, and then knows them all', async () => {
  await writeFile(join(directory, 'a.yaml'), SERVICE);
  const { control } = await start({ settleMs: 600 });
  const startedMs = performance.now();
  const first = new Watcher(control, { ...aNode('frontend'), isReturning: true });
  await expect.poll(() => control.isReady).toBe(true);
  expect(first.view).toBeNull();
  control.open({ ...aNode('reviews', 20_002), isReturning: true }, () => {});
  await first.until(() => true);
  expect(performance.now() - startedMs).toBeGreaterThan(550);
  expect(portsOf(first.view ?? raise(), 'reviews')).toEqual([20_002]);
});

test('who has nothing waits for the quiet time only, and is told of whoever comes later', async () => {
  await writeFile(join(directory, 'a.yaml'), SERVICE);
  const { control } = await start({ settleMs: 60_000 });
  const first = new Watcher(control, aNode('frontend'));
  expect(first.view).toBeNull();
  await first.until(() => true);
  control.open(aNode('reviews', 20_002), () => {});
  await first.until((view) => portsOf(view, 'reviews').includes(20_002));
});

test('who has nothing waits with those who come back, because what is known is not whole', async () => {
  const { control } = await start({ settleMs: 500 });
  const returned = new Watcher(control, aNode('frontend'));
  returned.subscription.noteReturned();
  const fresh = new Watcher(control, aNode('catalog'));
  await expect.poll(() => control.isReady).toBe(true);
  expect([returned.view, fresh.view]).toEqual([null, null]);
  await Promise.all([returned, fresh].map((watcher) => watcher.until(() => true)));
});

test.each(['delta', 'sotw'] as const)('a %s client that comes back to another process is held', async (variant) => {
  await writeFile(join(directory, 'a.yaml'), SERVICE);
  const { control, addresses } = await start({ settleMs: 400 });
  let updates = 0;
  const client = new DiscoveryClient({
    control: [{ host: '127.0.0.1', port: Number(addresses.xds.split(':')[1]) }],
    node: create(NodeSchema, { ...aNode('frontend'), metadata: {} }),
    variant,
    log: silentLog,
    clock: systemClock,
    retryMsMin: 10,
    retryMsMax: 20,
    onUpdate: () => (updates++, []),
  });
  client.subscribe(CLUSTER_TYPE, '*');
  await expect.poll(() => updates).toBe(1);
  await control.stop();
  const { control: next } = await start({ settleMs: 800, xdsAddress: addresses.xds });
  const startedMs = performance.now();
  await expect.poll(() => next.discovery.connected).toBe(1);
  const isDone = (): boolean =>
    next.discovery.syncStatus().every(({ types }) => types.every(({ state }) => state === 'synced'));
  await expect.poll(isDone, { interval: 10, timeout: 5_000 }).toBe(true);
  expect(performance.now() - startedMs).toBeGreaterThan(700);
  client.close();
});

test('the HTTP port tells readiness, metrics, problems and the registry', async () => {
  await writeFile(join(directory, 'a.yaml'), `${SERVICE}---\nkind: Nonsense\n`);
  const { control, addresses } = await start();
  control.open(aNode('reviews'), () => {});
  const get = async (path: string): Promise<string> => (await fetch(`http://${addresses.http}${path}`)).text();
  await expect.poll(() => get('/ready')).toBe('ready\n');
  await expect.poll(() => get('/metrics')).toContain('\noutrigger_workloads 1\n');
  expect(await get('/debug/problems')).toContain('the kind Nonsense is not known');
  expect(await get('/debug/registry')).toContain('"port": 20001');
  expect(JSON.parse(await get('/debug/syncz'))).toEqual([]);
  expect((await fetch(`http://${addresses.http}/nothing`)).status).toBe(404);
});

function raise(): never {
  throw new Error('there is no view');
}
