// Keys that the control service fetches: where from, how often, and what stays when it fails.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createLog } from '../../../src/base/log.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { isPrivateAddress, refusalOfUrl } from '../../../src/control/jwks-address.ts';
import { JwksFetcher, type JwksResult } from '../../../src/control/jwks-fetch.ts';
import { JwksStore } from '../../../src/control/jwks-store.ts';
import { offlineNode, printedView, translateFiles } from '../../../src/control/offline.ts';
import { BAD_HTTP, startBadHttp } from '../../support/bad-service.ts';
import { publicJwks } from '../../support/tokens/token-maker.ts';
import { until } from '../../support/until.ts';

const servers: Server[] = [];
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  for (const server of servers.splice(0)) server.close();
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const { port }: AddressInfo = addressOf(server);
  return `http://127.0.0.1:${port}`;
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address;
}

function aFetcher(allowsPrivate = true): JwksFetcher {
  const fetcher = new JwksFetcher(allowsPrivate);
  closers.push(() => fetcher.close());
  return fetcher;
}

function get(uri: string, { issuer = '', allowsPrivate = true, timeoutMs = 2000 } = {}): Promise<JwksResult> {
  return aFetcher(allowsPrivate).fetch({ uri, issuer, timeoutMs });
}

const isFailed = (result: JwksResult): string => (result.kind === 'failed' ? result.reason : 'fetched');

