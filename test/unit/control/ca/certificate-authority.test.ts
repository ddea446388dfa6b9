// The certificate authority against its contract, with openssl as the second opinion.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../../../src/base/log.ts';
import { CertificateAuthority, type Signature } from '../../../../src/control/ca/certificate-authority.ts';
import { DirectoryStore } from '../../../../src/control/ca/directory-store.ts';
import { EC_KEY, openssl, privateKey, RSA_KEY, signingRequest } from '../../../support/openssl.ts';

const ID = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews' };
const URI = 'spiffe://cluster.local/ns/shop/sa/reviews';
const lines: string[] = [];
const log = createLog('test', 'info', (line) => lines.push(line));

let directory = '';
let authority: CertificateAuthority;

async function openAt(place: string, wallMs: () => number = Date.now): Promise<CertificateAuthority> {
  const clock = { now: () => performance.now(), wall: wallMs };
  const store = new DirectoryStore(place);
  const opened = await CertificateAuthority.open({ store, log, trustDomain: 'cluster.local', clock });
  if (opened.kind === 'refused') throw new Error(JSON.stringify(opened.problems));
  return opened.authority;
}

function chainOf(signature: Signature): readonly string[] {
  if (signature.kind === 'refused') throw new Error(signature.reason);
  return signature.chainPem;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-ca-'));
  authority = await openAt(directory);
});

afterAll(async () => {
  await authority.close();
  await rm(directory, { recursive: true });
});

describe('a signed certificate', () => {
  const kinds = [
    { name: 'EC P-256', key: EC_KEY, usage: 'Digital Signature' },
    { name: 'EC P-384', key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], usage: 'Digital Signature' },
    { name: 'RSA 2048', key: RSA_KEY, usage: 'Digital Signature, Key Encipherment' },
  ];
  it.each(kinds)('is what a workload needs and openssl verifies, for a key $name', async ({ key, usage }) => {
    const chain = chainOf(await authority.sign(signingRequest(privateKey(key), [`URI:${URI}`]), ID, 0));
    const [leaf = ''] = chain;
    const roots = authority.trustBundlePem.join('');
    for (const purpose of ['sslserver', 'sslclient'])
      expect(
        openssl(['verify', '-x509_strict', '-purpose', purpose, '-CAfile', '$roots', '$leaf'], { roots, leaf }),
      ).toContain(': OK');
    const text = openssl(['x509', '-in', '$leaf', '-noout', '-text'], { leaf });
    expect(text).toMatch(/Subject: *\n/);
    expect(text).toMatch(
      /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/reviews\n/,
    );
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(new RegExp(`X509v3 Key Usage: critical\\s+${usage}\\n`));
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(chain).toHaveLength(1);
  });
});
