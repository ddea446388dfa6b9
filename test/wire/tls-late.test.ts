// TLS that fails after the handshake: a TLS 1.3 server refuses the client's certificate only then, and either end may
// close, reset or send what is no TLS at any time. Whoever waits learns of it at once, no connection is kept,
// and a request runs twice only where it could have before.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, createServer, type Server, type TlsOptions, type TLSSocket } from 'node:tls';
import { afterEach, expect, it, test } from 'vitest';
import type { Proxy } from '../../src/sidecar/proxy.ts';
import { TlsTally } from '../../src/tls/tls-tally.ts';
import { UpstreamTls } from '../../src/tls/upstream-tls.ts';
import { listen } from '../support/free-port.ts';
import {
  AUTHORITY,
  certificate,
  cluster,
  downstream,
  identity,
  listener,
  pathOf,
  portOf,
  startProxy,
  upstream,
} from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';

const VERSIONS = ['TLSv1_2', 'TLSv1_3'] as const;
type Version = (typeof VERSIONS)[number];

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Talk {
  readonly tls: Socket;
  /** Below TLS. */
  readonly raw: Socket;
  /** Requests on this connection so far, the one that has just come included. */
  readonly requests: number;
  /** Connections so far. */
  readonly connections: number;
}

interface Behaviour {
  readonly onSecure?: (talk: Talk) => void;
  readonly onRequest?: (talk: Talk) => void;
  readonly options?: TlsOptions;
}

interface Upstream {
  readonly port: number;
  readonly heard: string[];
}

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const answer = ({ tls }: Talk): void => void tls.write(ANSWER);
/** A record of application data that no key of the connection has made. */
const NO_TLS = Buffer.from(`1703030020${'5a'.repeat(32)}`, 'hex');
const garble = ({ raw }: Talk): void => void raw.write(NO_TLS);
const answerInPart = (talk: Talk): void => {
  talk.tls.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok', () => garble(talk));
};
const answerAndBreak = (talk: Talk): void => {
  answer(talk);
  setImmediate(() => garble(talk));
};
const breakOnce = (talk: Talk): void => {
  if (talk.connections === 1 && talk.requests === 2) garble(talk);
  else answer(talk);
};

async function serve({ onSecure, onRequest, options }: Behaviour): Promise<Upstream> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const own = { key: readFileSync(pathOf('server.key')), cert: readFileSync(pathOf('server.pem')) };
  let connections = 0;
  let raw: Socket | null = null;
  const server: Server = createServer({ ...own, ca: readFileSync(pathOf('authority.pem')), ...options });
  server.on('connection', (socket) => {
    connections++;
    raw = socket;
    sockets.add(socket);
    socket.on('error', ignore);
  });
  server.on('tlsClientError', ignore);
  server.on('secureConnection', (tls: TLSSocket) => {
    const below = raw;
    let requests = 0;
    tls.on('error', ignore);
    if (below === null) return;
    onSecure?.({ tls, raw: below, requests, connections });
    tls.on('data', (bytes: Buffer) => {
      heard.push(bytes.toString('latin1').split(' ', 1)[0] ?? '');
      requests++;
      onRequest?.({ tls, raw: below, requests, connections });
    });
  });
  const port = await listen(server);
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port, heard };
}

async function sidecarOf({ port }: Upstream, version: Version): Promise<Proxy> {
  const socket = upstream({
    tls_params: { tls_minimum_protocol_version: version, tls_maximum_protocol_version: version },
  });
  const proxy = await startProxy({
    listeners: [listener('out', 0, { route: { cluster: 'app', timeout: '5s' } })],
    clusters: [cluster('app', port, { transport_socket: socket })],
  });
  cleanups.push(() => proxy.stop(0));
  return proxy;
}

/** `200 ok`, or the status and why there is no answer. */
function send(proxy: Proxy, method: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port: portOf(proxy, 'out'), host: '127.0.0.1', method, agent: false };
    const asking = request(options, (response) => {
      let body = '';
      response.on('data', (bytes: Buffer) => (body += bytes.toString()));
      response.on('error', () => resolve(`${response.statusCode} cut`));
      response.on('end', () => resolve(`${response.statusCode} ${body.replace(/^.*reason: /, '')}`));
    });
    asking.on('error', reject).end();
  });
}

function stat(proxy: Proxy, name: string): number {
  return proxy.stats.list().find((one) => one.name === name)?.value ?? 0;
}

function ignore(): void {}

const refusing: TlsOptions = { requestCert: true, rejectUnauthorized: true };
const TERMINATED = '503 connection termination';

