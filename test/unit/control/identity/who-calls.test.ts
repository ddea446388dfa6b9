// Who gets in at the TLS port, and who does not: real certificates and tokens over real sockets. Every refusal has a
// status for the caller, a reason in a log line, and a count.
import { createHmac, createPublicKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alternativeNamesOf } from '../../../../src/tls/alternative-names.ts';
import { signingRequest } from '../../../../src/tls/csr.ts';
import { forged, SIGNS_CERTIFICATES, SIGNS_REVOCATIONS, type Forgery, type Pair } from './forged-certificate.ts';
import { newKey, SecureControl, type NodeClaim, type Shown } from './secure-control.ts';

const ID = 'sidecar~10.0.0.1~reviews-v1.shop~shop.svc.cluster.local';
const REVIEWS: NodeClaim = { id: ID, metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'reviews' } };
const HOUR_MS = 3_600_000;

let control: SecureControl;
beforeAll(async () => {
  control = await SecureControl.start();
});
afterAll(async () => await control.stop());

/** What changed in the counters of refusals, and the lines about it. */
async function refusalsOf(
  refuser: 'xds' | 'ca',
  act: () => Promise<unknown>,
): Promise<{ readonly counted: readonly string[]; readonly logged: readonly string[] }> {
  const before = await control.refused(refuser);
  const linesBefore = control.lines.length;
  await act();
  const after = await control.refused(refuser);
  const counted = Object.keys(after).filter((reason) => after[reason] !== before[reason]);
  const message = refuser === 'ca' ? 'certificate refused' : 'caller refused';
  const logged = control.lines
    .slice(linesBefore)
    .map((line): unknown => JSON.parse(line))
    .filter((line): line is { message: string; reason: string } => typeof line === 'object' && line !== null)
    .filter((line) => line.message === message)
    .map((line) => line.reason);
  return { counted, logged };
}

async function expectRefused(shown: Shown, { node = REVIEWS, status, reason }: Expected): Promise<void> {
  let answer = '';
  const noted = await refusalsOf('xds', async () => {
    const { response, ended } = await control.join(shown, node);
    expect(response?.resources.map(({ name }) => name)).toBe(undefined);
    answer = (await ended).status;
  });
  expect({ answer, ...noted }).toEqual({ answer: status, counted: [reason], logged: [reason] });
}

interface Expected {
  readonly node?: NodeClaim;
  readonly status: string;
  readonly reason: string;
}

describe('a workload that is let in', () => {
  test('joins with a token, gets its certificate, and joins with that', async () => {
    const token = await control.token('shop/reviews');
    const signed = await control.sign({ token }, signingRequest(newKey(), 'spiffe://cluster.local/ns/shop/sa/reviews'));
    expect({ status: signed.status, details: signed.details }).toEqual({ status: 'OK', details: '' });
    const names = signed.chain.slice(0, -1).map((pem) => alternativeNamesOf(new X509Certificate(pem)).uri);
    expect(names).toEqual([['spiffe://cluster.local/ns/shop/sa/reviews']]);
    const shown: Shown[] = [{ token }, { certificate: await control.certificate({ token }) }];
    for (const each of shown) {
      const { response, close } = await control.join(each, REVIEWS);
      expect(response?.resources.map(({ name }) => name)).toEqual(['virtualOutbound']);
      close();
    }
  });

  test('renews by its certificate when its token has long expired', async () => {
    const certificate = await control.certificate({ token: await control.token('shop/reviews') });
    const signed = await control.sign({ certificate }, signingRequest(newKey(), 'urn:whoever'), 60);
    const [leaf = ''] = signed.chain;
    const { validToDate } = new X509Certificate(leaf);
    expect(signed.status).toBe('OK');
    expect(validToDate.getTime() - Date.now()).toBeLessThanOrEqual(60_000);
    expect(validToDate.getTime() - Date.now()).toBeGreaterThan(50_000);
  });

  test('gets the last word of the chain as every root, which is how agents of Istio read it', async () => {
    const token = await control.token('shop/reviews');
    const { chain } = await control.sign({ token }, signingRequest(newKey(), ''));
    expect(chain.at(-1)).toBe(await readFile(join(control.folder, '.ca', 'root-cert.pem'), 'utf8'));
  });

  test('is given at most a day, whatever it asks for', async () => {
    const token = await control.token('shop/reviews');
    const { chain } = await control.sign({ token }, signingRequest(newKey(), ''), 10 ** 9);
    const lifetimeMs = new X509Certificate(chain[0] ?? '').validToDate.getTime() - Date.now();
    expect(Math.round(lifetimeMs / HOUR_MS)).toBe(24);
  });

  test('with a bad certificate and a good token is who the token says', async () => {
    const certificate = await forged({ uris: ['spiffe://cluster.local/ns/shop/sa/admin'] });
    const { response, close } = await control.join(
      { certificate, token: await control.token('shop/reviews') },
      REVIEWS,
    );
    expect(response?.resources.length).toBe(1);
    close();
  });
});

