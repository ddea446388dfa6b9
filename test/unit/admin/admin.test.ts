// The admin server over HTTP: every path, its content type and its shape as a real Envoy 1.40 answered
// the same bootstrap, what changes something only by POST, and that no endpoint can stop the server.
// The config dump has a file of its own.
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startAdminServer, type RunningServer } from '../../../src/sidecar/admin/server.ts';
import { aSource, type SourceBench } from './admin-source-builder.ts';

const TEXT = 'text/plain; charset=UTF-8';

let bench: SourceBench;
let server: RunningServer;

beforeEach(async () => {
  bench = aSource();
  server = await startAdminServer(bench.source, { port: 0 });
});

afterEach(() => server.close());

async function ask(path: string, method = 'GET', headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers });
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
}

async function askJson(path: string): Promise<unknown> {
  const { status, type, body } = await ask(path);
  expect({ status, type }).toEqual({ status: 200, type: 'application/json' });
  return JSON.parse(body);
}

/** With a Host of our own choice, which fetch does not send. */
function statusUnder(path: string, method: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const at = { host: '127.0.0.1', port: server.port, path, method, headers, agent: false };
    request(at, (response) => resolve(response.resume().statusCode ?? 0))
      .on('error', reject)
      .end();
  });
}

describe('the admin server', () => {
  it('listens on loopback unless told otherwise', () => {
    expect(server.address).toBe('127.0.0.1');
  });

  it('rejects when its port is taken', async () => {
    await expect(startAdminServer(bench.source, { port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('answers an unknown path with 404 and what there is', async () => {
    const { status, type, body } = await ask('/nosuch');
    expect({ status, type }).toEqual({ status: 404, type: TEXT });
    expect(body.startsWith('invalid path. admin commands are:\n  /: Admin home page\n')).toBe(true);
  });

  it.each(['/logging', '/quitquitquit', '/drain', '/drain_listeners', '/healthcheck/fail', '/healthcheck/ok'])(
    'answers GET %s with 405 and changes nothing',
    async (path) => {
      expect(await ask(path)).toEqual({ status: 405, type: TEXT, body: 'Method GET not allowed, POST required.' });
      expect(bench.calls).toEqual([]);
    },
  );

  it('refuses other methods', async () => {
    expect((await ask('/ready', 'DELETE')).status).toBe(405);
  });

  it('answers HEAD without a body', async () => {
    expect(await ask('/ready', 'HEAD')).toEqual({ status: 200, type: TEXT, body: '' });
  });

  it('accepts POST where GET would do', async () => {
    expect((await ask('/ready', 'POST')).body).toBe('LIVE\n');
  });

  it.each(['cross-site', 'same-site'])('does nothing for a page of another place (%s)', async (site) => {
    expect((await ask('/quitquitquit', 'POST', { 'sec-fetch-site': site })).status).toBe(403);
    expect(bench.calls).toEqual([]);
  });

  it.each([
    'evil.test',
    '10.0.0.1',
    'evil.test:15000',
    '127.0.0.1.evil.test',
    'localhost.evil.test',
    '[::1].evil.test',
  ])('tells and does nothing under the name %s, which may have been turned here', async (host) => {
    const own = { host, 'sec-fetch-site': 'same-origin' };
    const statuses = [await statusUnder('/config_dump', 'GET', own), await statusUnder('/quitquitquit', 'POST', own)];
    expect(statuses).toEqual([403, 403]);
    expect(bench.calls).toEqual([]);
  });

  it.each(['localhost:15000', 'LOCALHOST', 'admin.localhost', '127.0.0.1', '[::1]:15000'])(
    'answers under %s',
    async (host) => expect(await statusUnder('/ready', 'GET', { host })).toBe(200),
  );

  it('answers 500 when an endpoint fails, and goes on', async () => {
    bench.source.plans = () => {
      throw new Error('broken');
    };
    expect(await ask('/plan')).toEqual({ status: 500, type: TEXT, body: 'Internal error: broken\n' });
    expect((await ask('/ready')).status).toBe(200);
  });

  it('has an index with links and forms, and the same as text', async () => {
    const page = await ask('/');
    expect(page).toMatchObject({ status: 200, type: 'text/html; charset=UTF-8' });
    expect(page.body).toContain('<a href="config_dump">/config_dump</a>');
    expect(page.body).toContain('<form action="quitquitquit" method="post">');
    const help = await ask('/help');
    expect(help.body.split('\n').filter((line) => line.startsWith('  /'))).toHaveLength(19);
    expect(help.body).toContain('  /quitquitquit (POST): exit the server\n');
  });
});

describe('readiness', () => {
  it.each([
    { state: 'LIVE', status: 200 },
    { state: 'PRE_INITIALIZING', status: 503 },
    { state: 'INITIALIZING', status: 503 },
    { state: 'DRAINING', status: 503 },
  ] as const)('answers $status while $state', async ({ state, status }) => {
    bench.setState(state);
    expect(await ask('/ready')).toEqual({ status, type: TEXT, body: `${state}\n` });
  });

  it.each([
    { path: '/drain', calls: ['healthcheck fail', 'drain {"isGraceful":true,"inboundOnly":true}'] },
    { path: '/healthcheck/fail', calls: ['healthcheck fail'] },
    { path: '/healthcheck/ok', calls: ['healthcheck ok'] },
    { path: '/drain_listeners', calls: ['drain {"isGraceful":false,"inboundOnly":false}'] },
    { path: '/drain_listeners?graceful', calls: ['drain {"isGraceful":true,"inboundOnly":false}'] },
    { path: '/drain_listeners?graceful&inboundonly', calls: ['drain {"isGraceful":true,"inboundOnly":true}'] },
    { path: '/quitquitquit', calls: ['quit'] },
  ])('POST $path does what it says', async ({ path, calls }) => {
    expect(await ask(path, 'POST')).toEqual({ status: 200, type: TEXT, body: 'OK\n' });
    expect(bench.calls).toEqual(calls);
  });
});

describe('/server_info and /memory and /certs', () => {
  it('say who the proxy is, in Envoy field names', async () => {
    expect(await askJson('/server_info')).toEqual({
      version: `outrigger/0.1.0/Clean/RELEASE/node-${process.versions.node}`,
      state: 'LIVE',
      uptime_current_epoch: '2s',
      uptime_all_epochs: '2s',
      hot_restart_version: 'disabled',
      command_line_options: { concurrency: 1 },
      node: { id: 'n1', cluster: 'c1', user_agent_name: 'outrigger' },
    });
  });

  it('give memory as strings of bytes', async () => {
    const memory = await askJson('/memory');
    expect(memory).toEqual({
      allocated: expect.stringMatching(/^\d+$/),
      heap_size: expect.stringMatching(/^\d+$/),
      pageheap_unmapped: '0',
      pageheap_free: expect.stringMatching(/^\d+$/),
      total_thread_cache: '0',
      total_physical_bytes: expect.stringMatching(/^\d+$/),
    });
  });

  it('have no certificates yet', async () => {
    expect(await askJson('/certs')).toEqual({ certificates: [] });
  });
});

describe('/listeners', () => {
  it('writes bound addresses as text', async () => {
    expect(await ask('/listeners')).toEqual({
      status: 200,
      type: TEXT,
      body: 'l1::127.0.0.1:33261\nl2::/tmp/l2.sock\n',
    });
  });

  it('writes them as JSON', async () => {
    expect(await askJson('/listeners?format=json')).toEqual({
      listener_statuses: [
        { name: 'l1', local_address: { socket_address: { address: '127.0.0.1', port_value: 33261 } } },
        { name: 'l2', local_address: { pipe: { path: '/tmp/l2.sock' } } },
      ],
    });
  });
});

describe('/clusters', () => {
  it('writes what Envoy writes, line by line', async () => {
    const [endpoint] = bench.clusters.get('c1')?.endpoints ?? [];
    if (endpoint !== undefined) {
      endpoint.requestsTotal = 5;
      endpoint.failuresTotal = 1;
      endpoint.active = 1;
      endpoint.connectionsTotal = 2;
      endpoint.connectionsActive = 1;
    }
    const { body } = await ask('/clusters?filter=c1');
    const lines = body.split('\n');
    expect(lines.slice(0, 29)).toEqual([
      'c1::observability_name::c1',
      'c1::default_priority::max_connections::1024',
      'c1::default_priority::max_pending_requests::1024',
      'c1::default_priority::max_requests::1024',
      'c1::default_priority::max_retries::3',
      'c1::high_priority::max_connections::1024',
      'c1::high_priority::max_pending_requests::1024',
      'c1::high_priority::max_requests::1024',
      'c1::high_priority::max_retries::3',
      'c1::added_via_api::false',
      'c1::127.0.0.1:39472::cx_active::1',
      'c1::127.0.0.1:39472::cx_connect_fail::0',
      'c1::127.0.0.1:39472::cx_total::2',
      'c1::127.0.0.1:39472::rq_active::1',
      'c1::127.0.0.1:39472::rq_error::1',
      'c1::127.0.0.1:39472::rq_pending_active::0',
      'c1::127.0.0.1:39472::rq_success::3',
      'c1::127.0.0.1:39472::rq_timeout::0',
      'c1::127.0.0.1:39472::rq_total::5',
      'c1::127.0.0.1:39472::hostname::hh',
      'c1::127.0.0.1:39472::health_flags::healthy',
      'c1::127.0.0.1:39472::weight::3',
      'c1::127.0.0.1:39472::region::r',
      'c1::127.0.0.1:39472::zone::z',
      'c1::127.0.0.1:39472::sub_zone::s',
      'c1::127.0.0.1:39472::canary::false',
      'c1::127.0.0.1:39472::priority::0',
      'c1::127.0.0.1:39472::success_rate::-1',
      'c1::127.0.0.1:39472::local_origin_success_rate::-1',
    ]);
    expect(lines.filter((line) => line.includes('health_flags'))).toEqual([
      'c1::127.0.0.1:39472::health_flags::healthy',
      'c1::/tmp/x.sock::health_flags::/degraded_eds_health',
      'c1::[::1]:39472::health_flags::/failed_eds_health',
    ]);
  });

  it('writes the Clusters message as JSON', async () => {
    const limits = { max_connections: 1024, max_pending_requests: 1024, max_requests: 1024, max_retries: 3 };
    const stats = [
      { name: 'cx_connect_fail' },
      { name: 'cx_total' },
      { name: 'rq_error' },
      { name: 'rq_success' },
      { name: 'rq_timeout' },
      { name: 'rq_total' },
      { type: 'GAUGE', name: 'cx_active' },
      { type: 'GAUGE', name: 'rq_active' },
      { type: 'GAUGE', name: 'rq_pending_active' },
    ];
    const [endpoint] = bench.clusters.get('c1')?.endpoints ?? [];
    if (endpoint !== undefined) endpoint.requestsTotal = 2;
    const used = stats.map((stat) =>
      stat.name === 'rq_success' || stat.name === 'rq_total' ? { value: '2', name: stat.name } : stat,
    );
    const circuit_breakers = { thresholds: [limits, { priority: 'HIGH', ...limits }] };
    expect(await askJson('/clusters?format=json')).toEqual({
      cluster_statuses: [
        {
          name: 'c1',
          host_statuses: [
            {
              address: { socket_address: { address: '127.0.0.1', port_value: 39472 } },
              stats: used,
              health_status: { eds_health_status: 'HEALTHY' },
              weight: 3,
              hostname: 'hh',
              locality: { region: 'r', zone: 'z', sub_zone: 's' },
            },
            {
              address: { pipe: { path: '/tmp/x.sock' } },
              stats,
              health_status: { eds_health_status: 'DEGRADED' },
              weight: 1,
              locality: { region: 'r', zone: 'z', sub_zone: 's' },
            },
            {
              address: { socket_address: { address: '::1', port_value: 39472 } },
              stats,
              health_status: { eds_health_status: 'UNHEALTHY' },
              weight: 1,
              priority: 1,
              locality: {},
            },
          ],
          circuit_breakers,
          observability_name: 'c1',
        },
        {
          name: 'outbound|80||a.test',
          added_via_api: true,
          circuit_breakers,
          observability_name: 'outbound|80||a.test',
          eds_service_name: 'a',
        },
      ],
    });
  });

  it('answers a filter that is no RE2 expression with 400', async () => {
    expect((await ask('/clusters?filter=(')).status).toBe(400);
  });
});

describe('/stats', () => {
  it.each([
    { path: '/stats', body: 'cluster.c1.cx: 0\ncluster.c1.rq: 5\nhttp.in.rq: 3\n' },
    { path: '/stats?usedonly', body: 'cluster.c1.rq: 5\nhttp.in.rq: 3\n' },
    { path: '/stats?filter=rq$', body: 'cluster.c1.rq: 5\nhttp.in.rq: 3\n' },
    { path: '/stats?filter=%5Ehttp', body: 'http.in.rq: 3\n' },
  ])('writes $path sorted', async ({ path, body }) => {
    expect(await ask(path)).toEqual({ status: 200, type: TEXT, body });
  });

  it('writes JSON', async () => {
    expect(await askJson('/stats?format=json&filter=http')).toEqual({ stats: [{ name: 'http.in.rq', value: 3 }] });
  });

  it('does not know other formats', async () => {
    expect((await ask('/stats?format=xml')).status).toBe(400);
  });

  it.each(['/stats/prometheus', '/stats?format=prometheus'])('hands %s through', async (path) => {
    expect(await ask(path)).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# HELP a help\n# TYPE a counter\na{x="1"} 2\na{x="2"} 0\n# TYPE b gauge\nb 0\n',
    });
  });

  it('passes the accept header of the scraper on', async () => {
    const { type } = await ask('/stats/prometheus', 'GET', { accept: 'application/openmetrics-text' });
    expect(type).toBe('application/openmetrics-text');
  });

  it.each([
    { query: 'usedonly', body: '# HELP a help\n# TYPE a counter\na{x="1"} 2\n' },
    { query: 'filter=%5Eb', body: '# TYPE b gauge\nb 0\n' },
  ])('narrows samples by $query and drops families without any', async ({ query, body }) => {
    expect((await ask(`/stats/prometheus?${query}`)).body).toBe(body);
  });
});

describe('/logging', () => {
  it.each([
    { query: '', level: 'info' },
    { query: '?level=debug', level: 'debug' },
    { query: '?paths=admin:error', level: 'error' },
    { query: '?http=warning', level: 'warning' },
    { query: '?level=warn', level: 'warning' },
  ])('POST /logging$query leaves $level', async ({ query, level }) => {
    const { status, body } = await ask(`/logging${query}`, 'POST');
    expect({ status, level: bench.source.log.level }).toEqual({ status: 200, level });
    expect(body.startsWith(`active loggers:\n  admin: ${level}\n`)).toBe(true);
  });

  it('refuses an unknown level and changes nothing', async () => {
    const { status, body } = await ask('/logging?level=bogus', 'POST');
    expect({ status, level: bench.source.log.level }).toEqual({ status: 400, level: 'info' });
    expect(body.startsWith('error: unknown logger level\n')).toBe(true);
  });
});

describe('/explain', () => {
  it('passes on the request, and says what is missing', async () => {
    expect((await ask('/explain?host=a&path=/b')).body).toBe('explained /b\n');
    expect((await ask('/explain?path=/b')).status).toBe(400);
    expect((await ask('/explain?host=a&path=/bad')).status).toBe(400);
    expect((await ask('/explain?host=a&header=novalue')).status).toBe(400);
  });
});

describe('/plan', () => {
  it('prints every plan under its table', async () => {
    expect((await ask('/plan')).body).toBe('table r1\nplan r  # o\nplan s  # o\n');
  });

  it('narrows by route name', async () => {
    expect((await ask('/plan?filter=s')).body).toBe('table r1\nplan s  # o\n');
  });
});
