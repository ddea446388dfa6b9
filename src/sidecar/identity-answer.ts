// Judges what the certificate authority answered, before any of it is used: the certificate is for our key, names our
// workload and nobody else, is no authority itself, and leads to a root that came with it. In doubt it is refused.
// Source: Istio's ca.proto (the chain begins with the leaf, and its last element are the roots), X509-SVID section 5.
import type { KeyObject } from 'node:crypto';
import { parseCertificates, type Certificate } from '../tls/certificate.ts';
import { readSpiffeId, type WorkloadId } from '../tls/spiffe-id.ts';
import { svidFault } from '../tls/svid.ts';

/** Who the certificate must be for. */
export interface Expected {
  /** Empty: any, and the authority decides. */
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface Issued {
  readonly id: WorkloadId;
  /** The whole SPIFFE id. */
  readonly uri: string;
  readonly leaf: Certificate;
  /** PEM: the leaf, then its intermediates. */
  readonly chainPem: string;
  /** PEM of every root; never empty. */
  readonly rootsPem: string;
}

export interface AnswerOptions {
  readonly key: KeyObject;
  readonly expected: Expected;
  /** PEM of the roots known so far; used when the answer brings none, empty for none. */
  readonly knownRootsPem: string;
}

const CERTIFICATES_MAX = 64;

/** The certificate, or why it is refused. */
export function judgeAnswer(chain: readonly string[], options: AnswerOptions): Issued | string {
  const elements: (readonly Certificate[])[] = [];
  let count = 0;
  for (const [index, text] of chain.entries()) {
    const certificates = parseCertificates(text);
    if (typeof certificates === 'string') return `element ${index} of the chain ${certificates}`;
    count += certificates.length;
    if (count > CERTIFICATES_MAX) return `the chain has more than ${CERTIFICATES_MAX} certificates`;
    elements.push(certificates);
  }
  const last = elements.at(-1) ?? [];
  const bringsRoots = elements.length > 1 && last.every(isRoot);
  const sent = (bringsRoots ? elements.slice(0, -1) : elements).flat();
  const roots = bringsRoots ? last : readRoots(options.knownRootsPem);
  const [leaf, ...intermediates] = sent;
  if (leaf === undefined) return 'the chain holds no certificate';
  if (roots.length === 0) return 'the chain does not end with a root, and none is known';
  const id = judgeLeaf(leaf, options);
  if (typeof id === 'string') return id;
  if (!leadsTo(leaf, intermediates, roots)) return 'the chain does not lead to a trusted root';
  return {
    id,
    uri: leaf.names.uri[0] ?? '',
    leaf,
    chainPem: sent.map(({ pem }) => pem).join(''),
    rootsPem: roots.map(({ pem }) => pem).join(''),
  };
}

function judgeLeaf(leaf: Certificate, { key, expected }: AnswerOptions): WorkloadId | string {
  if (!leaf.x509.checkPrivateKey(key)) return 'the certificate is for another key';
  const fault = svidFault(leaf.x509, true);
  if (fault !== null && fault.kind !== 'names') return fault.details;
  if (leaf.notAfterMs <= leaf.notBeforeMs) return 'the certificate is never valid';
  const [uri = ''] = leaf.names.uri;
  const id = leaf.names.uri.length === 1 ? readSpiffeId(uri) : null;
  if (id === null) return `the certificate does not name one workload, but [${leaf.names.uri.join(', ')}]`;
  const isOurs =
    id.namespace === expected.namespace &&
    id.serviceAccount === expected.serviceAccount &&
    (expected.trustDomain === '' || id.trustDomain === expected.trustDomain);
  return isOurs ? id : `the certificate is for ${uri}`;
}

/** The certificates in PEM text; empty when there are none. */
export function readRoots(pem: string): readonly Certificate[] {
  const certificates = parseCertificates(pem);
  return typeof certificates === 'string' ? [] : certificates;
}

export function isRoot({ x509 }: Certificate): boolean {
  return x509.ca && x509.checkIssued(x509) && x509.verify(x509.publicKey);
}

/** True when the certificate still leads to one of these roots. */
export function vouchesFor(roots: readonly Certificate[], { leaf, chainPem }: Issued): boolean {
  return leadsTo(leaf, readRoots(chainPem), roots);
}

function leadsTo(leaf: Certificate, intermediates: readonly Certificate[], roots: readonly Certificate[]): boolean {
  let current = leaf;
  for (let depth = 0; depth <= intermediates.length; depth++) {
    const subject = current;
    if (roots.some((root) => isIssuedBy(subject, root))) return true;
    const issuer = intermediates.find((candidate) => candidate.x509.ca && isIssuedBy(subject, candidate));
    if (issuer === undefined) return false;
    current = issuer;
  }
  return false;
}

function isIssuedBy(subject: Certificate, issuer: Certificate): boolean {
  return subject.x509.checkIssued(issuer.x509) && subject.x509.verify(issuer.x509.publicKey);
}
