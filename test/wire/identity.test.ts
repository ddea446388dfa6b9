// A workload asks a real server for its certificate: what it shows and trusts, what it refuses of an answer, and what
// two sidecars do with what they got, before and after it expires.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { createLog, type Log } from '../../src/base/log.ts';
import { Registry } from '../../src/observe/registry.ts';
import { ControlAccess, CONTROL_NAMES } from '../../src/sidecar/control-access.ts';
import { Identity } from '../../src/sidecar/identity.ts';
import { SecretStore } from '../../src/sidecar/secrets.ts';
import { readRootHash } from '../../src/sidecar/join-token.ts';
import { TestAuthority } from '../support/test-authority.ts';
import { CaServer } from '../support/test-ca-server.ts';
import { until } from '../support/until.ts';

const ID = 'spiffe://cluster.local/ns/shop/sa/cart';
const authority = new TestAuthority('root');
const stranger = new TestAuthority('stranger');

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Asking {
  readonly token?: string;
  readonly roots?: string | null;
  readonly hash?: string | null;
  readonly host?: string;
}

interface Asker {
  readonly identity: Identity;
  readonly secrets: SecretStore;
  readonly folder: string;
  readonly lines: string[];
}

function ask(
  server: CaServer,
  { token = server.token, roots = authority.pem, hash = null, host = '127.0.0.1' }: Asking,
): Asker {
  const folder = mkdtempSync(join(tmpdir(), 'identity-'));
  const lines: string[] = [];
  const log: Log = createLog('test', 'debug', (line) => void lines.push(line));
  writeFileSync(join(folder, 'token'), token);
  if (roots !== null) writeFileSync(join(folder, 'root.pem'), roots);
  const identity = new Identity({
    access: new ControlAccess({
      control: { host, port: server.port },
      tokenFile: join(folder, 'token'),
      rootFile: roots === null ? null : join(folder, 'root.pem'),
      rootHash: hash === null ? null : readRootHash(hash),
    }),
    expected: { trustDomain: '', namespace: 'shop', serviceAccount: 'cart' },
    uri: ID,
    lifetimeSeconds: 3600,
    log,
    clock: systemClock,
  });
  const secrets = new SecretStore(log);
  identity.start(secrets, new Registry());
  ends.push(() => {
    identity.close();
    secrets.close();
    rmSync(folder, { recursive: true });
  });
  return { identity, secrets, folder, lines };
}

async function open(options: Partial<Parameters<typeof CaServer.open>[0]> = {}): Promise<CaServer> {
  const server = await CaServer.open({ authority, ...options });
  ends.push(() => server.stop());
  return server;
}

describe('the server', () => {
  test('is verified by the root file; the token proves the workload, and then its certificate', async () => {
    const server = await open({ lifeMs: 2000 });
    const { identity } = ask(server, {});
    await identity.first;
    expect([identity.issued?.uri, identity.rootsPem]).toEqual([ID, authority.pem]);
    await until('it', () => identity.renewals === 2, 10_000);
    expect(server.asked).toEqual(['token', 'certificate', 'certificate']);
  });

  test.each([
    ['the flag', (server: CaServer) => ({ token: server.token, hash: authority.hash })],
    ['the token', (server: CaServer) => ({ token: (server.token = jwt({ ca: authority.hash })) })],
    [
      'one of several in the token',
      (server: CaServer) => ({ token: (server.token = jwt({ ca: [stranger.hash, authority.hash] })) }),
    ],
  ])('is verified by the hash of its root in %s', async (_where, asking) => {
    const server = await open();
    const { identity } = ask(server, { roots: null, ...asking(server) });
    await identity.first;
    expect(identity.issued?.uri).toBe(ID);
  });

  test.each(CONTROL_NAMES)('may be reached at any address when it has the name %s', async (name) => {
    const server = await open({ dns: [name], addresses: [] });
    await ask(server, {}).identity.first;
  });

  test.each<[string, Partial<Parameters<typeof CaServer.open>[0]>, Asking, string]>([
    ['has another root', { authority: stranger }, {}, 'self-signed certificate in certificate chain'],
    [
      'has another root than the hash says',
      { authority: stranger },
      { roots: null, hash: authority.hash },
      'no root with the hash',
    ],
    ['has another name', { dns: ['other.test'], addresses: [] }, {}, 'does not match certificate'],
    ['has the identity of a workload only', { dns: [], addresses: [] }, {}, 'does not match certificate'],
  ])('gets no token when it %s', async (_why, options, asking, reason) => {
    const server = await open(options);
    const { identity, lines } = ask(server, asking);
    await until('it', () => lines.some((line) => line.includes(reason)));
    expect([server.asked, identity.issued]).toEqual([[], null]);
  });
});

