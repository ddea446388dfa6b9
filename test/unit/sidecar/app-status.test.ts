// The port that speaks for the whole pod, over real sockets: an app that answers, one that does not, and what nobody
// may ask. Where the app listens, it sees who calls it.
import { createServer as createHttp, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcp, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appPlace, type AppPlace } from '../../../src/sidecar/app-status/app-call.ts';
import { readAppProbes } from '../../../src/sidecar/app-status/app-probe.ts';
import { readAppMetrics, startStatusServer } from '../../../src/sidecar/app-status/status-server.ts';
import type { RunningServer } from '../../../src/sidecar/admin/server.ts';
import { aSource } from '../admin/admin-source-builder.ts';

const HERE: AppPlace = { address: '127.0.0.1', from: '127.0.0.6' };

interface Seen {
  readonly url: string | undefined;
  readonly host: string | undefined;
  readonly agent: string | undefined;
  readonly token: unknown;
  readonly from: string | undefined;
}

describe('probes of the app', () => {
  const seen: Seen[] = [];
  let app: Server;
  let server: RunningServer;
  const closing: (() => void)[] = [];

  beforeAll(async () => {
    app = createHttp((request: IncomingMessage, response) => {
      const { url, headers } = request;
      const { host, 'user-agent': agent, 'x-token': token } = headers;
      seen.push({ url, host, agent, token, from: request.socket.remoteAddress });
      if (url === '/silent') return;
      const target = { '/moved': '/healthy', '/away': 'http://elsewhere.test/', '/loop': '/loop' }[url ?? ''];
      if (target !== undefined) response.writeHead(302, { location: target }).end();
      else response.writeHead(url === '/healthy' ? 204 : 503).end('much text');
    });
    const health = createHttp2();
    health.on('stream', (stream: ServerHttp2Stream, headers) => {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        const isKnown = Buffer.concat(pieces).toString('latin1').endsWith('orders');
        expect(headers[':path']).toBe('/grpc.health.v1.Health/Check');
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, isKnown ? 1 : 2]));
      });
    });
    const tcp = createTcp((socket) => socket.destroy());
    const [http, grpc, plain] = await Promise.all([app, health, tcp].map(listening));
    const probes = readAppProbes(
      JSON.stringify({
        '/app-health/app/livez': { httpGet: { path: '/healthy', port: http } },
        '/app-health/app/readyz': { httpGet: { path: '/broken', port: http, httpHeaders: HEADERS } },
        '/app-health/app/startupz': { httpGet: { path: '/silent', port: http } },
        '/app-health/moved/livez': { httpGet: { path: '/moved', port: http } },
        '/app-health/away/livez': { httpGet: { path: '/away', port: http } },
        '/app-health/loop/livez': { httpGet: { path: '/loop', port: http } },
        '/app-health/tcp/livez': { tcpSocket: { port: plain } },
        '/app-health/tcp/readyz': { tcpSocket: { port: 1 } },
        '/app-health/grpc/livez': { grpc: { port: grpc, service: 'orders' } },
        '/app-health/grpc/readyz': { grpc: { port: grpc } },
        '/app-health/grpc/startupz': { grpc: { port: plain } },
      }),
    );
    if (probes === null) throw new Error('the probes cannot be read');
    server = await startStatusServer(aSource().source, { port: 0 }, { place: HERE, probes, metrics: null });
    closing.push(
      () => app.closeAllConnections(),
      () => app.close(),
      () => health.close(),
      () => tcp.close(),
    );
  });
  afterAll(async () => {
    for (const close of closing) close();
    await server.close();
  });

  it.each([
    ['/app-health/app/livez', 204],
    ['/app-health/app/readyz', 503],
    ['/app-health/app/startupz', 500],
    ['/app-health/moved/livez', 204],
    ['/app-health/away/livez', 200],
    ['/app-health/loop/livez', 500],
    ['/app-health/tcp/livez', 200],
    ['/app-health/tcp/readyz', 500],
    ['/app-health/grpc/livez', 200],
    ['/app-health/grpc/readyz', 500],
    ['/app-health/grpc/startupz', 500],
    ['/app-health/other/livez', 404],
    ['/healthz/ready', 200],
    ['/quitquitquit', 404],
  ])('%s is answered with %i', async (path, status) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      headers: { 'user-agent': 'kube-probe/1' },
    });
    await response.text();
    expect(response.status).toBe(status);
  });

  it('are made as the kubelet would make them, from where the redirect leaves them alone', async () => {
    seen.length = 0;
    const page = `http://127.0.0.1:${server.port}/app-health/app/readyz`;
    await (await fetch(page, { headers: { 'user-agent': 'kube-probe/1' } })).text();
    const wanted = { url: '/broken', host: 'shop.test', agent: 'kube-probe/1', token: 'a', from: '127.0.0.6' };
    expect(seen).toEqual([wanted]);
  });
});

