// The PROXY header that a cluster's connections begin with: before TLS, one for each downstream connection, told
// by what raw and TLS servers read, through a whole proxy over real sockets.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { parseProxyHeader } from '../../src/sidecar/arrival/proxy-protocol.ts';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { listen } from '../support/free-port.ts';
import { AUTHORITY, cluster, identity, listener, portOf, startProxy, upstream } from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const SOCKET = 'type.googleapis.com/envoy.extensions.transport_sockets';
const FILTER = 'type.googleapis.com/envoy.extensions.filters';
const RAW: JsonObject = {
  name: 'envoy.transport_sockets.raw_buffer',
  typed_config: { '@type': `${SOCKET}.raw_buffer.v3.RawBuffer` },
};
const SECURE = upstream({ validation_context: { trusted_ca: AUTHORITY } });
const PROXY_IN = { name: 'proxy', typed_config: { '@type': `${FILTER}.listener.proxy_protocol.v3.ProxyProtocol` } };

function announcing(version: 'V1' | 'V2', inner: JsonObject): JsonObject {
  const type = `${SOCKET}.proxy_protocol.v3.ProxyProtocolUpstreamTransport`;
  const typed_config = { '@type': type, config: { version }, transport_socket: inner };
  return { transport_socket: { name: 'envoy.transport_sockets.upstream_proxy_protocol', typed_config } };
}

interface Recorder {
  readonly port: number;
  /** Of each connection: who, as its header says, then what came behind it. */
  readonly seen: string[];
  /** Connections that are open. */
  open: number;
}

/** Answers every request, over TLS behind the header where `isSecure`. */
async function aRecorder(isSecure: boolean): Promise<Recorder> {
  const recorder: Recorder & { port: number } = { port: 0, seen: [], open: 0 };
  const server = createServer((socket) => {
    recorder.open++;
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => recorder.open--);
    socket.once('data', (bytes: Buffer) => {
      const header = parseProxyHeader(bytes);
      if (header.kind !== 'header') {
        socket.end(`no header: ${header.kind}`);
        return;
      }
      const at = recorder.seen.length;
      const { addresses } = header;
      const who = addresses === null ? 'nobody' : Object.values(addresses).join(' ');
      recorder.seen.push(`${header.version} ${who}: `);
      socket.pause();
      const rest = bytes.subarray(header.bytes);
      if (rest.length > 0) socket.unshift(rest);
      const context = createSecureContext(identity('server'));
      const plain = isSecure ? new TLSSocket(socket, { isServer: true, secureContext: context }) : socket;
      plain.on('error', () => {});
      plain.on('data', (piece: Buffer) => {
        recorder.seen[at] += piece.toString('latin1').split('\r\n', 1)[0] ?? '';
        plain.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
      plain.resume();
    });
  });
  cleanups.push(() => server.close());
  recorder.port = await listen(server);
  return recorder;
}

async function between(port: number, socket: JsonObject): Promise<Proxy> {
  const tcp = { '@type': `${FILTER}.network.tcp_proxy.v3.TcpProxy`, stat_prefix: 'tcp', cluster: 'app' };
  const tcpListener: JsonObject = {
    ...listener('tcp', 0, {}),
    listener_filters: [PROXY_IN],
    filter_chains: [{ filters: [{ name: 'tcp', typed_config: tcp }] }],
  };
  const proxy = await startProxy({
    listeners: [tcpListener, { ...listener('http', 0, { route: { cluster: 'app' } }), listener_filters: [PROXY_IN] }],
    clusters: [cluster('app', port, socket)],
  });
  cleanups.push(() => proxy.stop(0));
  return proxy;
}

async function aClient(proxy: Proxy, name: string, header: string): Promise<Socket> {
  const socket = connect(portOf(proxy, name), '127.0.0.1');
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(header);
  return socket;
}

async function ask(socket: Socket, path: string): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
  let text = '';
  while (!text.endsWith('\r\n\r\nok')) {
    const [piece]: unknown[] = await once(socket, 'data');
    text += String(piece);
  }
  return text.split('\r\n', 1)[0] ?? '';
}

const IPV4 = 'PROXY TCP4 192.0.2.1 198.51.100.7 1000 443\r\n';
const IPV6 = 'PROXY TCP6 2001:db8::1 2001:db8::2 1001 443\r\n';

test.each<['V1' | 'V2', string, string, string]>([
  ['V1', 'raw', IPV4, '1 192.0.2.1 1000 198.51.100.7 443'],
  ['V2', 'raw', IPV4, '2 192.0.2.1 1000 198.51.100.7 443'],
  ['V1', 'raw', IPV6, '1 2001:db8::1 1001 2001:db8::2 443'],
  ['V2', 'raw', IPV6, '2 2001:db8::1 1001 2001:db8::2 443'],
  ['V1', 'secure', IPV4, '1 192.0.2.1 1000 198.51.100.7 443'],
  ['V2', 'secure', IPV6, '2 2001:db8::1 1001 2001:db8::2 443'],
])('%s over a %s connection begins with who sent %j', async (version, inner, header, who) => {
  const isSecure = inner === 'secure';
  const recorder = await aRecorder(isSecure);
  const proxy = await between(recorder.port, announcing(version, isSecure ? SECURE : RAW));
  for (const name of ['http', 'tcp']) {
    const client = await aClient(proxy, name, header);
    expect(await ask(client, `/${name}`)).toBe('HTTP/1.1 200 OK');
  }
  expect(recorder.seen).toEqual([`${who}: GET /http HTTP/1.1`, `${who}: GET /tcp HTTP/1.1`]);
});

test('requests of one client share a connection, those of another never do, and it ends with its client', async () => {
  const recorder = await aRecorder(false);
  const proxy = await between(recorder.port, announcing('V2', RAW));
  const first = await aClient(proxy, 'http', IPV4);
  const second = await aClient(proxy, 'http', IPV6);
  await ask(first, '/1');
  await ask(second, '/2');
  await ask(first, '/3');
  await ask(second, '/4');
  expect(recorder.seen).toEqual([
    '2 192.0.2.1 1000 198.51.100.7 443: GET /1 HTTP/1.1GET /3 HTTP/1.1',
    '2 2001:db8::1 1001 2001:db8::2 443: GET /2 HTTP/1.1GET /4 HTTP/1.1',
  ]);
  first.end();
  await until('the connection of the client that left ends', () => recorder.open === 1);
  expect(await ask(second, '/5')).toBe('HTTP/1.1 200 OK');
  expect(recorder.seen).toHaveLength(2);
});
