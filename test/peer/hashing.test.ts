// Choices by hash are Envoy's own: both proxies have the same endpoints and get the same requests, and each
// request must reach the same endpoint through both. By bootstrap rows: tables, weights, healths, keys, policies.
import { createServer, type Server } from 'node:http';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Hash64, hexOfHalves } from '../../src/base/hash64.ts';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';
import { askAll, askCookies, type Asked } from './hash-requests.ts';

type Json = Readonly<Record<string, unknown>>;

interface EndpointRow {
  readonly weight?: number;
  readonly health?: string;
  readonly hostname?: string;
  readonly hashKey?: string;
}

const PLAIN: readonly EndpointRow[] = [{}, {}, {}, {}, {}];
const WEIGHTED: readonly EndpointRow[] = [{ weight: 1 }, { weight: 2 }, { weight: 7 }, { weight: 3 }, { weight: 5 }];
const ONE_OUT: readonly EndpointRow[] = [{}, { health: 'UNHEALTHY' }, {}, {}, {}];
const BY_KEY = { hash_policy: [{ header: { header_name: 'x-key' } }] };
const POLICY = 'type.googleapis.com/envoy.extensions.load_balancing_policies';

interface ClusterRow {
  readonly name: string;
  readonly endpoints: readonly EndpointRow[];
  readonly settings: Json;
  /** The weight of the locality of the first two endpoints, and of that of the others; absent: one locality. */
  readonly localities?: readonly [number, number];
}

const extension = (name: string, config: Json): Json => ({
  load_balancing_policy: {
    policies: [{ typed_extension_config: { name, typed_config: { '@type': `${POLICY}.${name}`, ...config } } }],
  },
});

const CLUSTERS: readonly ClusterRow[] = [
  { name: 'ring', endpoints: PLAIN, settings: { lb_policy: 'RING_HASH' } },
  { name: 'ring-weighted', endpoints: WEIGHTED, settings: { lb_policy: 'RING_HASH' } },
  { name: 'ring-one-out', endpoints: ONE_OUT, settings: { lb_policy: 'RING_HASH' } },
  {
    name: 'ring-small',
    endpoints: WEIGHTED,
    settings: { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 3, maximum_ring_size: 23 } },
  },
  {
    name: 'ring-murmur',
    endpoints: PLAIN,
    settings: { lb_policy: 'RING_HASH', ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } },
  },
  {
    name: 'ring-hostnames',
    endpoints: ['a', 'b', 'c', 'dd', 'eee'].map((hostname) => ({ hostname })),
    settings: extension('ring_hash.v3.RingHash', { consistent_hashing_lb_config: { use_hostname_for_hashing: true } }),
  },
  {
    name: 'ring-keys',
    endpoints: ['k1', 'k2', 'k3', 'k4', ''].map((hashKey) => ({ hashKey })),
    settings: { lb_policy: 'RING_HASH' },
  },
  {
    name: 'ring-localities',
    endpoints: WEIGHTED,
    settings: extension('ring_hash.v3.RingHash', { locality_weighted_lb_config: {} }),
    localities: [1, 4],
  },
  {
    name: 'ring-bounded',
    endpoints: PLAIN,
    settings: {
      lb_policy: 'RING_HASH',
      common_lb_config: { consistent_hashing_lb_config: { hash_balance_factor: 150 } },
    },
  },
  { name: 'maglev', endpoints: PLAIN, settings: { lb_policy: 'MAGLEV' } },
  { name: 'maglev-weighted', endpoints: WEIGHTED, settings: { lb_policy: 'MAGLEV' } },
  { name: 'maglev-one-out', endpoints: ONE_OUT, settings: { lb_policy: 'MAGLEV' } },
  {
    name: 'maglev-small',
    endpoints: WEIGHTED,
    settings: { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 11 } },
  },
  { name: 'maglev-extension', endpoints: PLAIN, settings: extension('maglev.v3.Maglev', { table_size: 1009 }) },
  {
    name: 'maglev-localities',
    endpoints: WEIGHTED,
    settings: { lb_policy: 'MAGLEV', common_lb_config: { locality_weighted_lb_config: {} } },
    localities: [3, 1],
  },
];

interface RouteRow {
  readonly name: string;
  readonly action: Json;
  readonly route?: Json;
  readonly asked: (index: number) => Asked;
}

const asked = (path: string, lines: readonly string[] = []): Asked => ({ path, lines });

