// The token that proves who a workload is before it has a certificate: a join token of `outrigger token create`, or a
// projected token of Kubernetes. It is read from its file at each use, for it is replaced there before it expires. What
// it says is taken as a hint only, for nobody here can check it; the text itself is never logged.
import { readFileSync } from 'node:fs';

export interface JoinToken {
  readonly text: string;
  /** `sub` as namespace and service account; null when it names neither. */
  readonly subject: { readonly namespace: string; readonly serviceAccount: string } | null;
  /** SHA-256 of the public keys of roots that may vouch for the control service: lower-case hex. */
  readonly rootHashes: readonly string[];
  /** NaN when it does not say. */
  readonly expiresAtMs: number;
}

const BYTES_MAX = 65_536;
const TOKEN = /^[\w.~+/=-]+$/;

/** The token of a file; or what is wrong, without any of its text. */
export function readJoinToken(path: string): JoinToken | string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    return `the token file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
  if (text === '') return `the token file ${path} is empty`;
  if (text.length > BYTES_MAX || !TOKEN.test(text)) return `the token file ${path} holds no token`;
  const claims = claimsOf(text);
  const { sub, ca, exp } = claims;
  return {
    text,
    subject: typeof sub === 'string' ? subjectOf(sub) : null,
    rootHashes: (Array.isArray(ca) ? ca : [ca]).flatMap((hash) => readRootHash(hash) ?? []),
    expiresAtMs: typeof exp === 'number' ? exp * 1000 : Number.NaN,
  };
}

/** `sha256:HEX` as lower-case hex; null when it is something else. */
export function readRootHash(text: unknown): string | null {
  const hex = typeof text === 'string' ? /^sha256:([0-9a-f]{64})$/i.exec(text)?.[1] : undefined;
  return hex === undefined ? null : hex.toLowerCase();
}

/** The payload of a JWT, of which nothing is checked; empty for other tokens. */
function claimsOf(token: string): Readonly<Record<string, unknown>> {
  const [, payload] = token.split('.');
  if (payload === undefined) return {};
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return isRecord(claims) ? claims : {};
  } catch {
    // An opaque token says nothing about itself.
    return {};
  }
}

/** `NAMESPACE/SERVICEACCOUNT`, or Kubernetes' `system:serviceaccount:NAMESPACE:SERVICEACCOUNT`. */
function subjectOf(text: string): JoinToken['subject'] {
  const parts = text.startsWith('system:serviceaccount:') ? text.split(':').slice(2) : text.split('/');
  const [namespace = '', serviceAccount = ''] = parts;
  return parts.length === 2 && namespace !== '' && serviceAccount !== '' ? { namespace, serviceAccount } : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
