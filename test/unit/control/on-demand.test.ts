// What a sidecar gets that fetches virtual hosts: little at first, and with each host what it needs.
import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';
import { readNode, type MeshNode } from '../../../src/control/mesh-node.ts';
import { ResourceIndex } from '../../../src/control/resource-index.ts';
import { mentionsOf } from '../../../src/control/translate/cluster-mentions.ts';
import { Translator } from '../../../src/control/translator.ts';
import { RouteConfigurationSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE } from '../../../src/xds/type-url.ts';

const service = (name: string, more = ''): string => `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }${more}] }
---
`;
const RULES = `${['web', 'api', 'db', 'spare', 'checker'].map((name) => service(name)).join('')}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec:
  hosts: [web]
  http:
    - match: [{ uri: { prefix: /v2 } }]
      route: [{ destination: { host: web, subset: v2 }, weight: 90 }, { destination: { host: api }, weight: 10 }]
      mirror: { host: db }
    - route: [{ destination: { host: web, subset: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: shop }
spec: { host: web, subsets: [{ name: v1, labels: { v: '1' } }, { name: v2, labels: { v: '2' } }] }
---
apiVersion: outrigger.dev/v1alpha1
kind: ResiliencePolicy
metadata: { name: api, namespace: shop }
spec: { targetRefs: [{ kind: Service, name: api }], fallback: { hosts: [{ host: spare }] } }
---
`;

function nodeOf(onDemand: boolean, mode: 'explicit' | 'redirect' = 'explicit'): MeshNode {
  const node = readNode({
    id: 'sidecar~10.0.0.1~caller.shop~x',
    cluster: '',
    metadata: {
      NAMESPACE: 'shop',
      WORKLOAD_NAME: 'caller',
      LABELS: {},
      OUTRIGGER: { service: 'caller', onDemand, mode },
    },
  });
  if (typeof node === 'string') throw new Error(node);
  return node;
}

function translate(onDemandAbove: number, text = RULES): Translator {
  const translator = new Translator({ domain: 'cluster.local', providers: [], services: [], onDemandAbove });
  const index = new ResourceIndex();
  const parsed = parseFile('f.yaml', text);
  expect(parsed.problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  index.apply('f.yaml', parsed);
  translator.translate(index.resources(), [], () => []);
  return translator;
}

function outbound(translator: Translator, node: MeshNode, used: readonly string[]): readonly string[] {
  const view = translator.last.builder.build(node, null, new Set(used));
  const names = [...(view.resources.get(CLUSTER_TYPE)?.keys() ?? [])];
  return names
    .filter((name) => /^(outbound|fallback)/.test(name))
    .map((name) => name.replace('.shop.svc.cluster.local', ''))
    .toSorted();
}

const WEB = 'http_proxy/web.shop.svc.cluster.local';

test.each<[string, readonly string[], readonly string[]]>([
  ['nothing, where it asked for nothing', [], []],
  ['a host that is not there', ['http_proxy/nobody'], []],
  ['a plain service, under a short name', ['http_proxy/db:80'], ['outbound|80||db']],
  [
    'all that the routes of a host lead to, its mirrors and the members of a fallback',
    [WEB],
    [
      'fallback|80||api',
      'outbound|80|v1|web',
      'outbound|80|v2|web',
      'outbound|80||api',
      'outbound|80||db',
      'outbound|80||spare',
    ],
  ],
])('it has the clusters of %s', (_, used, clusters) => {
  expect(outbound(translate(0), nodeOf(true), used)).toEqual([...clusters].toSorted());
});

test('a captured sidecar has what is no HTTP from the start, for its listeners need it', () => {
  const translator = translate(
    0,
    `${RULES}---\n${service('mail').replace('name: http', 'name: tcp-mail').replace('spec: {', 'spec: { clusterIP: 10.0.0.9,')}`,
  );
  const node = nodeOf(true, 'redirect');
  expect(outbound(translator, node, [])).toEqual(['outbound|80||mail']);
  expect(outbound(translator, node, ['80/db.shop'])).toEqual(['outbound|80||db', 'outbound|80||mail']);
});

test('its routes have what is for unknown hosts, and say where the others are', () => {
  const view = translate(0).last.builder.build(nodeOf(true), null);
  const table = view.resources.get(ROUTE_TYPE)?.get('http_proxy');
  const message = fromBinary(RouteConfigurationSchema, table?.bytes ?? new Uint8Array());
  expect([
    message.virtualHosts.map(({ domains }) => domains),
    message.vhds?.configSource?.configSourceSpecifier.case,
  ]).toEqual([[['*']], 'ads']);
  const names = ['db', 'db.shop', 'db.shop.svc', 'db.shop.svc.cluster.local'].flatMap((name) => [name, `${name}:80`]);
  const asked = new Set(['nobody', ...names].map((name) => `http_proxy/${name}`));
  const hosts = translate(0).last.builder.build(nodeOf(true), null, asked).resources.get(VIRTUAL_HOST_TYPE);
  expect([...(hosts?.keys() ?? [])]).toEqual(names.map((name) => `http_proxy/${name}`));
  expect(view.resources.get(ENDPOINT_TYPE)?.has('outbound|80||db.shop.svc.cluster.local')).toBe(true);
});

test.each<[string, number, boolean]>([
  ['a mesh that is small', 6, true],
  ['a sidecar that cannot fetch', 0, false],
])('%s has everything from the start', (_, above, canFetch) => {
  const translator = translate(above);
  expect(outbound(translator, nodeOf(canFetch), [])).toHaveLength(8);
  const view = translator.last.builder.build(nodeOf(canFetch), null);
  expect(view.resources.get(VIRTUAL_HOST_TYPE)?.size).toBe(0);
});

test('names of clusters are found wherever they are in the bytes, long ones too', () => {
  const long = `outbound|80||${'a'.repeat(140)}.example`;
  const bytes = Buffer.concat([
    Buffer.from([0x0a, 5]),
    Buffer.from('other'),
    Buffer.from([0x0a, (long.length & 0x7f) | 0x80, long.length >> 7]),
    Buffer.from(long),
    Buffer.from([0x12, 15]),
    Buffer.from('outbound|80||bc'),
  ]);
  const found = mentionsOf({ typeUrl: '', name: '', version: '', bytes });
  expect(found).toContain(long);
  expect(found).toContain('outbound|80||bc');
});
