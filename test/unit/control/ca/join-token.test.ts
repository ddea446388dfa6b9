// Join tokens: what is accepted, and every way in which one is not.
import { createPrivateKey, generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { JoinTokens, rootHash } from '../../../../src/control/ca/join-token.ts';
import { makeRoot } from '../../../../src/control/ca/root-certificate.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const NOW_S = NOW_MS / 1000;
let directory = '';
let store: DirectoryStore;
let tokens: JoinTokens;
let root: X509Certificate;
let joinKey: KeyObject;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-join-'));
  store = new DirectoryStore(directory);
  tokens = await JoinTokens.open(store);
  root = new X509Certificate((await makeRoot('cluster.local', NOW_MS)).certificate);
  joinKey = createPrivateKey((await store.read()).get('join-key.pem') ?? '');
});

afterAll(async () => {
  tokens.close();
  await rm(directory, { recursive: true });
});

const grant = (ttlMs = 60_000): Parameters<JoinTokens['create']>[0] => ({
  namespace: 'shop',
  serviceAccount: 'reviews',
  ttlMs,
  roots: [root],
});

/** A token that we did not make: valid but for what a row changes. */
async function forged(change: Readonly<Record<string, unknown>>, key = joinKey, alg = 'ES256'): Promise<string> {
  const claims = { aud: 'outrigger-join', sub: 'shop/reviews', jti: 'a', iat: NOW_S, exp: NOW_S + 60, ...change };
  return await new SignJWT(claims).setProtectedHeader({ alg }).sign(key);
}

describe('a join token', () => {
  it('is good for its workload until it expires, and says which root to trust', async () => {
    const token = await tokens.create(grant(), NOW_MS);
    const verdict = await tokens.verify(token, NOW_MS + 59_000);
    expect(verdict).toEqual({
      kind: 'verified',
      namespace: 'shop',
      serviceAccount: 'reviews',
      tokenId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      expiresAtMs: NOW_MS + 60_000,
    });
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ ca: rootHash(root), aud: 'outrigger-join', sub: 'shop/reviews' });
    expect(await tokens.verify(token, NOW_MS + 60_000)).toMatchObject({ kind: 'refused', fault: 'expired' });
  });

  it('names both roots while they are rotated', async () => {
    const other = new X509Certificate((await makeRoot('cluster.local', NOW_MS)).certificate);
    const token = await tokens.create({ ...grant(), roots: [root, other] }, NOW_MS);
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ ca: [rootHash(root), rootHash(other)] });
  });

  const REFUSED: readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] = [
    ['that names no workload', { sub: 'shop' }, 'malformed'],
    ['whose workload has a third part', { sub: 'shop/reviews/x' }, 'malformed'],
    ['with upper case in its namespace', { sub: 'Shop/reviews' }, 'malformed'],
    ['without a subject', { sub: undefined }, 'malformed'],
    ['without an id', { jti: undefined }, 'malformed'],
    ['with an endless id', { jti: 'x'.repeat(65) }, 'malformed'],
    ['without an end', { exp: undefined }, 'malformed'],
    ['without a beginning', { iat: undefined }, 'malformed'],
    ['that lives longer than a day', { exp: NOW_S + 86_401 }, 'malformed'],
    ['of the future', { iat: NOW_S + 61, exp: NOW_S + 120 }, 'malformed'],
    ['that is not valid yet', { nbf: NOW_S + 10 }, 'malformed'],
    ['that has expired', { iat: NOW_S - 60, exp: NOW_S }, 'expired'],
  ];
  it.each(REFUSED)('%s is refused', async (_name, change, fault) => {
    expect(await tokens.verify(await forged(change), NOW_MS)).toMatchObject({ kind: 'refused', fault });
  });

  it('of another key, another algorithm, none, or with changed bytes is refused', async () => {
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    expect(await tokens.verify(await forged({}, stranger), NOW_MS)).toMatchObject({ fault: 'signature' });
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    expect(await tokens.verify(await forged({}, rsa, 'RS256'), NOW_MS)).toMatchObject({ fault: 'malformed' });
    const [head = '', payload = '', signature = ''] = (await tokens.create(grant(), NOW_MS)).split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(await tokens.verify(`${none}.${payload}.`, NOW_MS)).toMatchObject({ fault: 'malformed' });
    const claims = Buffer.from(payload, 'base64url').toString();
    const stolen = Buffer.from(claims.replace('shop/reviews', 'shop/admin')).toString('base64url');
    expect(await tokens.verify(`${head}.${stolen}.${signature}`, NOW_MS)).toMatchObject({ fault: 'signature' });
  });

  it.each([
    '',
    'a',
    'a.b.c',
    'e30.e30.',
    `${'x'.repeat(5000)}.e30.x`,
    `e30.${Buffer.from('{"aud":"istio-ca"}').toString('base64url')}.x`,
  ])('is not what %j is', async (text) => expect(await tokens.verify(text, NOW_MS)).toEqual({ kind: 'foreign' }));

  it.each([0, 999, 86_400_001, Number.NaN])('cannot be made for %d ms', async (ttlMs) => {
    await expect(tokens.create(grant(ttlMs), NOW_MS)).rejects.toThrow('24 hours');
  });

  it('is worth nothing once the key is another one', async () => {
    const token = await tokens.create(grant(), NOW_MS);
    await rm(join(directory, 'join-key.pem'));
    await tokens.reload();
    expect(await tokens.verify(token, NOW_MS)).toMatchObject({ fault: 'signature' });
    const before = (await store.read()).get('join-key.pem');
    expect((await stat(join(directory, 'join-key.pem'))).mode & 0o777).toBe(0o600);
    // A key that is no key changes nothing.
    const good = await tokens.create(grant(), NOW_MS);
    await writeFile(join(directory, 'join-key.pem'), 'garbage');
    await tokens.reload();
    expect(await tokens.verify(good, NOW_MS)).toMatchObject({ kind: 'verified' });
    await writeFile(join(directory, 'join-key.pem'), before ?? '');
  });
});
