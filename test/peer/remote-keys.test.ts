// Keys that a service has (remote_jwks), in Envoy and in our sidecar, from the same bootstrap against the same server:
// fetched when the first token comes, refused while the server fails, and where we depart from Envoy (ADR 014).
import { createServer, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { makeToken, publicJwks } from '../support/tokens/token-maker.ts';
import { statusOf, until } from '../support/until.ts';
import { SIDE_NAMES, commandOf } from './side.ts';

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** What the server of keys does now. */
interface Keys {
  status: number;
  body: string;
  /** Hosts and paths that it was asked for. */
  readonly asked: string[];
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((done) => {
    server.listen(port, '127.0.0.1', done);
  });
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise<void>((done) => {
      server.close(() => done());
    });
  });
}

describe.each(SIDE_NAMES)('%s', (side) => {
  async function start(keys: Keys): Promise<(token: string) => Promise<string>> {
    const [admin = 0, entry = 0, app = 0, issuer = 0] = await freePorts(4);
    await listen(
      createServer((_, response) => response.end('app')),
      app,
    );
    const answer = createServer((asked, response) => {
      keys.asked.push(`${asked.headers.host} ${asked.url}`);
      response.writeHead(keys.status).end(keys.body);
    });
    await listen(answer, issuer);
    const folder = await mkdtemp(join(tmpdir(), 'outrigger-keys-'));
    const file = join(folder, 'bootstrap.json');
    await writeFile(file, JSON.stringify(bootstrap({ admin, entry, app, issuer })));
    const child = startChild(...commandOf(side, file));
    closers.push(async () => {
      await child.stop();
      await rm(folder, { recursive: true });
    });
    await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
    return async (token) => {
      const headers = { authorization: `Bearer ${token}` };
      const { statusCode, body } = await request(`http://127.0.0.1:${entry}/`, { headers });
      return `${statusCode} ${await body.text()}`;
    };
  }

  test('fetches the keys for the first token', async () => {
    const keys: Keys = { status: 200, body: publicJwks(), asked: [] };
    const ask = await start(keys);
    expect(keys.asked).toEqual([]);
    expect(await ask(makeToken())).toBe('200 app');
    expect(await ask(makeToken({ by: 'p256' }))).toBe('200 app');
    expect(keys.asked).toEqual(['keys.test:81 /jwks?x=1']);
  });

  test.each<[string, number, string]>([
    ['fails', 503, publicJwks()],
    ['talks nonsense', 200, 'nonsense'],
    ['has no keys', 200, '{"keys":[]}'],
  ])('lets nothing pass while the server %s, and all again afterwards', async (_name, status, body) => {
    const keys: Keys = { status, body, asked: [] };
    const ask = await start(keys);
    expect(await ask(makeToken())).toMatch(/^401 Jwks /);
    keys.status = 200;
    keys.body = publicJwks();
    await until('a token passes', async () => (await ask(makeToken())) === '200 app');
  });
});

interface Ports {
  readonly admin: number;
  readonly entry: number;
  readonly app: number;
  readonly issuer: number;
}

const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`;

function bootstrap({ admin, entry, app, issuer }: Ports): unknown {
  const cluster = (name: string, port: number) => ({
    name,
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: at(port) } }] }] },
  });
  const provider = {
    issuer: 'https://issuer.test',
    remote_jwks: {
      http_uri: { uri: 'http://keys.test:81/jwks?x=1', cluster: 'keys', timeout: '2s' },
      cache_duration: '600s',
    },
  };
  const manager = {
    '@type': type('network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'main',
    http_filters: [
      {
        name: 'jwt',
        typed_config: {
          '@type': type('http.jwt_authn.v3.JwtAuthentication'),
          providers: { p: provider },
          rules: [{ match: { prefix: '/' }, requires: { provider_name: 'p' } }],
        },
      },
      { name: 'router', typed_config: { '@type': type('http.router.v3.Router') } },
    ],
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] }],
    },
  };
  const filters = [{ name: 'http', typed_config: manager }];
  return {
    admin: { address: at(admin) },
    static_resources: {
      listeners: [{ name: 'main', address: at(entry), filter_chains: [{ filters }] }],
      clusters: [cluster('app', app), cluster('keys', issuer)],
    },
  };
}
