// The openssl program for tests: a second opinion on certificates, and requests that are not of our own making.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs openssl with `$NAME` in the arguments standing for files with these contents; returns standard output. */
export function openssl(args: readonly string[], files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-openssl-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const given = args.map((arg) => arg.replaceAll('$', `${folder}/`));
    return execFileSync('openssl', given, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A private key by `openssl genpkey`: `['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']`. */
export function privateKey(args: readonly string[]): string {
  return openssl(['genpkey', ...args]);
}

export const EC_KEY = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
export const RSA_KEY = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'];

/** A signing request in PEM; `names` are subject alternative names as openssl writes them, `URI:…`. */
export function signingRequest(key: string, names: readonly string[] = [], args: readonly string[] = []): string {
  const extension = names.length === 0 ? [] : ['-addext', `subjectAltName=${names.join(',')}`];
  return openssl(['req', '-new', '-key', '$key', '-subj', '/CN=anyone', ...extension, ...args], { key });
}
