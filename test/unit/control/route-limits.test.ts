// Who is given a route, and so has a part in its limits: asked as translation decides it, and by a real stream of reports.
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { parseFile } from '../../../src/config/parse.ts';
import { GivenRoutes } from '../../../src/control/given-routes.ts';
import { readNode, type MeshNode } from '../../../src/control/mesh-node.ts';
import { LOAD_SERVICE, RateReports } from '../../../src/control/rate-reports.ts';
import { ResourceIndex } from '../../../src/control/resource-index.ts';
import { routeLimitName, routeOfLimit } from '../../../src/control/route-limit-index.ts';
import { buildSnapshot } from '../../../src/control/snapshot.ts';
import {
  LoadStatsRequestSchema,
  LoadStatsResponseSchema,
  type LoadStatsRequest,
} from '../../../src/xds/gen/envoy/service/load_stats/v3/lrs_pb.js';

const RULES = `
apiVersion: v1
kind: Service
metadata: { name: catalog, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: catalog, namespace: shop }
spec:
  hosts: [catalog]
  http:
    - { name: west, match: [{ sourceNamespace: west }], route: [{ destination: { host: catalog } }] }
    - { name: 'a/b=c', route: [{ destination: { host: catalog } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: private, namespace: shop }
spec: { hosts: [private.example], exportTo: ['.'], http: [{ route: [{ destination: { host: catalog } }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders }]
  rules: [{ name: one, backendRefs: [{ name: orders, port: 80 }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: consumer, namespace: west }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders, namespace: shop }]
  rules: [{ name: one, backendRefs: [{ name: orders, namespace: shop, port: 80 }] }]
---
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: routes, namespace: shop }
spec:
  targetRefs:
    - { kind: VirtualService, name: catalog }
    - { kind: VirtualService, name: catalog, sectionName: 'a/b=c' }
    - { kind: VirtualService, name: private }
    - { kind: HTTPRoute, name: orders }
    - { kind: Service, name: catalog }
  limits: [{ name: all, requests: 100, scope: Service }]
---
apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: own, namespace: east }
spec: { limits: [{ name: all, requests: 100, scope: Service }] }
`;

const index = new ResourceIndex();
index.apply('rules.yaml', parseFile('rules.yaml', RULES));
const snapshot = buildSnapshot({
  resources: [...index.resources().values()],
  workloads: [],
  domain: 'cluster.local',
  providers: [],
  services: [],
});

function peerOf(namespace: string, serviceAccount = 'ann') {
  const id = { trustDomain: 'cluster.local', namespace, serviceAccount };
  return { id, by: 'certificate', untilMs: Infinity, pod: '' } as const;
}

function nodeOf(namespace: string): MeshNode {
  const id = `sidecar~10.0.0.1~ann.${namespace}~cluster.local`;
  const node = readNode({ id, cluster: '', metadata: { OUTRIGGER: { mode: 'redirect' } }, peer: peerOf(namespace) });
  if (typeof node === 'string') throw new Error(node);
  return node;
}

test.each([
  {
    from: 'shop',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'catalog', sectionName: '' },
    isGiven: true,
  },
  {
    from: 'east',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'catalog', sectionName: '' },
    isGiven: true,
  },
  {
    from: 'east',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'catalog', sectionName: 'a/b=c' },
    isGiven: true,
  },
  {
    from: 'east',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'catalog', sectionName: 'west' },
    isGiven: false,
  },
  {
    from: 'west',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'catalog', sectionName: 'west' },
    isGiven: true,
  },
  {
    from: 'east',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'catalog', sectionName: 'none' },
    isGiven: false,
  },
  {
    from: 'shop',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'private', sectionName: '' },
    isGiven: true,
  },
  {
    from: 'east',
    target: { kind: 'VirtualService', namespace: 'shop', name: 'private', sectionName: '' },
    isGiven: false,
  },
  {
    from: 'east',
    target: { kind: 'VirtualService', namespace: 'east', name: 'catalog', sectionName: '' },
    isGiven: false,
  },
  { from: 'east', target: { kind: 'HTTPRoute', namespace: 'shop', name: 'orders', sectionName: 'one' }, isGiven: true },
  {
    from: 'east',
    target: { kind: 'HTTPRoute', namespace: 'shop', name: 'orders', sectionName: 'two' },
    isGiven: false,
  },
  { from: 'east', target: { kind: 'HTTPRoute', namespace: 'shop', name: 'catalog', sectionName: '' }, isGiven: false },
  { from: 'west', target: { kind: 'HTTPRoute', namespace: 'shop', name: 'orders', sectionName: '' }, isGiven: false },
  {
    from: 'west',
    target: { kind: 'HTTPRoute', namespace: 'west', name: 'consumer', sectionName: 'one' },
    isGiven: true,
  },
] as const)('a sidecar in $from is given $target: $isGiven', ({ from, target, isGiven }) => {
  expect(new GivenRoutes(snapshot, nodeOf(from)).has(target)).toBe(isGiven);
});