const HEADERS = [
  { name: 'Host', value: 'shop.test' },
  { name: 'X-Token', value: 'a' },
];

describe.each([
  ['no JSON', '{'],
  ['a list', '[]'],
  ['another path', '{"/healthz":{"tcpSocket":{"port":1}}}'],
  ['two handlers', '{"/app-health/a/livez":{"tcpSocket":{"port":1},"grpc":{"port":1}}}'],
  ['a port that is a name', '{"/app-health/a/livez":{"httpGet":{"port":"http"}}}'],
  ['a port out of range', '{"/app-health/a/livez":{"httpGet":{"port":65536}}}'],
  [
    'a header that splits',
    '{"/app-health/a/livez":{"httpGet":{"port":1,"httpHeaders":[{"name":"a","value":"b\\r\\nc"}]}}}',
  ],
])('of probes, %s', (_, text) => {
  it('is refused', () => {
    expect(readAppProbes(text)).toBe(null);
  });
});

describe('the page of both metrics', () => {
  const mine = aSource().source.prometheus('').body;

  it.each([
    ['an app that has some', 200, 'orders_total 3\n# EOF\n', 'orders_total 3\n', 0],
    ['an app that fails', 500, 'orders_total 3\n', '', 1],
  ])('of %s has what it can', async (_, ...[status, text, shown, failures]) => {
    const accepts: unknown[] = [];
    const app = createHttp((request, response) => {
      accepts.push(request.headers.accept);
      response.writeHead(request.url === '/m' ? status : 404).end(text);
    });
    const metrics = readAppMetrics(JSON.stringify({ scrape: 'true', port: String(await listening(app)), path: 'm' }));
    const place = appPlace('10.1.1.1', false);
    const server = await startStatusServer(aSource().source, { port: 0 }, { place, probes: new Map(), metrics });
    const response = await fetch(`http://127.0.0.1:${server.port}/stats/prometheus`, {
      headers: { accept: 'application/openmetrics-text' },
    });
    const page = await response.text();
    await server.close();
    app.close();
    const name = 'outrigger_app_scrape_failures_total';
    expect(page).toBe(`${mine}# TYPE ${name} counter\n${name} ${failures}\n${shown}`);
    expect([response.status, response.headers.get('content-type'), accepts]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      ['text/plain;version=0.0.4;q=0.5,*/*;q=0.1'],
    ]);
  });

  it.each([
    ['', null],
    ['{"scrape":"false","port":"80"}', null],
    ['{"scrape":"true","port":"http"}', null],
    ['{"scrape":"true","port":""}', { port: 80, path: '/metrics' }],
    ['{"scrape":"true","port":"9090","path":"m"}', { port: 9090, path: '/m' }],
  ])('reads %s', (text, wanted) => {
    expect(readAppMetrics(text)).toEqual(wanted);
  });
});

async function listening(server: {
  listen(port: number, host: string, then: () => void): unknown;
  address(): unknown;
}): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
