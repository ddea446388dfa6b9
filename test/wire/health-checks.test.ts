// Active health checks by real probes: what is asked, which answers pass, where an endpoint is checked, TLS of the
// cluster included, and what becomes of requests.
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it } from 'vitest';
import { UNFIT, type Endpoint } from '../../src/plan/cluster.ts';
import type { LiveCluster } from '../../src/resilience/cluster.ts';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { freePort, listen } from '../support/free-port.ts';
import { raw, RawUpstream, reply, type Answer } from '../support/raw-upstream.ts';
import {
  AUTHORITY,
  certificate,
  cluster,
  downstream,
  listener,
  portOf,
  startProxy,
  upstream,
} from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';

const proxies: Proxy[] = [];
const upstreams: RawUpstream[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop(0);
  for (const one of upstreams.splice(0)) await one.close();
  for (const server of servers.splice(0)) server.close();
});

const FAST: JsonObject = {
  timeout: '0.3s',
  interval: '0.05s',
  no_traffic_interval: '0.05s',
  unhealthy_threshold: 2,
  healthy_threshold: 1,
};
const http = (fields: JsonObject = {}, check: JsonObject = {}): JsonObject => ({
  ...FAST,
  http_health_check: { path: '/ready?x=1', ...fields },
  ...check,
});
const tcp = (fields: JsonObject = {}): JsonObject => ({ ...FAST, tcp_health_check: fields });
/** Too rare to be seen twice. */
const ONCE: JsonObject = { interval: '60s', no_traffic_interval: '60s' };
const hex = (text: string): JsonObject => ({ text: Buffer.from(text).toString('hex') });

async function anUpstream(answer?: Answer): Promise<RawUpstream> {
  const one = await RawUpstream.start(['app']);
  upstreams.push(one);
  if (answer !== undefined) one.answer = answer;
  return one;
}

function portOfUpstream(one: RawUpstream): number {
  return one.ports.get('app') ?? 0;
}

interface Started {
  readonly proxy: Proxy;
  readonly live: LiveCluster;
  readonly endpoint: Endpoint;
}

/** A sidecar whose cluster `app` is one endpoint; all first checks are over. No panic: a failed endpoint gets nothing. */
async function started(port: number, check: JsonObject, extra: JsonObject = {}): Promise<Started> {
  const proxy = await startProxy({
    listeners: [listener('out', 0, { route: { cluster: 'app' } })],
    clusters: [
      cluster('app', port, {
        health_checks: [check],
        common_lb_config: { healthy_panic_threshold: { value: 0 } },
        ...extra,
      }),
    ],
  });
  proxies.push(proxy);
  const live = proxy.store.clusters.get('app');
  const endpoint = live?.endpoints[0];
  if (live === undefined || endpoint === undefined) throw new Error('no cluster');
  return { proxy, live, endpoint };
}

function isFailed({ endpoint }: Started): boolean {
  return (endpoint.unfit & UNFIT.FAILED_CHECK) !== 0;
}

