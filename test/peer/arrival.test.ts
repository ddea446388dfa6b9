// Who takes a connection: the same listeners in Envoy and in our sidecar, and the same connections to both.
// Every chain forwards to a server that says its name, so an answer tells which chain was chosen.
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import { clientHello } from '../unit/sidecar/arrival/tls-hello-builder.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.filters';
const FILTERS = {
  tls: { name: 'tls', typed_config: { '@type': `${TYPE}.listener.tls_inspector.v3.TlsInspector` } },
  http: { name: 'http', typed_config: { '@type': `${TYPE}.listener.http_inspector.v3.HttpInspector` } },
  proxy: { name: 'proxy', typed_config: { '@type': `${TYPE}.listener.proxy_protocol.v3.ProxyProtocol` } },
  lenient: {
    name: 'proxy',
    typed_config: {
      '@type': `${TYPE}.listener.proxy_protocol.v3.ProxyProtocol`,
      allow_requests_without_proxy_protocol: true,
    },
  },
};

interface Setup {
  readonly filters: readonly (keyof typeof FILTERS)[];
  /** Chain name to its match; `default` is the default chain. */
  readonly chains: Readonly<Record<string, JsonObject>>;
}

const cidr = (address_prefix: string, prefix_len: number): JsonObject => ({ address_prefix, prefix_len });

const SETUPS: Readonly<Record<string, Setup>> = {
  inspected: {
    filters: ['tls', 'http'],
    chains: {
      exact: { server_names: ['www.a.example'], transport_protocol: 'tls' },
      near: { server_names: ['*.a.example'], application_protocols: ['h2'] },
      far: { server_names: ['*.example'] },
      tls: { transport_protocol: 'tls' },
      http1: { application_protocols: ['http/1.0', 'http/1.1'] },
      http2: { application_protocols: ['h2c'] },
      default: {},
    },
  },
  proxied: {
    filters: ['proxy'],
    chains: {
      port: { destination_port: 443, source_prefix_ranges: [cidr('192.0.2.0', 24)] },
      range: { prefix_ranges: [cidr('198.51.100.0', 24)], source_type: 'EXTERNAL' },
      near: { prefix_ranges: [cidr('198.51.100.128', 25)], source_ports: [7, 8] },
      local: { source_type: 'SAME_IP_OR_LOOPBACK' },
      direct: { direct_source_prefix_ranges: [cidr('127.0.0.0', 8)], prefix_ranges: [cidr('2001:db8::', 32)] },
      default: {},
    },
  },
  lenient: { filters: ['lenient'], chains: { only: {} } },
};

const hello = (serverName: string, ...protocols: string[]): string =>
  clientHello({ serverName, ...(protocols.length > 0 ? { protocols } : {}) }).toString('latin1');
const tcp4 = (rest: string): string => `PROXY TCP4 ${rest}\r\n.`;
const v2 = (head: string, ...bytes: number[]): string =>
  `\r\n\r\n\0\r\nQUIT\n${head}${Buffer.of(bytes.length >> 8, bytes.length & 255, ...bytes).toString('latin1')}.`;

