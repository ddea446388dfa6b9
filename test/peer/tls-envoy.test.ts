// TLS between a real Envoy and our sidecar, each as client and as server of the other and of itself: who is
// accepted, which certificate is shown for a name, and what the server tells of the client must be the same in
// all four pairs.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import {
  ask,
  AUTHORITY,
  certificate,
  cluster,
  downstream,
  identity,
  listener,
  pathOf,
  upstream,
} from '../support/tls-proxy.ts';
import { statusOf } from '../support/until.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';

const LATE: JsonObject = { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' };
const TRUST: JsonObject = { trusted_ca: AUTHORITY };
const WHO =
  '%REQ(x-forwarded-client-cert)% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%';
const ECHO: JsonObject = {
  direct_response: { status: 200, body_format: { text_format_source: { inline_string: WHO } } },
};
const MANAGER: JsonObject = {
  forward_client_cert_details: 'SANITIZE_SET',
  set_current_client_cert_details: { subject: true, uri: true, dns: true, cert: true },
};

const named = (exact: string): JsonObject => ({
  ...TRUST,
  match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact } }],
});

/** By path: what the client shows and trusts, and whether it is served. */
const CLIENTS: readonly (readonly [name: string, common: JsonObject, status: number])[] = [
  ['good', { tls_certificates: [certificate('client')], validation_context: named('server.test') }, 200],
  ['wildcard', { tls_certificates: [certificate('client')], validation_context: named('x.wild.test') }, 200],
  ['wrong-name', { tls_certificates: [certificate('client')], validation_context: named('other.test') }, 503],
  ['no-certificate', { validation_context: TRUST }, 503],
  // Over TLS 1.3 a server refuses a certificate after the handshake, when the request is under way.
  ['late-no-certificate', { validation_context: TRUST, tls_params: LATE }, 503],
  ['late-stranger', { tls_certificates: [certificate('stranger')], validation_context: TRUST, tls_params: LATE }, 503],
  ['late-good', { tls_certificates: [certificate('client')], validation_context: TRUST, tls_params: LATE }, 200],
  ['stranger', { tls_certificates: [certificate('stranger')], validation_context: TRUST }, 503],
  ['expired', { tls_certificates: [certificate('expired')], validation_context: TRUST }, 503],
  [
    'wrong-authority',
    {
      tls_certificates: [certificate('client')],
      validation_context: { trusted_ca: { filename: pathOf('stranger-authority.pem') } },
    },
    503,
  ],
];

interface Running {
  readonly child: Child;
  readonly outPort: number;
  readonly inPort: number;
}

const running = new Map<string, Running>();

/** A side with its server, and a client of the server of each side. */
async function start(name: SideName, ports: ReadonlyMap<string, number>): Promise<void> {
  const port = (key: string): number => ports.get(key) ?? 0;
  const server = { tls_certificates: [certificate('second'), certificate('server')], validation_context: TRUST };
  const socket = downstream(server, { require_client_certificate: true });
  const routes = SIDE_NAMES.flatMap((side) =>
    CLIENTS.map(([client]) => ({ match: { prefix: `/${side}/${client}` }, route: { cluster: `${side}-${client}` } })),
  );
  const routing = { name: 'out', virtual_hosts: [{ name: 'out', domains: ['*'], routes }] };
  const clusters = SIDE_NAMES.flatMap((side) =>
    CLIENTS.map(([client, common]) =>
      cluster(`${side}-${client}`, port(`${side}.in`), { transport_socket: upstream(common, { sni: 'server.test' }) }),
    ),
  );
  const bootstrap = {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: port(`${name}.admin`) } } },
    static_resources: {
      listeners: [
        listener('in', port(`${name}.in`), ECHO, { manager: MANAGER, chain: { transport_socket: socket } }),
        listener('out', port(`${name}.out`), {}, { manager: { route_config: routing } }),
      ],
      clusters,
    },
  };
  const file = join(await mkdtemp(join(tmpdir(), 'outrigger-tls-')), 'bootstrap.json');
  await writeFile(file, JSON.stringify(bootstrap));
  const child = startChild(...commandOf(name, file));
  running.set(name, { child, outPort: port(`${name}.out`), inPort: port(`${name}.in`) });
  await untilReady(child, async () => (await statusOf(port(`${name}.admin`), '/ready')) === 200);
}

beforeAll(async () => {
  const keys = SIDE_NAMES.flatMap((side) => [`${side}.admin`, `${side}.in`, `${side}.out`]);
  const free = await freePorts(keys.length);
  const ports = new Map(keys.map((key, index) => [key, free[index] ?? 0]));
  for (const name of SIDE_NAMES) await start(name, ports);
});
afterAll(async () => {
  for (const { child } of running.values()) await child.stop();
});

async function outcome(client: SideName, server: SideName, name: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${running.get(client)?.outPort}/${server}/${name}`);
  return { status: response.status, body: await response.text() };
}

test.each(CLIENTS.map(([name, , status]) => ({ name, status })))(
  '$name is answered with $status by all pairs',
  async ({ name, status }) => {
    const seen = [];
    for (const client of SIDE_NAMES) for (const server of SIDE_NAMES) seen.push(await outcome(client, server, name));
    expect(seen.map((one) => one.status)).toEqual([status, status, status, status]);
    // What a refused client says of it depends on who noticed first.
    if (status === 200) expect([...new Set(seen.map(({ body }) => body))]).toEqual([seen[0]?.body]);
  },
);

test.each(['server.test', 'a.wild.test', 'a.b.wild.test', 'second.test', 'nobody.test'])(
  'the certificate for %s is the same',
  async (servername) => {
    const shown = [];
    for (const { inPort } of running.values())
      shown.push((await ask(inPort, { ...identity('client'), servername })).server);
    expect(shown[1]).toBe(shown[0]);
  },
);
