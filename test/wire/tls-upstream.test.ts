// TLS towards clusters, by real handshakes between two listeners of one sidecar: which servers are taken, what
// a client learns when they are not, session resumption, names from requests, sockets by endpoint metadata, and
// certificates that change under load.
import { copyFileSync, mkdtempSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, it, test } from 'vitest';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { freePort } from '../support/free-port.ts';
import {
  AUTHORITY,
  certificate,
  cluster,
  downstream,
  listener,
  pathOf,
  portOf,
  startProxy,
  upstream,
} from '../support/tls-proxy.ts';

const proxies: Proxy[] = [];
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop(0);
});

const WHO = '%REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_URI_SAN%';
const ECHO: JsonObject = {
  direct_response: { status: 200, body_format: { text_format_source: { inline_string: WHO } } },
};
const SERVER: JsonObject = { tls_certificates: [certificate('server')], validation_context: { trusted_ca: AUTHORITY } };
const TRUST: JsonObject = { trusted_ca: AUTHORITY };

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A listener `out` in plaintext whose cluster is the TLS listener `in`. */
async function between(
  extra: (port: number) => JsonObject,
  server: JsonObject = SERVER,
  closes = false,
): Promise<Proxy> {
  const port = await freePort();
  const manager: JsonObject = closes ? { common_http_protocol_options: { max_requests_per_connection: 1 } } : {};
  const proxy = await startProxy({
    listeners: [
      listener('in', port, ECHO, { manager, chain: { transport_socket: downstream(server) } }),
      listener('out', 0, { route: { cluster: 'app' } }),
    ],
    clusters: [cluster('app', port, extra(port))],
  });
  proxies.push(proxy);
  return proxy;
}

