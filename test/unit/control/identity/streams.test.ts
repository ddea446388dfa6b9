// What long-lived streams are worth when what let them in ends: the roots change, a certificate or a token expires. And
// what happens to connections when the control service itself gets another certificate: nothing.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeRoot } from '../../../../src/control/ca/root-certificate.ts';
import { signingRequest } from '../../../../src/tls/csr.ts';
import { SECRET_TYPE } from '../../../../src/xds/type-url.ts';
import { forged } from './forged-certificate.ts';
import { newKey, SecureControl, type NodeClaim } from './secure-control.ts';

const NODE: NodeClaim = { id: 'sidecar~10.0.0.1~a.shop~x', metadata: { NAMESPACE: 'shop' } };
const ROOTS = { type: SECRET_TYPE, names: ['ROOTCA'] };
const GONE = 'the credentials of this stream are good no more: call again';

let control: SecureControl;
beforeEach(async () => {
  control = await SecureControl.start();
});
afterEach(async () => await control.stop());

/** Another root in the place of the one that is there; `keepsOld`: both are trusted. */
async function replaceRoot(keepsOld: boolean): Promise<void> {
  const { certificate, key } = await makeRoot('cluster.local', Date.now());
  await control.store.update((files) => {
    const old = keepsOld ? (files.get('root-cert.pem') ?? '') : '';
    const next = { 'ca-cert.pem': certificate, 'ca-key.pem': key, 'root-cert.pem': `${certificate}${old}` };
    return Promise.resolve(new Map([...files, ...Object.entries(next)]));
  });
}

describe('a stream that a certificate let in', () => {
  test('ends when the roots no longer vouch for it, and one that a token let in goes on', async () => {
    const token = await control.token('shop/reviews');
    const certificate = await control.certificate({ token });
    const byCertificate = await control.join({ certificate }, NODE);
    const byToken = await control.join({ token }, NODE, ROOTS);
    const next = byToken.next();
    await replaceRoot(false);
    expect(await byCertificate.ended).toEqual({ status: 'UNAUTHENTICATED', details: GONE });
    expect((await next).resources.map(({ name }) => name)).toEqual(['ROOTCA']);
    const again = await control.join({ token }, NODE);
    expect(again.response?.resources.length).toBe(1);
    for (const { close } of [byToken, again]) close();
  });

  test('stays when a root is added, and is told of it', async () => {
    const certificate = await control.certificate({ token: await control.token('shop/reviews') });
    const joined = await control.join({ certificate }, NODE, ROOTS);
    const told = joined.next();
    await replaceRoot(true);
    const [roots] = (await told).resources;
    expect(
      Buffer.from(roots?.resource?.value ?? [])
        .toString()
        .match(/BEGIN CERTIFICATE/g)?.length,
    ).toBe(2);
    joined.close();
    expect((await control.sign({ certificate }, signingRequest(newKey(), ''))).status).toBe('OK');
  });

  test('ends when the certificate does', async () => {
    const untilMs = Math.ceil(Date.now() / 1000) * 1000 + 1000;
    const certificate = await forged({ by: await control.authority(), untilMs });
    const joined = await control.join({ certificate }, NODE);
    expect(joined.response?.resources.length).toBe(1);
    expect(await joined.ended).toEqual({ status: 'UNAUTHENTICATED', details: GONE });
    expect(Date.now()).toBeGreaterThanOrEqual(untilMs);
    expect(await control.refused('xds')).toEqual({ certificate_expired: 1 });
  });
});

test('a stream that a token let in ends when the token does', async () => {
  const joined = await control.join({ token: await control.token('shop/reviews', 2000) }, NODE);
  expect(joined.response?.resources.length).toBe(1);
  expect(await joined.ended).toEqual({ status: 'UNAUTHENTICATED', details: GONE });
  expect(await control.refused('xds')).toEqual({ token_expired: 1 });
});

describe('a plaintext client of a mesh with identities', () => {
  test('is told what anybody may know, and is registered nowhere', async () => {
    const metadata = { NAMESPACE: 'shop', OUTRIGGER: { service: 'fake', apps: [{ port: 80, inboundPort: 15_006 }] } };
    const joined = await control.joinInPlaintext({ id: 'sidecar~10.0.0.6~fake.shop~x', metadata });
    expect(joined.response?.resources.length).toBeGreaterThan(0);
    expect(control.service.snapshot.workloads).toEqual([]);
    joined.close();
  });

  test('gets no secrets, not even the roots, and whoever asks is noted', async () => {
    const joined = await control.joinInPlaintext(NODE, ROOTS);
    expect(joined.response?.resources).toEqual([]);
    expect(await control.refused('xds')).toEqual({ secret_identity: 1 });
    joined.close();
  });
});