async function statusOf({ proxy }: Started, path = '/'): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${portOf(proxy, 'out')}${path}`);
  await response.arrayBuffer();
  return response.status;
}

function becomes(side: Started, failed: boolean): Promise<boolean> {
  return until(`the endpoint ${failed ? 'fails' : 'passes'}`, () => isFailed(side) === failed);
}

describe('an HTTP check', () => {
  it('asks as Envoy asks', async () => {
    const app = await anUpstream();
    await started(portOfUpstream(app), http({}, ONCE));
    const [seen] = app.seen;
    expect({ line: seen?.startLine, headers: seen?.headers }).toEqual({
      line: 'GET /ready?x=1 HTTP/1.1',
      headers: [
        ['host', 'app'],
        ['connection', 'keep-alive'],
        ['user-agent', 'Envoy/HC'],
      ],
    });
  });

  it('sends what is configured: method, host, payload and headers', async () => {
    const app = await anUpstream();
    const side = await started(
      portOfUpstream(app),
      http(
        {
          host: 'a.test',
          method: 'POST',
          send: hex('ping'),
          request_headers_to_add: [
            { header: { key: 'X-To', value: '%UPSTREAM_HOST%!' } },
            { header: { key: 'User-Agent', value: 'mine' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
            { header: { key: 'x-none', value: 'v' }, append_action: 'OVERWRITE_IF_EXISTS' },
          ],
        },
        ONCE,
      ),
    );
    const [seen] = app.seen;
    expect({ line: seen?.startLine, headers: seen?.headers, body: String(seen?.body) }).toEqual({
      line: 'POST /ready?x=1 HTTP/1.1',
      headers: [
        ['host', 'a.test'],
        ['connection', 'keep-alive'],
        ['User-Agent', 'mine'],
        ['X-To', `${side.endpoint.authority}!`],
        ['content-length', '4'],
      ],
      body: 'ping',
    });
  });

  it.each<[name: string, answer: Answer, check: JsonObject, passes: boolean]>([
    ['200', reply('200 OK'), http(), true],
    ['204 without being expected', reply('204 No Content', [], null), http(), false],
    ['204, expected', reply('204 No Content', [], null), http({ expected_statuses: [{ start: 204, end: 205 }] }), true],
    ['200 where only 204 is expected', reply('200 OK'), http({ expected_statuses: [{ start: 204, end: 205 }] }), false],
    ['503', reply('503 No'), http(), false],
    ['no answer', { kind: 'hang' }, http(), false],
    ['a reset', { kind: 'reset' }, http(), false],
    ['an end without an answer', { kind: 'close' }, http(), false],
    ['what is no HTTP', raw('hello\r\n\r\n', true), http(), false],
    [
      'a final answer behind early hints',
      raw('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'),
      http(),
      true,
    ],
    [
      'the blocks in their order',
      reply('200 OK', [], 'one two three'),
      http({ receive: [hex('one'), hex('three')] }),
      true,
    ],
    [
      'the blocks in another order',
      reply('200 OK', [], 'three one'),
      http({ receive: [hex('one'), hex('three')] }),
      false,
    ],
    [
      'a block within the first 1024 bytes',
      reply('200 OK', [], `${'-'.repeat(1020)}here`),
      http({ receive: [hex('here')] }),
      true,
    ],
    ['a block beyond them', reply('200 OK', [], `${'-'.repeat(1021)}here`), http({ receive: [hex('here')] }), false],
    [
      'a block within response_buffer_size',
      reply('200 OK', [], `${'-'.repeat(9)}here`),
      http({ receive: [hex('here')], response_buffer_size: 13 }),
      true,
    ],
    [
      'a block beyond it',
      reply('200 OK', [], `${'-'.repeat(10)}here`),
      http({ receive: [hex('here')], response_buffer_size: 13 }),
      false,
    ],
    [
      'a block anywhere',
      reply('200 OK', [], `${'-'.repeat(9000)}here`),
      http({ receive: [hex('here')], response_buffer_size: 0 }),
      true,
    ],
    ['HEAD without a body', reply('200 OK', [], null), http({ method: 'HEAD' }), true],
    [
      'the right service',
      reply('200 OK', ['x-envoy-upstream-healthchecked-cluster: shop-1']),
      http({ service_name_matcher: { prefix: 'shop' } }),
      true,
    ],
    [
      'another service',
      reply('200 OK', ['x-envoy-upstream-healthchecked-cluster: pay-1']),
      http({ service_name_matcher: { prefix: 'shop' } }),
      false,
    ],
    ['no service', reply('200 OK'), http({ service_name_matcher: { prefix: 'shop' } }), false],
  ])('%s', async (...[, answer, check, passes]) => {
    const app = await anUpstream(answer);
    const side = await started(portOfUpstream(app), { ...check, ...ONCE });
    expect(isFailed(side)).toBe(!passes);
  });

  it('takes requests away from an endpoint that fails, and gives them back', async () => {
    const app = await anUpstream();
    const side = await started(portOfUpstream(app), http());
    const seen = [await statusOf(side)];
    app.answer = reply('500 No');
    await becomes(side, true);
    seen.push(await statusOf(side));
    app.answer = { kind: 'default' };
    await becomes(side, false);
    seen.push(await statusOf(side));
    expect(seen).toEqual([200, 503, 200]);
  });

  it('keeps its connection, and makes one for each check where it shall', async () => {
    for (const [reuse, atMost] of [
      [true, 1],
      [false, Infinity],
    ] as const) {
      const app = await anUpstream();
      await started(portOfUpstream(app), http({}, { reuse_connection: reuse }));
      await until('three checks', () => app.seen.length >= 3);
      const connections = app.accepted.get('app') ?? 0;
      expect(connections).toBeLessThanOrEqual(atMost);
      expect(connections).toBeGreaterThanOrEqual(reuse ? 1 : 3);
    }
  });

  it('takes a connection that was closed meanwhile for no failure', async () => {
    const app = await anUpstream();
    const side = await started(portOfUpstream(app), http({}, { unhealthy_threshold: 1 }));
    for (let i = 0; i < 3; i++) {
      app.disconnect();
      const count = app.seen.length;
      await until('another check', () => app.seen.length > count + 1);
    }
    const [counts] = side.proxy.health.numbersOf('app');
    expect({ isFailed: isFailed(side), failures: counts?.counts.failures }).toEqual({ isFailed: false, failures: 0 });
  });

  it('degrades, and excludes, as the answer says', async () => {
    const app = await anUpstream(reply('200 OK', ['x-envoy-degraded: 1']));
    const side = await started(portOfUpstream(app), http());
    expect({ unfit: side.endpoint.unfit, isDegraded: side.endpoint.isDegraded }).toEqual({
      unfit: 0,
      isDegraded: true,
    });
    app.answer = reply('503 No', ['x-envoy-immediate-health-check-fail: true']);
    await becomes(side, true);
    expect(side.endpoint.unfit).toBe(UNFIT.FAILED_CHECK | UNFIT.EXCLUDED);
  });

  it('is overruled by a response to a request that says so', async () => {
    const app = await anUpstream();
    const side = await started(portOfUpstream(app), http({}, ONCE));
    app.answer = reply('200 OK', ['x-envoy-immediate-health-check-fail: true']);
    expect(await statusOf(side)).toBe(200);
    await becomes(side, true);
    expect({ unfit: side.endpoint.unfit, status: await statusOf(side) }).toEqual({
      unfit: UNFIT.FAILED_CHECK | UNFIT.EXCLUDED,
      status: 503,
    });
    const [counts] = side.proxy.health.numbersOf('app');
    expect(counts?.counts).toMatchObject({ passiveFailures: 1, failures: 1 });
  });

  it('writes events as lines of JSON', async () => {
    const app = await anUpstream();
    const path = join(mkdtempSync(join(tmpdir(), 'health-')), 'events.log');
    const side = await started(portOfUpstream(app), http({}, { event_log_path: path }));
    app.answer = reply('500 No');
    await becomes(side, true);
    await side.proxy.stop(0);
    const lines: unknown[] = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => {
        const { timestamp, host, ...event } = JSON.parse(line);
        return { ...event, host: host.socket_address.port_value === side.endpoint.port, at: typeof timestamp };
      });
    const common = {
      health_checker_type: 'HTTP',
      cluster_name: 'app',
      locality: { region: '', zone: '', sub_zone: '' },
      host: true,
      at: 'string',
    };
    expect(lines).toEqual([
      { ...common, add_healthy_event: { first_check: true } },
      { ...common, eject_unhealthy_event: { failure_type: 'ACTIVE', http_status_code: 500 } },
    ]);
  });
});

/** Answers everything that comes with `answer`; what came is kept. */
async function anEcho(answer: string, greeting = ''): Promise<{ readonly port: number; heard: string }> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {});
    if (greeting !== '') socket.write(greeting);
    socket.on('data', (bytes) => {
      state.heard += bytes.toString('latin1');
      if (answer !== '') socket.write(answer);
    });
  });
  servers.push(server);
  const state = { port: await listen(server), heard: '' };
  return state;
}

function placed(port: number, config: JsonObject): JsonObject {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address, health_check_config: config } }] }];
  return { load_assignment: { cluster_name: 'app', endpoints } };
}

describe('a TCP check', () => {
  it.each<[name: string, answer: string, check: JsonObject, passes: boolean]>([
    ['a connection is enough', '', {}, true],
    ['a payload that nothing must answer', '', { send: hex('x') }, true],
    ['the right answer', 'pong!', { send: hex('ping'), receive: [hex('po'), hex('!')] }, true],
    ['another answer', 'pang', { send: hex('ping'), receive: [hex('pong')] }, false],
    ['no answer', '', { send: hex('ping'), receive: [hex('pong')] }, false],
  ])('%s', async (...[, answer, check, passes]) => {
    const server = await anEcho(answer);
    const side = await started(server.port, { ...tcp(check), ...ONCE });
    expect(isFailed(side)).toBe(!passes);
  });

  it('hears a server that speaks first', async () => {
    const server = await anEcho('', 'ready\n');
    expect(isFailed(await started(server.port, { ...tcp({ receive: [hex('ready')] }), ...ONCE }))).toBe(false);
  });

  it('fails where nobody listens', async () => {
    expect(isFailed(await started(await freePort(), { ...tcp(), ...ONCE }))).toBe(true);
  });

  it.each([
    ['V1', /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nping$/],
    ['V2', /^\r\n\r\n\0\r\nQUIT\n \0\0\0ping$/],
  ])('begins with a PROXY header of %s', async (version, expected) => {
    const server = await anEcho('ok');
    const check = tcp({ proxy_protocol_config: { version }, send: hex('ping'), receive: [hex('ok')] });
    await started(server.port, { ...check, ...ONCE });
    expect(server.heard).toMatch(expected);
  });
});

describe('where an endpoint is checked', () => {
  it('on another port, and by another name', async () => {
    const [app, checked] = [await anUpstream(reply('500 No')), await anUpstream()];
    const config = { port_value: portOfUpstream(checked), hostname: 'h.test' };
    const side = await started(0, http({ host: 'a.test' }, ONCE), placed(portOfUpstream(app), config));
    expect({ isFailed: isFailed(side), host: checked.seen[0]?.headers[0] }).toEqual({
      isFailed: false,
      host: ['host', 'h.test'],
    });
  });

  it('at another address', async () => {
    const checked = await anUpstream();
    const address = { socket_address: { address: '127.0.0.1', port_value: portOfUpstream(checked) } };
    expect(isFailed(await started(0, http({}, ONCE), placed(await freePort(), { address })))).toBe(false);
  });

  it('on the port of the check', async () => {
    const checked = await anUpstream();
    const side = await started(await freePort(), http({}, { ...ONCE, alt_port: portOfUpstream(checked) }));
    expect(isFailed(side)).toBe(false);
  });

  it('nowhere, where checks are disabled: it is healthy', async () => {
    const side = await started(0, http(), placed(await freePort(), { disable_active_health_check: true }));
    expect(isFailed(side)).toBe(false);
  });
});

describe('over TLS', () => {
  const ECHO: JsonObject = {
    direct_response: {
      status: 200,
      body_format: { text_format_source: { inline_string: '%REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_URI_SAN%' } },
    },
  };
  const SERVER: JsonObject = {
    tls_certificates: [certificate('server')],
    validation_context: { trusted_ca: AUTHORITY },
  };
  const CLIENT: JsonObject = {
    tls_certificates: [certificate('client')],
    validation_context: { trusted_ca: AUTHORITY },
  };
  async function aServer(common: JsonObject = SERVER, extra: JsonObject = {}): Promise<number> {
    const port = await freePort();
    const chain = { transport_socket: downstream(common, extra) };
    proxies.push(await startProxy({ listeners: [listener('in', port, ECHO, { chain })], clusters: [] }));
    return port;
  }

  it('shows the certificate of the cluster and names the server', async () => {
    const port = await aServer(SERVER, { require_client_certificate: true });
    const check = http({ receive: [hex('server.test spiffe://')] }, ONCE);
    const side = await started(port, check, { transport_socket: upstream(CLIENT, { sni: 'server.test' }) });
    expect(isFailed(side)).toBe(false);
  });

  it('fails by a server that is not trusted', async () => {
    const port = await aServer();
    const names = { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'other.test' } }] };
    const context = { validation_context: { trusted_ca: AUTHORITY, ...names } };
    expect(isFailed(await started(port, http({}, ONCE), { transport_socket: upstream(context) }))).toBe(true);
  });

  it('fails in plaintext, and passes by a socket that is matched for checks alone', async () => {
    const port = await aServer();
    const matches = [
      {
        name: 'm',
        match: { tls: true },
        transport_socket: upstream({ validation_context: { trusted_ca: AUTHORITY } }),
      },
    ];
    const extra = { transport_socket_matches: matches };
    expect(isFailed(await started(port, http({}, ONCE), extra))).toBe(true);
    const check = http({}, { ...ONCE, transport_socket_match_criteria: { tls: true } });
    expect(isFailed(await started(port, check, extra))).toBe(false);
  });

  it('is a TCP check too', async () => {
    const socket = upstream({ validation_context: { trusted_ca: AUTHORITY } });
    const check = { ...tcp({ send: hex('GET / HTTP/1.0\r\nhost: a\r\n\r\n'), receive: [hex('HTTP/1.')] }), ...ONCE };
    expect(isFailed(await started(await aServer(), check, { transport_socket: socket }))).toBe(false);
  });
});