const CASES: readonly (readonly [keyof typeof SETUPS, string])[] = [
  ['inspected', hello('www.a.example')],
  ['inspected', hello('WWW.A.Example', 'h2')],
  ['inspected', hello('x.a.example', 'http/1.1', 'h2')],
  ['inspected', hello('x.a.example', 'http/1.1')],
  ['inspected', hello('x.y.a.example', 'h2')],
  ['inspected', hello('a.example')],
  ['inspected', hello('example')],
  ['inspected', hello('other')],
  ['inspected', clientHello().toString('latin1')],
  ['inspected', 'GET / HTTP/1.1\r\n'],
  ['inspected', 'GET / HTTP/1.0\r\n\r\n'],
  ['inspected', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['inspected', '\0\0 no protocol that anybody knows\r\n\r\n'],
  ['proxied', tcp4('192.0.2.1 10.0.0.1 1000 443')],
  ['proxied', tcp4('192.0.3.1 10.0.0.1 1000 443')],
  ['proxied', tcp4('192.0.2.1 198.51.100.1 1000 80')],
  ['proxied', tcp4('192.0.2.1 198.51.100.200 1000 80')],
  ['proxied', tcp4('192.0.2.1 198.51.100.200 8 80')],
  ['proxied', tcp4('127.0.0.1 10.0.0.1 1 80')],
  ['proxied', tcp4('10.0.0.1 10.0.0.1 1 80')],
  ['proxied', 'PROXY TCP6 2001:db8::2 2001:db8::1 1 80\r\n.'],
  ['proxied', 'PROXY UNKNOWN\r\n.'],
  ['proxied', tcp4('192.0.2.1 10.0.0.1 1 99999')],
  ['proxied', 'PROXY TCP4 nonsense\r\n.'],
  ['proxied', 'nonsense that is long enough to be no PROXY header'],
  ['proxied', v2('\x21\x11', 192, 0, 2, 1, 10, 0, 0, 1, 4, 0, 1, 187)],
  ['proxied', v2('\x21\x11', 192, 0, 2, 1, 10, 0, 0, 1, 4, 0, 1, 187, 4, 0, 1, 0)],
  ['proxied', v2('\x20\x00')],
  ['proxied', v2('\x31\x11', 192, 0, 2, 1, 10, 0, 0, 1, 4, 0, 1, 187)],
  ['lenient', 'no header at all, and more than sixteen bytes'],
  ['lenient', tcp4('192.0.2.1 10.0.0.1 1 80')],
];

const children: Child[] = [];
const servers: ReturnType<typeof createServer>[] = [];
const ports = new Map<string, number>();

beforeAll(async () => {
  await Promise.all(SIDE_NAMES.map((side) => start(side)));
}, 60_000);
afterAll(async () => {
  for (const server of servers) server.close();
  await Promise.all(children.map((child) => child.stop()));
});

async function start(side: SideName): Promise<void> {
  const names = [...new Set(Object.values(SETUPS).flatMap(({ chains }) => Object.keys(chains)))];
  const clusters: JsonObject[] = [];
  for (const name of names) clusters.push(await namedCluster(name));
  const [admin = 0, ...free] = await freePorts(1 + Object.keys(SETUPS).length);
  const listeners = Object.entries(SETUPS).map(([name, setup], index): JsonObject => {
    ports.set(`${side} ${name}`, free[index] ?? 0);
    return listener(name, setup, free[index] ?? 0);
  });
  const address = { socket_address: { address: '127.0.0.1', port_value: admin } };
  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `arrival.${side}.json`);
  await writeFile(file, JSON.stringify({ admin: { address }, static_resources: { listeners, clusters } }));
  const child = startChild(...commandOf(side, file));
  children.push(child);
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
}

function listener(name: string, { filters, chains }: Setup, port: number): JsonObject {
  const isDefault = 'default' in chains;
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    listener_filters: filters.map((filter) => FILTERS[filter]),
    filter_chains: Object.entries(chains)
      .filter(([chain]) => chain !== 'default')
      .map(([chain, filter_chain_match]) => ({ name: chain, filter_chain_match, filters: forward(chain) })),
    ...(isDefault ? { default_filter_chain: { name: 'default', filters: forward('default') } } : {}),
  };
}

function forward(cluster: string): JsonObject[] {
  const type = `${TYPE}.network.tcp_proxy.v3.TcpProxy`;
  return [{ name: 'tcp', typed_config: { '@type': type, stat_prefix: cluster, cluster } }];
}

/** A server that answers with its name and what it read. */
async function namedCluster(name: string): Promise<JsonObject> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => socket.end(`${name} ${bytes.toString('latin1')}`, 'latin1'));
  });
  servers.push(server);
  const address = { socket_address: { address: '127.0.0.1', port_value: await listen(server) } };
  const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
  return { name, type: 'STATIC', connect_timeout: '1s', load_assignment };
}

/** What the far end says until it closes; empty for a connection that was closed. */
function ask(port: number, bytes: string): Promise<string> {
  return new Promise((done) => {
    let seen = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (piece: Buffer) => (seen += piece.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => done(seen));
  });
}

test.each(CASES)('%s: %j goes where Envoy sends it', async (setup, bytes) => {
  const [envoy, outrigger] = await Promise.all(
    SIDE_NAMES.map((side) => ask(ports.get(`${side} ${setup}`) ?? 0, bytes)),
  );
  expect(outrigger).toBe(envoy);
});