function get(proxy: Proxy, host = 'server.test'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { port: portOf(proxy, 'out'), host: '127.0.0.1', headers: { host }, agent: false };
    const sent = request(options, (response) => {
      let body = '';
      response.on('data', (bytes: Buffer) => (body += bytes.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('error', reject).end();
  });
}

function stat(proxy: Proxy, name: string): number {
  return proxy.stats.list().find((one) => one.name === `cluster.app.ssl.${name}`)?.value ?? 0;
}

function validating(names: readonly JsonObject[], extra: JsonObject = {}): JsonObject {
  return upstream({ validation_context: { ...TRUST, match_typed_subject_alt_names: [...names] } }, extra);
}

const OTHERS: JsonObject = { trusted_ca: { filename: pathOf('stranger-authority.pem') } };

test.each<[string, JsonObject, number]>([
  ['any server is taken where nothing is checked', upstream({}), 200],
  ['a server of the authority is taken', upstream({ validation_context: TRUST }), 200],
  ['a server of another authority is refused', upstream({ validation_context: OTHERS }), 503],
  ['a server with the name is taken', validating([{ san_type: 'DNS', matcher: { exact: 'server.test' } }]), 200],
  [
    'a server with a wildcard for the name is taken',
    validating([{ san_type: 'DNS', matcher: { exact: 'a.wild.test' } }]),
    200,
  ],
  ['a wildcard stands for one label', validating([{ san_type: 'DNS', matcher: { exact: 'a.b.wild.test' } }]), 503],
  [
    'a server with the address is taken',
    validating([{ san_type: 'IP_ADDRESS', matcher: { exact: '2001:db8::1' } }]),
    200,
  ],
  ['a server with another name is refused', validating([{ san_type: 'DNS', matcher: { exact: 'other.test' } }]), 503],
  ['its name is not checked against SNI', upstream({ validation_context: TRUST }, { sni: 'other.test' }), 200],
])('%s', async (_, socket, status) => {
  const proxy = await between(() => ({ transport_socket: socket }));
  expect((await get(proxy)).status).toBe(status);
});

test.each(['TLSv1_2', 'TLSv1_3'])(
  'what a sidecar is told of servers outside of the mesh reaches one of %s',
  async (version) => {
    // As control/translate/upstream-tls.ts has it.
    const params = { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' };
    const only = { tls_minimum_protocol_version: version, tls_maximum_protocol_version: version };
    const socket = upstream({ validation_context: TRUST, tls_params: params });
    const proxy = await between(() => ({ transport_socket: socket }), { ...SERVER, tls_params: only });
    expect([(await get(proxy)).status, stat(proxy, `versions.${version.replace('_', '.')}`)]).toEqual([200, 1]);
  },
);

it('says why a server was refused', async () => {
  const names = [{ san_type: 'DNS', matcher: { exact: 'other.test' } }];
  const proxy = await between(() => ({ transport_socket: validating(names) }));
  expect(await get(proxy)).toEqual({
    status: 503,
    body: 'upstream connect error or disconnect/reset before headers. reset reason: remote connection failure',
  });
  expect([stat(proxy, 'fail_verify_san') > 0, stat(proxy, 'handshake')]).toEqual([true, 0]);
});

it('sends the server name and shows the certificate', async () => {
  const common = { tls_certificates: [certificate('client')], validation_context: TRUST };
  const proxy = await between(() => ({ transport_socket: upstream(common, { sni: 'server.test' }) }));
  expect((await get(proxy)).body).toBe('server.test spiffe://cluster.local/ns/a/sa/client');
});

test.each(['TLSv1_2', 'TLSv1_3'])('resumes the session of %s on the next connection', async (version) => {
  const common = { validation_context: TRUST, tls_params: { tls_maximum_protocol_version: version } };
  const proxy = await between(() => ({ transport_socket: upstream(common) }), SERVER, true);
  for (let i = 0; i < 3; i++) expect((await get(proxy)).status).toBe(200);
  expect([stat(proxy, 'handshake'), stat(proxy, 'session_reused')]).toEqual([3, 2]);
});

it('resumes none where no sessions are kept', async () => {
  const socket = upstream({ validation_context: TRUST }, { max_session_keys: 0 });
  const proxy = await between(() => ({ transport_socket: socket }), SERVER, true);
  for (let i = 0; i < 2; i++) await get(proxy);
  expect([stat(proxy, 'handshake'), stat(proxy, 'session_reused')]).toEqual([2, 0]);
});

it('takes the server name from the request, with a connection for each, and checks it', async () => {
  const options = {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true },
    explicit_http_config: { http_protocol_options: {} },
  };
  const proxy = await between(() => ({
    transport_socket: upstream({ validation_context: TRUST }),
    typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options },
  }));
  const answers = [
    await get(proxy),
    await get(proxy, 'a.wild.test:80'),
    await get(proxy, 'other.test'),
    await get(proxy),
  ];
  expect(answers.map(({ status, body }) => (status === 200 ? body : status))).toEqual([
    'server.test -',
    'a.wild.test -',
    503,
    'server.test -',
  ]);
});

test.each<[string, JsonObject, number]>([
  ['is that of the match', { tlsMode: 'istio' }, 200],
  ['is the plain one without a match, which a TLS server does not take', {}, 503],
])('the socket of an endpoint %s', async (_, match, status) => {
  const proxy = await between((port) => ({
    transport_socket_matches: [
      { name: 'tls', match: { tlsMode: 'istio' }, transport_socket: upstream({ validation_context: TRUST }) },
    ],
    load_assignment: {
      cluster_name: 'app',
      endpoints: [
        {
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
              metadata: { filter_metadata: { 'envoy.transport_socket_match': match } },
            },
          ],
        },
      ],
    },
  }));
  expect((await get(proxy)).status).toBe(status);
});

it('fails no request while the certificates of both ends change', async () => {
  const root = mkdtempSync(join(tmpdir(), 'outrigger-tls-'));
  const write = (from: string, to: string): void => {
    for (const end of ['key', 'pem']) copyFileSync(pathOf(`${from}.${end}`), join(root, `${to}.${end}`));
  };
  const own = (name: string): JsonObject => ({
    certificate_chain: { filename: join(root, `${name}.pem`) },
    private_key: { filename: join(root, `${name}.key`) },
  });
  write('server', 's');
  write('client', 'c');
  const server = { tls_certificates: [own('s')], validation_context: TRUST };
  const client = { tls_certificates: [own('c')], validation_context: TRUST };
  const proxy = await between(() => ({ transport_socket: upstream(client, { sni: 'server.test' }) }), server, true);
  const updates = (): number =>
    proxy.stats
      .list()
      .reduce((sum, { name, value }) => sum + (name.endsWith('ssl_context_update_by_sds') ? value : 0), 0);
  const statuses = new Set<number>();
  for (let round = 0; round < 4; round++) {
    write(round % 2 === 0 ? 'renewed' : 'server', 's');
    write(round % 2 === 0 ? 'second' : 'client', 'c');
    const before = updates();
    while (updates() < before + 2) {
      for (const { status } of await Promise.all([get(proxy), get(proxy), get(proxy)])) statuses.add(status);
    }
  }
  expect([...statuses]).toEqual([200]);
});
