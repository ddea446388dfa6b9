// Kubernetes Secrets that hold a certificate with its key, or authorities: of type kubernetes.io/tls (`tls.crt`,
// `tls.key`, `ca.crt`) and the generic ones of Istio (`cert`, `key`, `cacert`). Other Secrets are none of the mesh's and
// are not kept. A value of a Secret is never part of a Problem, be it ever so wrong.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { isMap, isScalar } from 'yaml';
import type { Document, YAMLMap } from 'yaml';
import { Concealed } from '../base/concealed.ts';
import type { Fields } from './fields.ts';
import { entriesOf } from './map-entries.ts';

export interface SecretSpec {
  /** PEM; null: there is none. */
  readonly certificate: { readonly chainPem: string; readonly key: Concealed } | null;
  /** PEM of authorities; empty: there are none. */
  readonly authoritiesPem: string;
}

/** Kubernetes has the same limit for a whole Secret. */
const VALUE_BYTES_MAX = 1024 * 1024;
const ENTRIES_MAX = 256;
const TLS_TYPE = 'kubernetes.io/tls';
const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

interface Value {
  /** The path in the document. */
  readonly at: string;
  readonly text: string;
}

/** Null when it holds nothing that the mesh uses. */
export function readSecret(fields: Fields, root: YAMLMap, document: Document): SecretSpec | null {
  const type = fields.text('type');
  fields.ignore('data', 'stringData', 'immutable');
  const values = new Map([
    ...valuesOf('data', fields, root, document),
    ...valuesOf('stringData', fields, root, document),
  ]);
  const pick = (...names: readonly string[]): Value | null =>
    names.map((name) => values.get(name)).find((value) => value !== undefined) ?? null;
  const isTls = type === TLS_TYPE;
  const [chain, key, authorities] = isTls
    ? [pick('tls.crt'), pick('tls.key'), pick('ca.crt')]
    : [pick('cert', 'tls.crt'), pick('key', 'tls.key'), pick('cacert', 'ca.crt')];
  if (isTls && (chain === null || key === null))
    fields.error('data', `a Secret of type ${TLS_TYPE} has tls.crt and tls.key`, 'add what is missing');
  if (authorities !== null) checkCertificates(authorities, fields);
  const hasPair = chain !== null && key !== null;
  if (hasPair) checkPair(chain, key, fields);
  if (!hasPair && authorities === null) return null;
  return {
    certificate: hasPair ? { chainPem: chain.text, key: new Concealed(key.text) } : null,
    authoritiesPem: authorities?.text ?? '',
  };
}

function valuesOf(
  name: 'data' | 'stringData',
  fields: Fields,
  root: YAMLMap,
  document: Document,
): ReadonlyMap<string, Value> {
  const found = new Map<string, Value>();
  const node = entriesOf(root, document).get(name)?.value;
  if (node === undefined || (isScalar(node) && node.value === null)) return found;
  if (!isMap(node)) {
    fields.error(name, `${name} must be an object`, 'write "name: value" lines');
    return found;
  }
  const entries = entriesOf(node, document);
  if (entries.size > ENTRIES_MAX) {
    fields.error(name, `${name} has ${entries.size} entries, the limit is ${ENTRIES_MAX}`, 'split the Secret');
    return found;
  }
  for (const [key, { value }] of entries) {
    const at = `${name}.${key}`;
    const text: unknown = isScalar(value) ? value.value : null;
    if (typeof text !== 'string') fields.error(at, 'must be a string', 'write it in quotes');
    else if (text.length > VALUE_BYTES_MAX) fields.error(at, `is longer than ${VALUE_BYTES_MAX} bytes`, 'shorten it');
    else if (name === 'stringData') found.set(key, { at, text });
    else if (!BASE64.test(text)) fields.error(at, 'is not base64', 'encode it, or write it into stringData');
    else found.set(key, { at, text: Buffer.from(text, 'base64').toString('utf8') });
  }
  return found;
}

/** The first certificate; null, and a Problem, when one of them is none. */
function checkCertificates({ at, text }: Value, fields: Fields): X509Certificate | null {
  const blocks = text.match(BLOCK) ?? [];
  try {
    const [first] = blocks.map((block) => new X509Certificate(block));
    if (first !== undefined) return first;
  } catch {
    // OpenSSL's words may quote what it was given.
  }
  fields.error(at, 'holds no certificates in PEM', 'write -----BEGIN CERTIFICATE----- blocks');
  return null;
}

function checkPair(chain: Value, key: Value, fields: Fields): void {
  const leaf = checkCertificates(chain, fields);
  const read = keyOf(key.text);
  if (read === null) fields.error(key.at, 'is no private key in PEM without a password', 'write the key itself');
  else if (leaf !== null && !leaf.checkPrivateKey(read))
    fields.error(key.at, `is not the key of ${chain.at}`, 'write the two that belong together');
}

function keyOf(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
