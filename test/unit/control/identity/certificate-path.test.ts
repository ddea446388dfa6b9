// Where a certificate leads, by the roots of now: what lies between, who may stand there, and what time does to it.
import { X509Certificate } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { pathFault, rootsOf } from '../../../../src/control/authentication/certificate-path.ts';
import { forged, SIGNS_CERTIFICATES, type Pair } from './forged-certificate.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.now();
const AUTHORITY = { isAuthority: true, usage: SIGNS_CERTIFICATES, uris: [] };

const made = new Map<string, Pair>();
beforeAll(async () => {
  const root = await forged({ ...AUTHORITY, untilMs: NOW_MS + 3 * HOUR_MS });
  const middle = await forged({ ...AUTHORITY, by: root, untilMs: NOW_MS + 2 * HOUR_MS });
  const leaf = await forged({ by: middle });
  made.set('root', root).set('middle', middle).set('leaf', leaf);
  made.set('direct', await forged({ by: root, untilMs: NOW_MS + 9 * HOUR_MS }));
  made.set('lasting', await forged({ by: middle, untilMs: NOW_MS + 9 * HOUR_MS }));
  made.set('below a leaf', await forged({ by: leaf }));
  made.set('stranger', await forged(AUTHORITY));
  made.set('self-signed', await forged({}));
});

const certificate = (name: string): X509Certificate => new X509Certificate(made.get(name)?.chainPem ?? '');

interface Path {
  readonly leaf: string;
  readonly others: readonly string[];
  readonly roots: readonly string[];
  readonly hours: number;
  readonly fault: string;
}

const CASES: readonly Path[] = [
  { leaf: 'direct', others: [], roots: ['root'], hours: 0, fault: '' },
  { leaf: 'direct', others: [], roots: ['stranger', 'root'], hours: 0, fault: '' },
  { leaf: 'direct', others: [], roots: ['stranger'], hours: 0, fault: 'untrusted' },
  { leaf: 'direct', others: ['root'], roots: ['stranger'], hours: 0, fault: 'untrusted' },
  { leaf: 'direct', others: [], roots: [], hours: 0, fault: 'untrusted' },
  { leaf: 'leaf', others: ['middle'], roots: ['root'], hours: 0, fault: '' },
  { leaf: 'leaf', others: ['root', 'middle'], roots: ['root'], hours: 0, fault: '' },
  { leaf: 'leaf', others: [], roots: ['root'], hours: 0, fault: 'untrusted' },
  { leaf: 'leaf', others: [], roots: ['middle'], hours: 0, fault: '' },
  { leaf: 'below a leaf', others: ['leaf', 'middle'], roots: ['root'], hours: 0, fault: 'untrusted' },
  { leaf: 'self-signed', others: ['self-signed'], roots: ['root'], hours: 0, fault: 'untrusted' },
  { leaf: 'leaf', others: ['middle'], roots: ['root'], hours: 2, fault: 'expired' },
  { leaf: 'leaf', others: ['middle'], roots: ['root'], hours: -2, fault: 'expired' },
  { leaf: 'lasting', others: ['middle'], roots: ['root'], hours: 2.5, fault: 'expired' },
  { leaf: 'direct', others: [], roots: ['root'], hours: 4, fault: 'untrusted' },
];

test.each(CASES)(
  '$leaf by way of $others to $roots in $hours hours: "$fault"',
  ({ leaf, others, roots, hours, fault }) => {
    const bundle = roots.map((name) => certificate(name).toString()).join('');
    const path = others.map((name) => certificate(name));
    expect(pathFault(certificate(leaf), path, rootsOf(bundle), NOW_MS + hours * HOUR_MS)).toBe(fault);
  },
);

test('a bundle that cannot be read trusts nobody', () => {
  expect(rootsOf('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')).toEqual([]);
});