describe('an answer is refused', () => {
  test.each<[string, (server: CaServer) => void, string]>([
    [
      'that names another workload',
      (server) => (server.uri = 'spiffe://cluster.local/ns/shop/sa/other'),
      'is for spiffe://cluster.local/ns/shop/sa/other',
    ],
    [
      'that names another namespace',
      (server) => (server.uri = 'spiffe://cluster.local/ns/bank/sa/cart'),
      'is for spiffe',
    ],
    ['that names no workload', (server) => (server.uri = 'https://shop.test'), 'does not name one workload'],
    [
      'that is for another key',
      (server) => (server.edit = ([, roots = '']) => [authority.issue({ uris: [ID] }).cert, roots]),
      'is for another key',
    ],
    [
      'of another root than its last element',
      (server) => (server.edit = ([first = '']) => [first, stranger.pem]),
      'does not lead to a trusted root',
    ],
    ['that is no certificate', (server) => (server.edit = () => ['x', 'y']), 'holds no PEM certificate'],
    ['that is empty', (server) => (server.edit = () => []), 'holds no certificate'],
    ['without a root', (server) => (server.edit = ([first = '']) => [first]), 'none is known'],
  ])('%s', async (_what, break_, reason) => {
    const server = await open();
    break_(server);
    const { identity, lines } = ask(server, {});
    await until('it', () => lines.some((line) => line.includes(reason)));
    expect([identity.issued, identity.failures.get('answer')]).toEqual([null, 1]);
  });
});

test('nothing of the token or the key is logged', async () => {
  const server = await open({ lifeMs: 3000 });
  const { identity, lines } = ask(server, {});
  await identity.first;
  server.uri = 'spiffe://cluster.local/ns/shop/sa/other';
  await until('it', () => (identity.failures.get('answer') ?? 0) > 0);
  server.stop();
  await until('it', () => (identity.failures.get('unreachable') ?? 0) > 0);
  const text = lines.join('');
  const key = identity.access.own?.keyPem.split('\n')[1] ?? 'none';
  expect([text.includes(server.token), text.includes(key), text.includes('PRIVATE'), lines.length >= 3]).toEqual([
    false,
    false,
    false,
    true,
  ]);
});

test('the next attempt shows the token when the certificate is refused', async () => {
  const server = await open({ lifeMs: 3000 });
  const { identity, folder } = ask(server, {});
  await identity.first;
  // Nobody knows the old root any more; the sidecar has the new one from a file.
  const next = new TestAuthority('next');
  server.stop();
  Object.assign(server, { authority: next, roots: next.pem });
  await server.start();
  writeFileSync(join(folder, 'root.pem'), next.pem);
  await until('it', () => identity.renewals === 1, 10_000);
  expect([server.asked.at(-1), identity.rootsPem]).toEqual(['token', next.pem]);
});

test('whoever was away while the root was rotated comes back by a token made since', async () => {
  const server = await open({ lifeMs: 3000 });
  server.token = jwt({ ca: authority.hash });
  const { identity, folder } = ask(server, { roots: null });
  await identity.first;
  server.stop();
  await until('the certificate expires', () => identity.isExpired, 10_000);
  const next = new TestAuthority('next');
  Object.assign(server, { authority: next, roots: next.pem, token: jwt({ ca: next.hash }) });
  await server.start();
  await until(
    'it asks and is not answered',
    () => (identity.failures.get('root') ?? 0) + (identity.failures.get('unreachable') ?? 0) > 1,
  );
  expect(identity.isExpired).toBe(true);
  writeFileSync(join(folder, 'token'), server.token);
  await until('it is back', () => identity.renewals === 1, 10_000);
  expect([identity.isExpired, identity.rootsPem]).toEqual([false, next.pem]);
});

function jwt(claims: object): string {
  return `${part({ alg: 'ES256' })}.${part(claims)}.c2ln`;
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
