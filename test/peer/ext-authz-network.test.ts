// A gRPC authorization service that is asked about connections: by Envoy and by our sidecar the same, from the same
// listeners. Behind each of them is a server that repeats what it hears; behind one, a server that speaks first.
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { PROJECT_ROOT } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import { AuthorizationServer, type Answers } from './authorization-server.ts';
import { commandOf, SIDE_NAMES, type SideName } from './side.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.filters';
const GREETING = '220 hello';
const EARLY = 'early';

interface Setup {
  /** The answer is found by it. */
  readonly address: string;
  readonly gives?: JsonObject | number | 'never';
  readonly config?: JsonObject;
  /** In front of the filter: RBAC whose shadow rules hold for everybody, or for nobody. */
  readonly shadow?: 'all' | 'none';
  readonly serves?: 'http';
  readonly cluster?: 'gone';
  readonly to?: 'app' | 'greeter';
  readonly hears: string;
  /** Where Envoy differs. */
  readonly envoyHears?: string;
}

const GATE: JsonObject = {
  filter_enabled_metadata: {
    filter: 'envoy.filters.network.rbac',
    path: [{ key: 'gate_shadow_effective_policy_id' }],
    value: { string_match: { prefix: 'ask-' } },
  },
};
const THROUGH = `heard ${EARLY}`;

const SETUPS: Readonly<Record<string, Setup>> = {
  allowed: { address: '127.0.0.11', hears: THROUGH },
  denied: { address: '127.0.0.12', gives: { status: { code: 7 } }, hears: '' },
  'denied with an answer for a request': {
    address: '127.0.0.13',
    gives: { status: { code: 16 }, deniedResponse: { status: { code: 'Unauthorized' }, body: 'who?' } },
    hears: '',
  },
  'a service that fails': { address: '127.0.0.14', gives: 14, hears: '' },
  'a service that fails where that allows': {
    address: '127.0.0.15',
    gives: 14,
    config: { failure_mode_allow: true },
    hears: THROUGH,
  },
  'a service that never answers': { address: '127.0.0.16', gives: 'never', hears: '' },
  'a service that is not there': { address: '127.0.0.17', cluster: 'gone', hears: '' },
  'a gate that is shut': {
    address: '127.0.0.18',
    gives: { status: { code: 7 } },
    config: GATE,
    shadow: 'none',
    hears: THROUGH,
  },
  'a gate that is open': {
    address: '127.0.0.19',
    gives: { status: { code: 7 } },
    config: GATE,
    shadow: 'all',
    hears: '',
  },
  'a gate that nobody opens': { address: '127.0.0.20', gives: { status: { code: 7 } }, config: GATE, hears: THROUGH },
  'HTTP behind it': { address: '127.0.0.21', serves: 'http', hears: 'HTTP/1.1 211 ' },
  'HTTP behind it, denied': { address: '127.0.0.22', gives: { status: { code: 7 } }, serves: 'http', hears: '' },
  'a server name and a certificate that are not there': {
    address: '127.0.0.23',
    config: { include_peer_certificate: true, include_tls_session: true },
    hears: THROUGH,
  },
  // Envoy dials at once, asks when the client has said something, and hands on what the server says before that.
  'a server that speaks first, denied': {
    address: '127.0.0.24',
    gives: { status: { code: 7 } },
    to: 'greeter',
    hears: '',
    envoyHears: GREETING,
  },
};

const GREETED = `ext_authz.of${Object.values(SETUPS).findIndex(({ to }) => to === 'greeter')}.`;
const ANSWERS: Answers = new Map(Object.values(SETUPS).map(({ address, gives = {} }) => [address, gives]));

interface Running {
  readonly child: Child;
  readonly server: AuthorizationServer;
  readonly ports: ReadonlyMap<string, number>;
  readonly admin: number;
}

const sides = new Map<SideName, Running>();
const apps: Server[] = [];

beforeAll(async () => {
  const app = await serve((socket) => {
    socket.on('data', (bytes: Buffer) => socket.end(`heard ${bytes.toString()}`));
  });
  const greeter = await serve((socket) => socket.end(GREETING));
  await Promise.all(SIDE_NAMES.map((side) => start(side, [cluster('app', app), cluster('greeter', greeter)])));
}, 60_000);
afterAll(async () => {
  for (const app of apps) app.close();
  for (const { server } of sides.values()) server.stop();
  await Promise.all([...sides.values()].map(({ child }) => child.stop()));
});

function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  apps.push(server);
  return listen(server);
}

