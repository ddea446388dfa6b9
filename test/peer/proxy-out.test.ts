// The PROXY header in front of a cluster's connections: Envoy and our sidecar, given the same clients, say the same
// of them to a server that writes down what it reads; and Envoy, as the server, understands ours.
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';

const SOCKET = 'type.googleapis.com/envoy.extensions.transport_sockets';
const FILTER = 'type.googleapis.com/envoy.extensions.filters';
const PROXY_IN = { name: 'proxy', typed_config: { '@type': `${FILTER}.listener.proxy_protocol.v3.ProxyProtocol` } };
const KINDS = ['tcp', 'http'] as const;
const VERSIONS = ['V1', 'V2'] as const;

const children: Child[] = [];
const servers: ReturnType<typeof createServer>[] = [];
/** By side, kind, version. */
const ports = new Map<string, number>();
const receivers = new Map<SideName, number>();

beforeAll(async () => {
  const recorder = await aRecorder();
  for (const side of SIDE_NAMES) receivers.set(side, (await freePorts(1))[0] ?? 0);
  await Promise.all(SIDE_NAMES.map((side) => start(side, recorder)));
}, 60_000);
afterAll(async () => {
  for (const server of servers) server.close();
  await Promise.all(children.map((child) => child.stop()));
});

/** Answers a request with what it reads before the first request, in hexadecimal, and with the connection's number. */
async function aRecorder(): Promise<number> {
  let count = 0;
  const server = createServer((socket) => {
    const number = count++;
    let seen = '';
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      seen += bytes.toString('latin1');
      if (!seen.endsWith('\r\n\r\n')) return;
      const header = Buffer.from(seen.slice(0, seen.indexOf('GET ')), 'latin1').toString('hex');
      const body = JSON.stringify({ number, header });
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  });
  servers.push(server);
  return listen(server);
}

async function start(side: SideName, recorder: number): Promise<void> {
  const [admin = 0, ...free] = await freePorts(5);
  const listeners = KINDS.flatMap((kind) => VERSIONS.map((version) => ({ kind, version }))).map(
    ({ kind, version }, index): JsonObject => {
      ports.set(`${side} ${kind} ${version}`, free[index] ?? 0);
      return listener(`${kind}-${version}`, free[index] ?? 0, kind === 'tcp' ? tcp(version) : http(version));
    },
  );
  // Whoever this side is told of, it says to a client in its answer.
  const told = { status: 200, body_format: { text_format_source: { inline_string: '%DOWNSTREAM_REMOTE_ADDRESS%' } } };
  listeners.push(listener('receiver', receivers.get(side) ?? 0, manager('receiver', { direct_response: told })));
  const other = SIDE_NAMES.find((name) => name !== side) ?? side;
  const clusters = [
    ...VERSIONS.map((version) => cluster(version, recorder, version)),
    cluster('other', receivers.get(other) ?? 0, 'V2'),
  ];
  const address = { socket_address: { address: '127.0.0.1', port_value: admin } };
  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `proxy-out.${side}.json`);
  await writeFile(file, JSON.stringify({ admin: { address }, static_resources: { listeners, clusters } }));
  const child = startChild(...commandOf(side, file));
  children.push(child);
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
}

function listener(name: string, port: number, filter: JsonObject): JsonObject {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  return { name, address, listener_filters: [PROXY_IN], filter_chains: [{ filters: [filter] }] };
}

function tcp(cluster: string): JsonObject {
  const type = `${FILTER}.network.tcp_proxy.v3.TcpProxy`;
  return { name: 'tcp', typed_config: { '@type': type, stat_prefix: cluster, cluster } };
}

function http(cluster: string): JsonObject {
  return manager(cluster, { route: { cluster } });
}

function manager(name: string, action: JsonObject): JsonObject {
  const other = { match: { prefix: '/other' }, route: { cluster: 'other' } };
  const routes = [...(name === 'receiver' ? [] : [other]), { match: { prefix: '/' }, ...action }];
  const router = { name: 'router', typed_config: { '@type': `${FILTER}.http.router.v3.Router` } };
  return {
    name: 'http',
    typed_config: {
      '@type': `${FILTER}.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: name,
      route_config: { name, virtual_hosts: [{ name, domains: ['*'], routes }] },
      http_filters: [router],
    },
  };
}

function cluster(name: string, port: number, version: string): JsonObject {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const inner = {
    name: 'envoy.transport_sockets.raw_buffer',
    typed_config: { '@type': `${SOCKET}.raw_buffer.v3.RawBuffer` },
  };
  const typed_config = {
    '@type': `${SOCKET}.proxy_protocol.v3.ProxyProtocolUpstreamTransport`,
    config: { version },
    transport_socket: inner,
  };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints },
    transport_socket: { name: 'envoy.transport_sockets.upstream_proxy_protocol', typed_config },
  };
}

/** The bodies of the answers to requests for these paths, one after another on one connection. */
async function ask(port: number, header: string, paths: readonly string[]): Promise<readonly string[]> {
  const socket = connect(port, '127.0.0.1');
  let seen = '';
  let heard: (() => void) | null = null;
  socket.on('error', () => socket.destroy());
  socket.on('close', () => heard?.());
  socket.on('data', (bytes: Buffer) => {
    seen += bytes.toString('latin1');
    heard?.();
  });
  socket.write(header, 'latin1');
  const bodies: string[] = [];
  for (const path of paths) {
    seen = '';
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    while (!socket.destroyed && bodyOf(seen) === null) await new Promise<void>((done) => (heard = done));
    bodies.push(bodyOf(seen) ?? '');
  }
  socket.destroy();
  return bodies;
}

function bodyOf(text: string): string | null {
  const at = text.indexOf('\r\n\r\n');
  const length = /content-length: (\d+)/.exec(text)?.[1];
  const body = text.slice(at + 4);
  return at === -1 || body.length < Number(length) ? null : body;
}

/** What the server was told, and whether requests of one client shared its connection. */
async function observe(side: SideName, target: string, header: string): Promise<unknown> {
  const paths = target.startsWith('http') ? ['/1', '/2'] : ['/1'];
  const bodies = await ask(ports.get(`${side} ${target}`) ?? 0, header, paths);
  const told: { number: number; header: string }[] = bodies.map((body) => JSON.parse(body));
  return { headers: told.map((one) => one.header), isShared: new Set(told.map(({ number }) => number)).size === 1 };
}

const HEADERS: readonly string[] = [
  'PROXY TCP4 192.0.2.1 198.51.100.7 1000 443\r\n',
  'PROXY TCP4 203.0.113.255 1.0.0.1 65535 1\r\n',
  'PROXY TCP6 2001:db8::1 2001:db8:0:1::2 1001 443\r\n',
  'PROXY TCP6 ::1 ::1 1 2\r\n',
];
const TARGETS = KINDS.flatMap((kind) => VERSIONS.map((version) => `${kind} ${version}`));

test.each(TARGETS.flatMap((target) => HEADERS.map((header) => [target, header] as const)))(
  '%s tells of %j what Envoy tells',
  async (target, header) => {
    const [envoy, outrigger] = await Promise.all(SIDE_NAMES.map((side) => observe(side, target, header)));
    expect(outrigger).toEqual(envoy);
  },
);

test.each(SIDE_NAMES)('what %s tells is understood by the other', async (side) => {
  const [header = ''] = HEADERS;
  expect(await ask(ports.get(`${side} http V1`) ?? 0, header, ['/other'])).toEqual(['192.0.2.1:1000']);
});
