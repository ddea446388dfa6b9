// The certificates of the mTLS case: one authority, and one P-256 certificate that both ends of every
// connection show. Made anew by openssl for each run of the benchmark, good for a day.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface BenchCertificates {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const;

/** The name in the certificate. */
export const BENCH_HOST = 'bench.test';

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}

export function makeCertificates(folder: string): BenchCertificates {
  mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const authority = at('authority.pem');
  openssl(
    'req',
    '-x509',
    ...NEW_KEY,
    '-keyout',
    at('authority.key'),
    '-out',
    authority,
    '-subj',
    '/CN=bench authority',
    '-days',
    '1',
  );
  openssl('req', ...NEW_KEY, '-keyout', at('key.pem'), '-out', at('request.pem'), '-subj', `/CN=${BENCH_HOST}`);
  writeFileSync(at('extensions'), `subjectAltName=DNS:${BENCH_HOST},URI:spiffe://bench.test/ns/a/sa/a\n`);
  openssl(
    'x509',
    '-req',
    '-in',
    at('request.pem'),
    '-CA',
    authority,
    '-CAkey',
    at('authority.key'),
    '-CAcreateserial',
    '-out',
    at('certificate.pem'),
    '-days',
    '1',
    '-extfile',
    at('extensions'),
  );
  return { authority, certificate: at('certificate.pem'), key: at('key.pem') };
}