describe('a fetch', () => {
  test('brings the public keys and nothing else', async () => {
    const uri = await serve((_, response) => response.end(publicJwks(['rsa', 'oct', 'p256'])));
    const result = await get(uri);
    expect(result.kind === 'fetched' ? JSON.parse(result.jwks) : result).toEqual({
      keys: [expect.objectContaining({ kid: 'rsa', kty: 'RSA' }), expect.objectContaining({ kid: 'p256', kty: 'EC' })],
    });
  });

  test.each<[string, RequestListener, RegExp]>([
    ['a status that is no 200', (_, response) => response.writeHead(503).end('secret words'), /^127.* answered 503$/],
    ['nonsense', (_, response) => response.end('secret words'), /^what came back is no key set \(bad-json\)$/],
    ['no keys', (_, response) => response.end('{"keys":[]}'), /no-valid-keys/],
    ['only a shared secret', (_, response) => response.end(publicJwks(['oct'])), /^the key set has no public key$/],
    ['silence', () => undefined, /^no answer within 300 ms$/],
    ['more than a mebibyte', (_, response) => response.end('x'.repeat(1024 * 1024 + 1)), /more than 1048576 bytes$/],
    ['an answer that is cut', (_, response) => void response.write('{"keys":', () => response.destroy()), /./],
    [
      'redirects without end',
      (_, response) => response.writeHead(302, { location: '/' }).end(),
      /redirects more than 3/,
    ],
    [
      'a redirect to a file',
      (_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      /file:/,
    ],
  ])('fails after %s, and repeats nothing of it', async (_name, answer, reason) => {
    const found = isFailed(await get(await serve(answer), { timeoutMs: 300 }));
    expect(found).toMatch(reason);
    expect(found).not.toContain('secret');
  });

  test.each(Object.keys(BAD_HTTP))('ends in time when the server %s', async (name) => {
    const service = await startBadHttp(() => BAD_HTTP[name] ?? null);
    const startMs = performance.now();
    const found = isFailed(await get(`http://127.0.0.1:${service.port}`, { timeoutMs: 200 }));
    service.close();
    expect(found).not.toBe('fetched');
    expect(performance.now() - startMs).toBeLessThan(3000);
  });

  test('follows a redirect', async () => {
    const uri = await serve((request, response) => {
      if (request.url === '/keys') response.end(publicJwks(['ed']));
      else response.writeHead(307, { location: '/keys' }).end();
    });
    expect(isFailed(await get(uri))).toBe('fetched');
  });

  test('finds the keys of an issuer by its OpenID configuration', async () => {
    const issuer = await serve((request, response) => {
      const isConfiguration = request.url === '/tenant/.well-known/openid-configuration';
      response.end(isConfiguration ? JSON.stringify({ jwks_uri: `${issuer}/keys` }) : publicJwks(['ed']));
    });
    expect(isFailed(await get('', { issuer: `${issuer}/tenant/` }))).toBe('fetched');
  });

  test('asks no private address, by number or by name, nor behind a redirect', async () => {
    let asked = 0;
    const uri = await serve((_, response) => {
      asked++;
      response.end(publicJwks(['ed']));
    });
    expect(isFailed(await get(uri, { allowsPrivate: false }))).toMatch(/127\.0\.0\.1 is a private address/);
    expect(isFailed(await get(uri.replace('127.0.0.1', 'localhost'), { allowsPrivate: false }))).toMatch(/private/);
    expect(asked).toBe(0);
  });
});

test.each<[string, boolean]>([
  ['127.0.0.1', true],
  ['10.1.2.3', true],
  ['172.31.0.1', true],
  ['172.32.0.1', false],
  ['192.168.1.1', true],
  ['169.254.169.254', true],
  ['100.64.0.1', true],
  ['0.0.0.0', true],
  ['224.0.0.1', true],
  ['255.255.255.255', true],
  ['8.8.8.8', false],
  ['::1', true],
  ['::', true],
  ['fe80::1', true],
  ['fd00::1', true],
  ['::ffff:10.0.0.1', true],
  ['::ffff:8.8.8.8', false],
  ['64:ff9b::7f00:1', true],
  ['2002:7f00:1::', true],
  ['2606:4700::1111', false],
  ['nonsense', true],
])('%s is private: %s', (address, wanted) => {
  expect(isPrivateAddress(address)).toBe(wanted);
});

test.each<[string, string]>([
  ['http://169.254.169.254/latest/meta-data', '169.254.169.254 is a private address'],
  ['http://0x7f.1/', '127.0.0.1 is a private address'],
  ['http://2130706433/', '127.0.0.1 is a private address'],
  ['http://0177.0.0.1:15000/', '127.0.0.1 is a private address'],
  ['http://[::1]/', '::1 is a private address'],
  ['http://[::ffff:7f00:1]/', '::ffff:7f00:1 is a private address'],
  ['ftp://a.test/', 'ftp: is neither http: nor https:'],
  ['https://user:word@a.test/', 'it holds a password'],
  ['https://a.test/', ''],
])('%s: %s', (url, wanted) => {
  expect(refusalOfUrl(new URL(url), false)).toBe(wanted);
});

describe('the store', () => {
  const log = createLog('test', 'off');
  const good: JwksResult = { kind: 'fetched', jwks: 'good' };
  const bad: JwksResult = { kind: 'failed', reason: 'it is down' };

  function aStore(results: JwksResult[], times: { refreshMs?: number; retryMs?: number } = {}) {
    let changes = 0;
    const asked: string[] = [];
    const store = new JwksStore({
      log,
      clock: systemClock,
      allowsPrivate: false,
      onChange: () => changes++,
      random: () => 0,
      refreshMs: 20,
      retryMs: 5,
      ...times,
      fetch: (source) => {
        asked.push(source.uri);
        return Promise.resolve(results.length > 1 ? (results.shift() ?? bad) : (results[0] ?? bad));
      },
    });
    closers.push(() => store.close());
    return { store, asked, changes: () => changes };
  }
  const source = { uri: 'https://a.test/keys', issuer: 'a', timeoutMs: 1000 };

  test('has no keys before the first fetch, and tries again', async () => {
    const { store } = aStore([bad, good], { retryMs: 200 });
    store.want([source]);
    expect(store.states.size).toBe(0);
    await until('a failure', () => store.states.get(source.uri)?.failure === 'it is down');
    expect(store.states.get(source.uri)?.jwks).toBeNull();
    await until('keys', () => store.states.get(source.uri)?.jwks === 'good');
    expect(store.states.get(source.uri)?.failure).toBe('');
  });

  test('keeps the last good keys while the server fails, and says so once', async () => {
    const { store, asked, changes } = aStore([good, bad]);
    store.want([source]);
    await until('a failure behind good keys', () => store.states.get(source.uri)?.failure !== '' && asked.length > 4);
    expect(store.states.get(source.uri)).toEqual({ jwks: 'good', failure: 'it is down' });
    expect(changes()).toBe(2);
    expect(store.counters().get('outrigger_jwks_sets_failing')).toBe(1);
    expect(store.counters().get('pilot_jwks_resolver_network_fetch_success_total')).toBe(1);
  });

  test('fetches each set once, and forgets what nobody wants', async () => {
    const { store, asked } = aStore([good], { refreshMs: 60_000 });
    store.want([source, { ...source, issuer: 'other' }]);
    store.want([source]);
    await until('keys', () => store.states.has(source.uri));
    store.want([source]);
    expect(asked).toEqual([source.uri]);
    store.want([]);
    expect(store.counters().get('outrigger_jwks_sets')).toBe(0);
  });

  test('fetches again ahead of its age', async () => {
    const { store, asked } = aStore([good]);
    store.want([source]);
    await until('three fetches', () => asked.length >= 3);
    expect(store.states.get(source.uri)).toEqual({ jwks: 'good', failure: '' });
  });
});

test('where a policy is refused that never was good, no token passes and no header is believed', () => {
  const text = `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: refused }
spec:
  selector: { matchLabels: { app: reviews } }
  jwtRules:
    - { issuer: a, audience: [b], outputPayloadToHeader: x-payload, fromHeaders: [{ name: x-token }, { name: "b d" }] }
`;
  const { viewOf, problems } = translateFiles([{ file: 'rules.yaml', text }]);
  expect(problems.filter(({ severity }) => severity === 'error')).not.toEqual([]);
  const node = offlineNode({ service: 'reviews', version: 'v1', apps: ['9080/http'], isEnvoy: false });
  if (typeof node === 'string') throw new Error(node);
  const printed = JSON.stringify(printedView(viewOf(node)).listeners);
  expect(printed).toContain('"requires_any":{"requirements":[{"provider_name":"origins-0"},{"allow_missing":{}}]}');
  for (const part of ['"name":"Authorization"', '"name":"x-token"', '"header_name":"x-payload"', 'inline_string']) {
    expect(printed).toContain(part);
  }
  expect(printed).not.toContain('b d');
});
