// Which certificates name a workload, and which that OpenSSL would let pass do not.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { svidFault } from '../../../src/tls/svid.ts';

const ID = 'URI:spiffe://cluster.local/ns/shop/sa/cart';
const LEAF = 'basicConstraints=critical,CA:FALSE';
const SIGNS = 'keyUsage=critical,digitalSignature';

const CASES: readonly (readonly [title: string, extensions: readonly string[], fault: string])[] = [
  ['a leaf with one SPIFFE id', [`subjectAltName=critical,${ID}`, LEAF, SIGNS], ''],
  ['DNS names beside it', [`subjectAltName=${ID},DNS:cart.example`, LEAF, SIGNS], ''],
  ['no key usage', [`subjectAltName=${ID}`, LEAF], ''],
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

test.each(CASES)('a certificate with %s', (_title, extensions, fault) => {
  const options = extensions.flatMap((extension) => ['-addext', extension]);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', '/dev/null', '-noenc'];
  const args = ['req', '-x509', '-subj', '/CN=x', '-days', '1', '-config', '/dev/null', ...key, ...options];
  const pem = execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  expect(svidFault(new X509Certificate(pem))).toBe(fault);
});