test.each<[string, Behaviour, readonly Version[]]>([
  ['refuses a client without a certificate', { options: refusing }, ['TLSv1_3']],
  ['ends after the handshake', { onSecure: ({ tls }) => tls.end() }, VERSIONS],
  ['closes without a word of TLS', { onRequest: ({ raw }) => raw.destroy() }, VERSIONS],
  ['resets', { onRequest: ({ raw }) => raw.resetAndDestroy() }, VERSIONS],
  ['sends what is no TLS', { onSecure: garble }, ['TLSv1_3']],
  ['sends what is no TLS as its answer', { onRequest: garble }, VERSIONS],
])('a server that %s costs its request at once', async (_, behaviour, versions) => {
  for (const version of versions) {
    const server = await serve(behaviour);
    const proxy = await sidecarOf(server, version);
    for (const method of ['GET', 'POST']) {
      expect([version, await send(proxy, method)]).toEqual([version, TERMINATED]);
      await until('no connection is left', async () => stat(proxy, 'cluster.app.upstream_cx_active') === 0);
    }
    // Never twice: the connection was new, so what was sent may have been done.
    expect(server.heard.length).toBeLessThanOrEqual(2);
    expect(stat(proxy, 'cluster.app.upstream_cx_total')).toBe(2);
  }
});

test.each(VERSIONS)('a response over %s that is cut by what is no TLS is cut for the client', async (version) => {
  const proxy = await sidecarOf(await serve({ onRequest: answerInPart }), version);
  expect(await send(proxy, 'GET')).toBe('200 cut');
  await until('no connection is left', async () => stat(proxy, 'cluster.app.upstream_cx_active') === 0);
});

test.each(VERSIONS)('an idle connection over %s that breaks costs no request', async (version) => {
  const server = await serve({ onRequest: answerAndBreak });
  const proxy = await sidecarOf(server, version);
  for (const method of ['POST', 'POST', 'POST']) {
    expect(await send(proxy, method)).toBe('200 ok');
    await until('no connection is left', async () => stat(proxy, 'cluster.app.upstream_cx_active') === 0);
  }
  expect(server.heard).toEqual(['POST', 'POST', 'POST']);
});

test.each<[Version, string, string, readonly string[]]>(
  VERSIONS.flatMap((version): [Version, string, string, readonly string[]][] => [
    [version, 'GET', '200 ok', ['GET', 'GET', 'GET']],
    [version, 'POST', TERMINATED, ['GET', 'POST']],
  ]),
)('on a reused connection over %s a %s that meets a break has %s', async (version, method, expected, heard) => {
  const server = await serve({ onRequest: breakOnce });
  const proxy = await sidecarOf(server, version);
  expect(await send(proxy, 'GET')).toBe('200 ok');
  expect(await send(proxy, method)).toBe(expected);
  expect(server.heard).toEqual(heard);
});

it.each(['TLSv1.2', 'TLSv1.3'] as const)('keeps no client that sends what is no %s', async (version) => {
  const server = { tls_certificates: [certificate('server')], validation_context: { trusted_ca: AUTHORITY } };
  const proxy = await startProxy({
    listeners: [
      listener('in', 0, { direct_response: { status: 200 } }, { chain: { transport_socket: downstream(server) } }),
    ],
    clusters: [],
  });
  cleanups.push(() => proxy.stop(0));
  const below = connectPlain({ host: '127.0.0.1', port: portOf(proxy, 'in') }).on('error', ignore);
  const versions = { minVersion: version, maxVersion: version, rejectUnauthorized: false };
  const client = connect({ socket: below, ...versions, ...identity('client') }).on('error', ignore);
  cleanups.push(() => void below.destroy());
  await new Promise((resolve) => client.once('secureConnect', resolve));
  const active = (): number =>
    proxy.stats.list().find(({ name }) => /^listener\..*\.downstream_cx_active$/.test(name))?.value ?? -1;
  await until('the connection is there', async () => active() === 1);
  below.write(NO_TLS);
  await until('the connection is gone', async () => active() === 0);
});

test('whoever else holds a connection to a server learns of a break as well', async () => {
  const server = await serve({ onSecure: garble });
  const settings = {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: '',
    curves: 'auto',
    signatures: '',
  } as const;
  const tls = new UpstreamTls({
    settings: { ...settings, protocols: [] },
    certificates: [],
    trust: null,
    serverName: '',
    sessionsMax: 0,
    tally: new TlsTally(),
  });
  const target = { authority: 'app', serverName: '', expectedName: '' };
  const socket = tls.connect({ host: '127.0.0.1', port: server.port }, target, ignore);
  if (socket === null) throw new Error('it was not dialled');
  await new Promise((resolve) => socket.once('close', resolve).resume());
});
