// A sidecar with TLS from a bootstrap, in the process of the test, and a client of it by node:tls. The
// certificates are those of test/support/certificates: test only.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type ConnectionOptions } from 'node:tls';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { silentLog } from '../../src/base/log.ts';
import { extensions } from '../../src/sidecar/bootstrap-registry.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { BootstrapSchema } from '../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';

const FOLDER = join(import.meta.dirname, 'certificates');
const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
const HTTP = 'type.googleapis.com/envoy.extensions.filters';

export function pathOf(file: string): string {
  return join(FOLDER, file);
}

export function pem(file: string): string {
  return readFileSync(pathOf(file), 'utf8');
}

/** A TlsCertificate of the folder. */
export function certificate(name: string): JsonObject {
  return { certificate_chain: { filename: pathOf(`${name}.pem`) }, private_key: { filename: pathOf(`${name}.key`) } };
}

export const AUTHORITY: JsonObject = { filename: pathOf('authority.pem') };

/** What a client shows. */
export function identity(name: string): ConnectionOptions {
  return { cert: pem(`${name}.pem`), key: pem(`${name}.key`) };
}

export function downstream(common: JsonObject, extra: JsonObject = {}): JsonObject {
  const typed = { '@type': `${TLS}.DownstreamTlsContext`, common_tls_context: common, ...extra };
  return { name: 'envoy.transport_sockets.tls', typed_config: typed };
}

export function upstream(common: JsonObject, extra: JsonObject = {}): JsonObject {
  const typed = { '@type': `${TLS}.UpstreamTlsContext`, common_tls_context: common, ...extra };
  return { name: 'envoy.transport_sockets.tls', typed_config: typed };
}

const ROUTER = { name: 'router', typed_config: { '@type': `${HTTP}.http.router.v3.Router` } };

/** A listener with one route for everything; `action` is the route's, `manager` more fields of its manager. */
export function listener(name: string, port: number, action: JsonObject, extra: Extra = {}): JsonObject {
  const routes = [{ match: { prefix: '/' }, ...action }];
  const manager = {
    '@type': `${HTTP}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    route_config: { name, virtual_hosts: [{ name, domains: ['*'], routes }] },
    http_filters: [ROUTER],
    ...extra.manager,
  };
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }], ...extra.chain }],
  };
}

interface Extra {
  readonly manager?: JsonObject;
  readonly chain?: JsonObject;
}

export function cluster(name: string, port: number, extra: JsonObject): JsonObject {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  return { name, type: 'STATIC', load_assignment: { cluster_name: name, endpoints }, ...extra };
}

export async function startProxy(resources: JsonObject): Promise<Proxy> {
  const json = { static_resources: resources };
  const bootstrap = fromJson(BootstrapSchema, json, { registry: extensions });
  const proxy = new Proxy({ bootstrap, log: silentLog, drainSeconds: 0 });
  const refused = proxy.problems.filter(({ severity }) => severity === 'error');
  if (refused.length > 0) throw new Error(JSON.stringify(refused));
  await proxy.start();
  return proxy;
}

export function portOf(proxy: Proxy, name: string): number {
  return proxy.listeners.live().find(([known]) => known === name)?.[1].boundAddress?.port ?? 0;
}

export interface Asked {
  /** The body of the response; empty when there was none. */
  readonly body: string;
  /** Who answered: the subject of its certificate. */
  readonly server: string;
  readonly protocol: string;
  readonly version: string;
  readonly isResumed: boolean;
  readonly session: Buffer | null;
}

/** One request on a connection of its own; a connection that ends without an answer has an empty body. */
export function ask(port: number, options: ConnectionOptions = {}): Promise<Asked> {
  return new Promise((resolve) => {
    let text = '';
    let facts = { server: '', protocol: '', version: '', isResumed: false };
    let session: Buffer | null = null;
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    socket.on('session', (ticket: Buffer) => (session = ticket));
    socket.on('secureConnect', () => {
      facts = {
        server: socket.getPeerX509Certificate()?.subject.split('CN=')[1] ?? '',
        protocol: socket.alpnProtocol === false || socket.alpnProtocol === null ? '' : socket.alpnProtocol,
        version: socket.getProtocol() ?? '',
        isResumed: socket.isSessionReused(),
      };
      socket.write('GET / HTTP/1.1\r\nhost: server.test\r\nconnection: close\r\n\r\n');
    });
    socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    // A refused handshake is an answer too: no body.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve({ ...facts, session, body: text.split('\r\n\r\n')[1] ?? '' }));
  });
}
