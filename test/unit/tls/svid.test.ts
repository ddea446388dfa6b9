// Which certificates name a workload, and which that OpenSSL would let pass do not.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { svidFault } from '../../../src/tls/svid.ts';

const ID = 'URI:spiffe://cluster.local/ns/shop/sa/cart';
const LEAF = 'basicConstraints=critical,CA:FALSE';
const SIGNS = 'keyUsage=critical,digitalSignature';

const CASES: readonly (readonly [title: string, extensions: readonly string[], fault: string, strict?: string])[] = [
  ['a leaf with one SPIFFE id', [`subjectAltName=critical,${ID}`, LEAF, SIGNS], ''],
  ['DNS names beside it', [`subjectAltName=${ID},DNS:cart.example`, LEAF, SIGNS], ''],
  ['no key usage', [`subjectAltName=${ID}`, LEAF], '', 'SPIFFE certificate does not say what its key is for'],
  [
    'a key that may not sign',
    [`subjectAltName=${ID}`, LEAF, 'keyUsage=keyAgreement'],
    '',
    'SPIFFE certificate has a key that may not sign',
  ],
  [
    'a key usage that is none',
    [`subjectAltName=${ID}`, LEAF, '2.5.29.15=DER:040106'],
    'SPIFFE certificate has a malformed key usage',
  ],
  [
    'constraints that cannot be read',
    [`subjectAltName=${ID}`, '2.5.29.19=DER:0401ff', SIGNS],
    'SPIFFE certificate is an authority',
  ],
  [
    'an authority whose key may not sign certificates',
    [`subjectAltName=${ID}`, 'basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature'],
    'SPIFFE certificate is an authority',
  ],
  ['two ids', [`subjectAltName=${ID},${ID}2`, LEAF, SIGNS], 'SPIFFE certificate has 2 URI names'],
  [
    'another URI beside it',
    [`subjectAltName=${ID},URI:https://a.example`, LEAF, SIGNS],
    'SPIFFE certificate has 2 URI names',
  ],
  ['no URI', ['subjectAltName=DNS:cart.example', LEAF, SIGNS], 'SPIFFE certificate has 0 URI names'],
  [
    'a URI of another scheme',
    ['subjectAltName=URI:https://a.example', LEAF, SIGNS],
    'SPIFFE certificate has no SPIFFE id',
  ],
  [
    'an authority',
    [`subjectAltName=${ID}`, 'basicConstraints=critical,CA:TRUE', SIGNS],
    'SPIFFE certificate is an authority',
  ],
  [
    'a key for certificates',
    [`subjectAltName=${ID}`, LEAF, 'keyUsage=digitalSignature,keyCertSign'],
    'SPIFFE certificate may sign others',
  ],
  [
    'a key for revocation lists',
    [`subjectAltName=${ID}`, LEAF, 'keyUsage=digitalSignature,cRLSign'],
    'SPIFFE certificate may sign others',
  ],
];

const RUNS = CASES.map(([title, extensions, fault, strict = fault]) => ({ title, extensions, fault, strict }));

test.each(RUNS)('a certificate with $title', ({ extensions, fault, strict }) => {
  const options = extensions.flatMap((extension) => ['-addext', extension]);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', '/dev/null', '-noenc'];
  const args = ['req', '-x509', '-subj', '/CN=x', '-days', '1', '-config', '/dev/null', ...key, ...options];
  const pem = execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const leaf = new X509Certificate(pem);
  expect([svidFault(leaf, false)?.details ?? '', svidFault(leaf, true)?.details ?? '']).toEqual([fault, strict]);
});
