// What a certificate authority signs with, read from its files and checked as a whole: the key fits the
// certificate, the certificate may sign, it leads to a trusted root, and nothing on the way has expired. Problems
// name the file and what to write; a key's text is never part of one.
import type { KeyObject } from 'node:crypto';
import { error, refuses, warning, type Problem } from '../../base/problem.ts';
import { parseCertificates, type Certificate } from '../../tls/certificate.ts';
import { CHAIN, ROOTS, SIGNER_CERTIFICATE, SIGNER_KEY, type AuthorityFiles } from './authority-files.ts';
import { algorithmOf, readPrivateKey, type SigningAlgorithm } from './signing-key.ts';

export interface AuthorityMaterial {
  readonly signer: Certificate;
  readonly key: KeyObject;
  readonly algorithm: SigningAlgorithm;
  /** What peers need between a leaf and a root, in PEM: empty when the signer is a root. */
  readonly intermediates: readonly Certificate[];
  /** Every root that is trusted; the signer's own first. */
  readonly roots: readonly Certificate[];
  /** When the first of the signer, its intermediates and its root ends. */
  readonly notAfterMs: number;
  readonly isSelfSigned: boolean;
}

const ROOTS_MAX = 32;
const CHAIN_MAX = 10;

/** Null after adding a Problem of severity error. */
export function readMaterial(files: AuthorityFiles, nowMs: number, problems: Problem[]): AuthorityMaterial | null {
  const found: Problem[] = [];
  const material = read(files, nowMs, found);
  problems.push(...found);
  return refuses(found) ? null : material;
}

function read(files: AuthorityFiles, nowMs: number, problems: Problem[]): AuthorityMaterial | null {
  const [signer] = certificates(files, SIGNER_CERTIFICATE, problems);
  const roots = certificates(files, ROOTS, problems);
  const chain = files.has(CHAIN) && files.get(CHAIN)?.trim() !== '' ? certificates(files, CHAIN, problems) : [];
  const key = readPrivateKey(files.get(SIGNER_KEY) ?? '');
  if (!files.has(SIGNER_KEY)) problems.push(error(SIGNER_KEY, 'is missing', 'put it beside the certificates'));
  else if (typeof key === 'string') problems.push(error(SIGNER_KEY, key));
  if (roots.length > ROOTS_MAX) problems.push(error(ROOTS, `holds more than ${ROOTS_MAX} certificates`));
  if (signer === undefined || typeof key === 'string' || refuses(problems)) return null;
  const algorithm = algorithmOf(key);
  if (typeof algorithm === 'string') {
    problems.push(error(SIGNER_KEY, algorithm));
    return null;
  }
  if (!signer.x509.checkPrivateKey(key))
    problems.push(error(SIGNER_KEY, `is not the key of ${SIGNER_CERTIFICATE}`, 'write the two that belong together'));
  const path = pathToRoot(signer, chain, roots);
  if (typeof path === 'string') {
    problems.push(error(CHAIN, path, `write what leads from ${SIGNER_CERTIFICATE} to a certificate of ${ROOTS}`));
    return null;
  }
  for (const [index, certificate] of path.entries())
    checkAuthority(certificate, { file: fileOf(index, path.length), below: index, nowMs, problems });
  const root = path[path.length - 1] ?? signer;
  for (const other of roots)
    if (other !== root && nowMs >= other.notAfterMs)
      problems.push(warning(ROOTS, `holds a root that expired on ${dateOf(other.notAfterMs)}`, 'take it out'));
  const isSelfSigned = path.length === 1;
  return {
    signer,
    key,
    algorithm,
    intermediates: path.slice(0, -1),
    roots: [root, ...roots.filter((other) => other.fingerprint256 !== root.fingerprint256)],
    notAfterMs: Math.min(...path.map(({ notAfterMs }) => notAfterMs)),
    isSelfSigned,
  };
}

function certificates(files: AuthorityFiles, name: string, problems: Problem[]): readonly Certificate[] {
  const text = files.get(name);
  if (text === undefined) {
    problems.push(error(name, 'is missing', 'the files are those of the Secret `cacerts` in Istio'));
    return [];
  }
  const read = parseCertificates(text);
  if (typeof read !== 'string') return read;
  problems.push(error(name, read));
  return [];
}

/** The signer first, its root last; a self-signed signer is its own root. Or what is missing. */
function pathToRoot(
  signer: Certificate,
  chain: readonly Certificate[],
  roots: readonly Certificate[],
): readonly Certificate[] | string {
  const path = [signer];
  for (let current = signer; path.length <= CHAIN_MAX;) {
    const trusted = roots.find(({ fingerprint256 }) => fingerprint256 === current.fingerprint256);
    if (trusted !== undefined) return [...path.slice(0, -1), trusted];
    const issued = (above: Certificate): boolean =>
      current.x509.checkIssued(above.x509) && current.x509.verify(above.x509.publicKey);
    const next = roots.find(issued) ?? chain.find((above) => !path.includes(above) && issued(above));
    if (next === undefined) return `does not lead from "${current.subject}" to a trusted root`;
    path.push(next);
    current = next;
  }
  return `is longer than ${CHAIN_MAX} certificates`;
}

interface Place {
  readonly file: string;
  /** How many authorities stand below this one. */
  readonly below: number;
  readonly nowMs: number;
  readonly problems: Problem[];
}

function checkAuthority(certificate: Certificate, { file, nowMs, problems }: Place): void {
  const { x509, subject, notBeforeMs, notAfterMs } = certificate;
  if (!x509.ca)
    problems.push(error(file, `"${subject}" may not sign certificates`, 'it takes basicConstraints CA:TRUE'));
  if (nowMs >= notAfterMs)
    problems.push(error(file, `"${subject}" expired on ${dateOf(notAfterMs)}`, 'write one that is valid'));
  if (nowMs < notBeforeMs)
    problems.push(error(file, `"${subject}" is not valid before ${dateOf(notBeforeMs)}`, "check this machine's clock"));
}

function fileOf(index: number, length: number): string {
  if (index === 0) return SIGNER_CERTIFICATE;
  return index === length - 1 ? ROOTS : CHAIN;
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