const POLICIES: readonly RouteRow[] = [
  {
    name: 'several-lines',
    action: BY_KEY,
    asked: (i) => asked('', [`x-key: ${i}`, `x-key: ${i * 7}`, 'x-key: a']),
  },
  {
    name: 'inline-lines',
    action: { hash_policy: [{ header: { header_name: 'accept' } }] },
    asked: (i) => asked('', [`accept: ${i}`, 'accept: a']),
  },
  {
    name: 'pseudo',
    action: { hash_policy: [{ header: { header_name: ':path' } }, { header: { header_name: ':authority' } }] },
    asked: (i) => asked(`/x${i}?y`),
  },
  {
    name: 'path-regex',
    action: {
      hash_policy: [
        {
          header: {
            header_name: ':path',
            regex_rewrite: { pattern: { regex: '^/path-regex/([^/?]+).*' }, substitution: '\\1' },
          },
        },
      ],
    },
    asked: (i) => asked(`/u${i % 40}/${i}?q=${i}`),
  },
  {
    name: 'query',
    action: { hash_policy: [{ query_parameter: { name: 'k' } }] },
    asked: (i) => asked(`?a=1&k=v%20${i}&k=2`),
  },
  {
    name: 'cookie',
    action: { hash_policy: [{ cookie: { name: 'c' } }] },
    asked: (i) => asked('', [`cookie: a=b; c="v${i}"; c=x`]),
  },
  { name: 'source', action: { hash_policy: [{ connection_properties: { source_ip: true } }] }, asked: () => asked('') },
  {
    name: 'combined',
    action: {
      hash_policy: [
        { header: { header_name: 'x-none' }, terminal: true },
        { header: { header_name: 'x-key' } },
        { query_parameter: { name: 'k' } },
        { header: { header_name: 'x-key' } },
      ],
    },
    asked: (i) => asked(`?k=${i % 5}`, [`x-key: ${i}`]),
  },
  {
    name: 'terminal',
    action: { hash_policy: [{ header: { header_name: 'x-key' }, terminal: true }, { query_parameter: { name: 'k' } }] },
    asked: (i) => asked(`?k=${i}`, i % 2 === 0 ? ['x-key: a'] : []),
  },
  {
    name: 'edited',
    action: BY_KEY,
    route: {
      request_headers_to_add: [
        { header: { key: 'x-key', value: '%REQ(x-other)%' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
      ],
    },
    asked: (i) => asked('', [`x-other: ${i}`, 'x-key: same']),
  },
  {
    name: 'rewritten',
    action: { prefix_rewrite: '/same', hash_policy: [{ header: { header_name: ':path' } }] },
    asked: (i) => asked(`/${i}`),
  },
];

const ATTRIBUTES = [{ name: 'SameSite', value: 'Lax' }, { name: 'Secure' }];
const COOKIES: Readonly<Record<string, { readonly cluster: string; readonly cookie: Json }>> = {
  made: { cluster: 'ring', cookie: { name: 'made', ttl: '60s', path: '/p', attributes: ATTRIBUTES } },
  session: { cluster: 'maglev', cookie: { name: 'made', ttl: '0s' } },
  unused: { cluster: 'only-0', cookie: { name: 'made', ttl: '60s' } },
};
const hash = new Hash64();

const servers: Server[] = [];
const children: Child[] = [];
const listeners = new Map<SideName, number>();

beforeAll(async () => {
  for (let index = 0; index < 5; index++) servers.push(await startUpstream(`e${index}`));
  const ports = servers.map((server) => portOf(server));
  await Promise.all(
    SIDE_NAMES.map(async (side) => {
      const [admin = 0, listen = 0] = await freePorts(2);
      const folder = join(PROJECT_ROOT, '.cache/peer');
      await mkdir(folder, { recursive: true });
      const file = join(folder, `hashing.${side}.json`);
      await writeFile(file, JSON.stringify(bootstrap(admin, listen, ports)));
      const child = startChild(...commandOf(side, file));
      children.push(child);
      await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
      listeners.set(side, listen);
    }),
  );
});

afterAll(async () => {
  await Promise.all(children.map((child) => child.stop()));
  for (const server of servers) server.close();
});

/** The endpoints that the requests reach through each side. */
async function reached(requests: readonly Asked[]): Promise<Readonly<Record<SideName, readonly string[]>>> {
  const [envoy, outrigger] = await Promise.all(
    (['envoy', 'outrigger'] as const).map((side) => askAll(listeners.get(side) ?? 0, requests)),
  );
  return { envoy: envoy ?? [], outrigger: outrigger ?? [] };
}

const COUNT = 200;
const indexes = Array.from({ length: COUNT }, (_, index) => index);

describe('the endpoint of a key', () => {
  it.each(CLUSTERS.map(({ name }) => name))('is the same in Envoy: %s', async (name) => {
    const { envoy, outrigger } = await reached(indexes.map((i) => asked(`/to-${name}`, [`x-key: user-${i}`])));
    expect(outrigger).toEqual(envoy);
    expect(new Set(envoy).size).toBeGreaterThan(2);
  });

  it.each(POLICIES)('is the same by hash policy: $name', async ({ name, asked: request }) => {
    const requests = indexes.slice(0, 60).map((i) => {
      const { path, lines } = request(i);
      return asked(`/${name}${path}`, lines);
    });
    const { envoy, outrigger } = await reached(requests);
    expect(outrigger).toEqual(envoy);
  });

  it('is the same for splits by hash', async () => {
    const requests = indexes.map((i) => asked('/split', [`x-key: user-${i}`]));
    const { envoy, outrigger } = await reached(requests);
    expect(outrigger).toEqual(envoy);
    expect(new Set(envoy).size).toBeGreaterThan(1);
  });
});

describe('the cookie that a hash policy makes', () => {
  it.each([
    { path: '/made', says: (value: string) => `made="${value}"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly` },
    { path: '/session', says: (value: string) => `made="${value}"; HttpOnly` },
  ])('has the addresses of the connection in it: $path', async ({ path, says }) => {
    for (const side of SIDE_NAMES) {
      const listen = listeners.get(side) ?? 0;
      const { cookies, localPort } = await askCookies(listen, path);
      hash.xx(`127.0.0.1:${localPort}127.0.0.1:${listen}`);
      expect({ side, cookies }).toEqual({ side, cookies: [says(hexOfHalves(hash.high, hash.low))] });
    }
  });

  it('is not made for a balancer that does not hash', async () => {
    for (const side of SIDE_NAMES) expect((await askCookies(listeners.get(side) ?? 0, '/unused')).cookies).toEqual([]);
  });
});

function address(port: number): Json {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function bootstrap(admin: number, listen: number, ports: readonly number[]): Json {
  const endpointOf = ({ weight = 1, health, hostname, hashKey }: EndpointRow, index: number): Json => ({
    endpoint: { address: address(ports[index] ?? 0), ...(hostname === undefined ? {} : { hostname }) },
    load_balancing_weight: weight,
    ...(health === undefined ? {} : { health_status: health }),
    ...(hashKey === undefined ? {} : { metadata: { filter_metadata: { 'envoy.lb': { hash_key: hashKey } } } }),
  });
  const groupsOf = ({ endpoints, localities }: ClusterRow): readonly Json[] => {
    const all = endpoints.map(endpointOf);
    if (localities === undefined) return [{ lb_endpoints: all }];
    const [first, second] = localities;
    return [
      { locality: { zone: 'a' }, load_balancing_weight: first, lb_endpoints: all.slice(0, 2) },
      { locality: { zone: 'b' }, load_balancing_weight: second, lb_endpoints: all.slice(2) },
    ];
  };
  const clusters = CLUSTERS.map((row) => ({
    name: row.name,
    load_assignment: { cluster_name: row.name, endpoints: groupsOf(row) },
    ...row.settings,
  }));
  const singles = ports.map((port, index) => ({
    name: `only-${index}`,
    load_assignment: {
      cluster_name: `only-${index}`,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
    },
  }));
  const split = {
    use_hash_policy: true,
    clusters: [10, 20, 30, 40].map((weight, index) => ({ name: `only-${index}`, weight })),
  };
  const routes = [
    ...CLUSTERS.map(({ name }) => ({ match: { path: `/to-${name}` }, route: { cluster: name, ...BY_KEY } })),
    ...POLICIES.map(({ name, action, route = {} }) => ({
      match: { prefix: `/${name}` },
      route: { cluster: 'ring', ...action },
      ...route,
    })),
    ...Object.entries(COOKIES).map(([name, { cluster, cookie }]) => ({
      match: { prefix: `/${name}` },
      route: { cluster, hash_policy: [{ cookie }] },
    })),
    { match: { prefix: '/split' }, route: { weighted_clusters: split, ...BY_KEY } },
  ];
  const router = {
    name: 'router',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
  };
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'main',
    route_config: { name: 'r', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [router],
  };
  const filter = { name: 'http', typed_config: manager };
  return {
    admin: { address: address(admin) },
    static_resources: {
      listeners: [{ name: 'main', address: address(listen), filter_chains: [{ filters: [filter] }] }],
      clusters: [...clusters, ...singles],
    },
  };
}

function startUpstream(name: string): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    response.end(name);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}