async function start(side: SideName, upstreams: readonly JsonObject[]): Promise<void> {
  const [admin = 0, authorization = 0, gone = 0, ...free] = await freePorts(3 + Object.keys(SETUPS).length);
  const server = await AuthorizationServer.start(authorization, ANSWERS);
  const listeners = Object.entries(SETUPS).map(([, setup], index) => listener(index, setup, free[index] ?? 0));
  const clusters = [...upstreams, cluster('ask', authorization, HTTP2), cluster('gone', gone, HTTP2)];
  const address = { socket_address: { address: '127.0.0.1', port_value: admin } };
  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `ext-authz-network.${side}.json`);
  await writeFile(file, JSON.stringify({ admin: { address }, static_resources: { listeners, clusters } }));
  const child = startChild(...commandOf(side, file));
  const ports = new Map(Object.keys(SETUPS).map((name, index) => [name, free[index] ?? 0]));
  sides.set(side, { child, server, ports, admin });
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
}

const HTTP2: JsonObject = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function cluster(name: string, port: number, more: JsonObject = {}): JsonObject {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
  return { name, type: 'STATIC', connect_timeout: '1s', load_assignment, ...more };
}

function listener(index: number, setup: Setup, port: number): JsonObject {
  const asks = {
    '@type': `${TYPE}.network.ext_authz.v3.ExtAuthz`,
    stat_prefix: `of${index}`,
    grpc_service: { envoy_grpc: { cluster_name: setup.cluster ?? 'ask' }, timeout: '0.4s' },
    transport_api_version: 'V3',
    ...setup.config,
  };
  return {
    name: `of${index}`,
    address: { socket_address: { address: setup.address, port_value: port } },
    filter_chains: [{ filters: [...shadowOf(setup), { name: 'ask', typed_config: asks }, lastOf(setup)] }],
  };
}

function shadowOf({ shadow }: Setup): JsonObject[] {
  if (shadow === undefined) return [];
  const permission = shadow === 'all' ? { any: true } : { not_rule: { any: true } };
  const policies = { 'ask-somebody': { permissions: [permission], principals: [{ any: true }] } };
  const typed_config = {
    '@type': `${TYPE}.network.rbac.v3.RBAC`,
    stat_prefix: 'rbac',
    shadow_rules: { action: 'DENY', policies },
    shadow_rules_stat_prefix: 'gate_',
  };
  return [{ name: 'rbac', typed_config }];
}

function lastOf({ serves, to = 'app' }: Setup): JsonObject {
  if (serves !== 'http') {
    const type = `${TYPE}.network.tcp_proxy.v3.TcpProxy`;
    return { name: 'tcp', typed_config: { '@type': type, stat_prefix: 'tcp', cluster: to } };
  }
  const routes = [{ match: { prefix: '/' }, direct_response: { status: 211 } }];
  const typed_config = {
    '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'http',
    http_filters: [{ name: 'router', typed_config: { '@type': `${TYPE}.http.router.v3.Router` } }],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
  };
  return { name: 'http', typed_config };
}

/** What the far end says until it closes. The first bytes are sent before anybody can have decided. */
function hear({ address, serves, to }: Setup, port: number): Promise<string> {
  return new Promise((done) => {
    let seen = '';
    const request = serves === 'http' ? 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n' : EARLY;
    const socket = connect(port, address, () => (to === 'greeter' ? undefined : socket.write(request)));
    if (to === 'greeter') setTimeout(() => socket.destroy(), 300);
    socket.on('data', (piece: Buffer) => (seen += piece.toString()));
    socket.on('error', () => {});
    socket.on('close', () => done(seen));
  });
}

async function countsOf(running: Running | undefined): Promise<readonly string[]> {
  const response = await fetch(`http://127.0.0.1:${running?.admin ?? 0}/stats?filter=%5Eext_authz`);
  const lines = (await response.text()).trim().split('\n').toSorted();
  const compared = lines.filter((line) => !line.startsWith(GREETED));
  // Envoy counts a connection that it need not ask about again with each piece that it reads of it.
  return compared.map((line) => line.replace(/(disabled: )[1-9]\d*$/, '$1some'));
}

test.each(Object.entries(SETUPS))('%s: the connection fares as with Envoy', async (name, setup) => {
  const { hears, envoyHears = hears, address } = setup;
  const [envoy, outrigger] = await Promise.all(
    SIDE_NAMES.map(async (side) => {
      const running = sides.get(side);
      const text = await hear(setup, running?.ports.get(name) ?? 0);
      return { hears: hears === '' ? text : text.slice(0, hears.length), asked: running?.server.asked.get(address) };
    }),
  );
  expect([envoy?.hears, outrigger?.hears]).toEqual([envoyHears, hears]);
  if (envoyHears === hears) expect(outrigger?.asked).toEqual(envoy?.asked);
});

test('what was asked and decided is counted as Envoy counts it', async () => {
  const [envoy = [], outrigger] = await Promise.all(SIDE_NAMES.map((side) => countsOf(sides.get(side))));
  expect(envoy).toHaveLength(8 * (Object.keys(SETUPS).length - 1));
  expect(outrigger).toEqual(envoy);
});