test('the name of a limit says which route it is of', () => {
  const limit = snapshot.rateLimits[0]?.spec.limits[0];
  const holdings = snapshot.routeLimits.ofRoute('VirtualService', { namespace: 'shop', name: 'catalog' }, 'a/b=c');
  expect(holdings.map(({ target }) => target.sectionName)).toEqual(['', 'a/b=c']);
  for (const holding of holdings)
    expect(limit === undefined ? null : routeOfLimit(routeLimitName(holding, limit))).toEqual(holding.target);
  // A Service may be called like that.
  expect(routeOfLimit('shop/routes/all/VirtualService')).toBeNull();
});

const ROUTES = [
  'shop/routes/all/VirtualService/catalog',
  'shop/routes/all/VirtualService/catalog/a/b=c',
  'shop/routes/all/VirtualService/private',
  'shop/routes/all/HTTPRoute/orders',
  'shop/routes/all/VirtualService/other',
  'shop/routes/all/catalog',
] as const;
const [WHOLE, RULE, PRIVATE, ORDERS, , SERVICE] = ROUTES;
const OWN = 'east/own/all';

test.each([
  {
    what: 'its own and the routes that it is given',
    known: 'east',
    namespace: 'east',
    account: 'ann',
    expected: [WHOLE, RULE, ORDERS, OWN],
  },
  {
    what: 'those of its namespace',
    known: 'shop',
    namespace: 'shop',
    account: 'ann',
    expected: [WHOLE, RULE, PRIVATE, ORDERS, SERVICE],
  },
  { what: 'no routes while it has no configuration', known: '', namespace: 'east', account: 'ann', expected: [OWN] },
  {
    what: 'no routes that somebody else of the same id is given',
    known: 'shop',
    namespace: 'east',
    account: 'ann',
    expected: [OWN],
  },
  {
    what: 'no routes that another account of the same id is given',
    known: 'east',
    namespace: 'east',
    account: 'bob',
    expected: [OWN],
  },
])('who reports has a part in $what', async ({ known, namespace, account, expected }) => {
  const node = known === '' ? null : nodeOf(known);
  const reports = new RateReports({
    snapshot: () => snapshot,
    nodesOf: () => (node === null ? [] : [node]),
    clock: systemClock,
    graceMs: 1000,
    trustsAnybody: () => false,
  });
  const server = new Server();
  server.addService(LOAD_SERVICE, {
    StreamLoadStats: (call: Parameters<RateReports['accept']>[0]) => reports.accept(call, peerOf(namespace, account)),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, bound) => {
      if (cause === null) resolve(bound);
      else reject(cause);
    });
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const call = client.makeBidiStreamRequest(
    LOAD_SERVICE.StreamLoadStats.path,
    (request: LoadStatsRequest) => Buffer.from(toBinary(LoadStatsRequestSchema, request)),
    (bytes: Buffer) => fromBinary(LoadStatsResponseSchema, bytes).clusters,
  );
  call.on('error', () => undefined);
  const parts = new Promise<readonly string[]>((resolve) => {
    call.on('data', (clusters: readonly string[]) => {
      if (clusters.length > 0) resolve(clusters);
    });
  });
  call.write(create(LoadStatsRequestSchema, { node: { id: 'x' } }));
  const clusterStats = [...ROUTES, OWN].map((clusterName) => ({ clusterName }));
  call.write(create(LoadStatsRequestSchema, { clusterStats }));
  const names = (await parts).map((part) => part.slice(0, part.lastIndexOf('=')));
  expect(names).toEqual(expected);
  call.cancel();
  client.close();
  reports.stop();
  server.forceShutdown();
});