const CERTIFICATES: readonly (readonly [string, string, Forgery, 'ours' | 'stranger' | 'workload'])[] = [
  ['of another trust domain', 'trust_domain', { uris: ['spiffe://evil.test/ns/shop/sa/reviews'] }, 'ours'],
  ['of another authority', 'certificate_untrusted', {}, 'stranger'],
  ['signed by the certificate of a workload', 'certificate_untrusted', {}, 'workload'],
  ['that has expired', 'certificate_expired', { untilMs: Date.now() - 1000 }, 'ours'],
  ['that is not yet valid', 'certificate_untrusted', { fromMs: Date.now() + HOUR_MS / 2 }, 'ours'],
  ['that is an authority itself', 'certificate_unfit', { isAuthority: true }, 'ours'],
  ['whose key may sign certificates', 'certificate_unfit', { usage: SIGNS_CERTIFICATES }, 'ours'],
  ['whose key may sign revocations', 'certificate_unfit', { usage: SIGNS_REVOCATIONS }, 'ours'],
  ['that does not say what it is for', 'certificate_unfit', { usage: null }, 'ours'],
  ['for servers', 'certificate_untrusted', { isForClients: false }, 'ours'],
  ['without a name', 'certificate_identity', { uris: [] }, 'ours'],
  [
    'with two names',
    'certificate_identity',
    { uris: ['spiffe://cluster.local/ns/shop/sa/reviews', 'spiffe://cluster.local/ns/shop/sa/admin'] },
    'ours',
  ],
  [
    'with a path that is no workload',
    'certificate_identity',
    { uris: ['spiffe://cluster.local/shop/reviews'] },
    'ours',
  ],
  [
    'with a NUL in its name',
    'certificate_identity',
    { uris: ['spiffe://cluster.local/ns/shop/sa/reviews\0.evil'] },
    'ours',
  ],
  [
    'with upper case in its name',
    'certificate_identity',
    { uris: ['spiffe://CLUSTER.local/ns/shop/sa/reviews'] },
    'ours',
  ],
];

describe('a client certificate', () => {
  test.each(CERTIFICATES)('%s is refused: %s', async (_, reason, forgery, signer) => {
    const by: Record<string, Pair> = {
      ours: await control.authority(),
      stranger: await forged({ isAuthority: true, usage: SIGNS_CERTIFICATES, uris: [] }),
      workload: await control.certificate({ token: await control.token('shop/reviews') }),
    };
    const certificate = await forged({ ...forgery, ...(by[signer] === undefined ? {} : { by: by[signer] }) });
    await expectRefused({ certificate }, { status: 'UNAUTHENTICATED', reason });
  });
});

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = (over: object = {}): object => {
  const nowS = Math.floor(Date.now() / 1000);
  return { aud: 'outrigger-join', sub: 'shop/reviews', iat: nowS, exp: nowS + 3600, jti: 'x', ...over };
};

const TOKENS: readonly (readonly [string, string, () => Promise<string>])[] = [
  ['that has expired', 'token_expired', async () => await control.token('shop/reviews', 60_000, Date.now() - 61_000)],
  [
    'for another audience',
    'token_audience',
    () => Promise.resolve(`${encode({ alg: 'ES256' })}.${encode(claims({ aud: 'else' }))}.AA`),
  ],
  [
    'that is not signed (alg none)',
    'token_malformed',
    () => Promise.resolve(`${encode({ alg: 'none' })}.${encode(claims())}.`),
  ],
  [
    'signed with HS256 by the public key',
    'token_malformed',
    async () => {
      const pem = await readFile(join(control.folder, '.ca', 'join-key.pem'), 'utf8');
      const secret = createPublicKey(pem).export({ type: 'spki', format: 'pem' });
      const body = `${encode({ alg: 'HS256' })}.${encode(claims())}`;
      return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
    },
  ],
  [
    'whose subject was changed',
    'token_signature',
    async () => {
      const [head = '', , signature = ''] = (await control.token('shop/reviews')).split('.');
      return `${head}.${encode(claims({ sub: 'shop/admin' }))}.${signature}`;
    },
  ],
  ['that is no token', 'token_malformed', () => Promise.resolve('hunter2')],
  ['that is far too long', 'token_malformed', () => Promise.resolve(`${'a'.repeat(17_000)}.b.c`)],
];

describe('a token', () => {
  test.each(TOKENS)('%s is refused: %s', async (_, reason, make) => {
    await expectRefused({ token: await make() }, { status: 'UNAUTHENTICATED', reason });
  });
});

test('nobody gets in with nothing', async () => {
  await expectRefused({}, { status: 'UNAUTHENTICATED', reason: 'no_credentials' });
});

const CLAIMS: readonly (readonly [string, string, NodeClaim])[] = [
  ['a namespace in its metadata', 'namespace', { id: ID, metadata: { NAMESPACE: 'bank' } }],
  ['a namespace in its id', 'namespace', { id: ID.replace('.shop~', '.bank~'), metadata: {} }],
  ['a service account', 'service_account', { id: ID, metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'admin' } }],
];

describe('a node that says it is somebody else', () => {
  test.each(CLAIMS)('by %s is refused: %s', async (_, reason, node) => {
    const token = await control.token('shop/reviews');
    const shown: Shown[] = [{ token }, { certificate: await control.certificate({ token }) }];
    for (const each of shown) await expectRefused(each, { node, status: 'PERMISSION_DENIED', reason });
  });

  test('by saying nothing is of the namespace that it has proved', async () => {
    const token = await control.token('bank/teller');
    const metadata = { OUTRIGGER: { service: 'teller', apps: [{ port: 80, inboundPort: 15_006 }] } };
    const { close } = await control.join({ token }, { id: 'sidecar~10.0.0.9~teller~x', metadata });
    const { namespace } = control.service.snapshot.workloads.find(({ service }) => service === 'teller') ?? {};
    expect(namespace).toBe('bank');
    close();
  });
});

interface Asking {
  readonly what: string;
  readonly status: string;
  readonly reason: string;
  readonly csr: () => string;
  readonly metadata?: JsonObject;
}

const REQUESTS: readonly Asking[] = [
  {
    what: 'in the name of another workload',
    status: 'PERMISSION_DENIED',
    reason: 'csr_identity',
    csr: () => signingRequest(newKey(), 'spiffe://cluster.local/ns/shop/sa/admin'),
  },
  {
    what: 'for the same account of another trust domain',
    status: 'PERMISSION_DENIED',
    reason: 'csr_identity',
    csr: () => signingRequest(newKey(), 'spiffe://evil.test/ns/shop/sa/reviews'),
  },
  {
    what: 'as a node agent would for its pods',
    status: 'PERMISSION_DENIED',
    reason: 'csr_identity',
    csr: () => signingRequest(newKey(), ''),
    metadata: { ImpersonatedIdentity: 'spiffe://cluster.local/ns/shop/sa/admin' },
  },
  { what: 'that is no request', status: 'INVALID_ARGUMENT', reason: 'csr', csr: () => 'hello' },
  {
    what: 'that was altered',
    status: 'INVALID_ARGUMENT',
    reason: 'csr',
    csr: () => signingRequest(newKey(), 'urn:a').replace(/(.{8})\n-----END/, 'AAAAAAAA\n-----END'),
  },
];

describe('a certificate', () => {
  test.each(REQUESTS)('asked for $what is refused: $reason', async ({ status, reason, csr, metadata }) => {
    const token = await control.token('shop/reviews');
    let answer = '';
    const noted = await refusalsOf('ca', async () => {
      const signed = await control.sign({ token }, csr(), 0, metadata);
      expect(signed.chain).toEqual([]);
      answer = signed.status;
    });
    expect({ answer, ...noted }).toEqual({ answer: status, counted: [reason], logged: [reason] });
  });

  test('is not signed for who shows nothing', async () => {
    let answer = '';
    const noted = await refusalsOf('ca', async () => {
      answer = (await control.sign({}, signingRequest(newKey(), ''))).status;
    });
    expect({ answer, ...noted }).toEqual({
      answer: 'UNAUTHENTICATED',
      counted: ['no_credentials'],
      logged: ['no_credentials'],
    });
  });

  test('is signed for one caller so often and no more, and for others all the same', async () => {
    const token = await control.token('shop/greedy');
    const csr = signingRequest(newKey(), '');
    const asked = await Promise.all(Array.from({ length: 60 }, async () => await control.sign({ token }, csr)));
    const statuses = new Set(asked.map(({ status }) => status));
    expect(statuses).toEqual(new Set(['OK', 'RESOURCE_EXHAUSTED']));
    expect((await control.sign({ token: await control.token('shop/modest') }, csr)).status).toBe('OK');
  });
});
