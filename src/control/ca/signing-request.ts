// A certificate signing request (RFC 2986) as it came over the network: its key, proven to be in the sender's hands
// by the request's signature, and the SPIFFE ids that it asks for. Nothing else of it is used. What is malformed,
// too long, weak or wrongly signed is refused with a reason that may be told to the sender.
import './reflect-metadata.ts';
import { createPublicKey } from 'node:crypto';
import {
  ExtensionsAttribute,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  type PublicKey,
} from '@peculiar/x509';
import { algorithmOf } from './signing-key.ts';

export interface SigningRequest {
  readonly kind: 'read';
  readonly publicKey: PublicKey;
  /** RSA keys may be used to encipher keys (TLS 1.2), EC keys only to sign. */
  readonly isRsa: boolean;
  /** URIs among the names that it asks for, as written. */
  readonly uris: readonly string[];
}

export interface RefusedRequest {
  readonly kind: 'refused';
  readonly reason: string;
}

/** An RSA key of 8192 bits with some names takes 3 KiB. */
export const REQUEST_BYTES_MAX = 16 * 1024;
const ATTRIBUTES_MAX = 32;
const NAMES_MAX = 64;
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const ALTERNATIVE_NAME = '2.5.29.17';
const HASHES = new Set(['SHA-256', 'SHA-384', 'SHA-512']);
const PEM =
  /^\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/;

/** DER bytes or PEM text. Never rejects. */
export async function readSigningRequest(given: Uint8Array | string): Promise<SigningRequest | RefusedRequest> {
  if (given.length > REQUEST_BYTES_MAX * 2) return refused(`it is longer than ${REQUEST_BYTES_MAX} bytes`);
  const der = typeof given === 'string' ? bytesOf(given) : Buffer.from(given);
  if (der === null) return refused('it is not one PEM block CERTIFICATE REQUEST');
  if (der.length > REQUEST_BYTES_MAX) return refused(`it is longer than ${REQUEST_BYTES_MAX} bytes`);
  if (!isOneSequence(der)) return refused('it is not one DER sequence');
  try {
    return await readDer(der);
  } catch {
    // The parser's own words say nothing to a person, and may quote the bytes.
    return refused('it is no certificate signing request');
  }
}

async function readDer(der: Buffer): Promise<SigningRequest | RefusedRequest> {
  const request = new Pkcs10CertificateRequest(der);
  const spki = Buffer.from(request.publicKey.rawData);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const algorithm = algorithmOf(key);
  if (typeof algorithm === 'string') return refused(`its key ${algorithm}`);
  const { hash, name } = request.signatureAlgorithm;
  if (hash === undefined || !HASHES.has(hash.name)) return refused('it is not signed with SHA-2');
  if (name !== algorithm.name) return refused('its signature is of another kind than its key');
  if (request.attributes.length > ATTRIBUTES_MAX) return refused(`it has more than ${ATTRIBUTES_MAX} attributes`);
  if (!(await request.verify())) return refused('its signature is not by its own key');
  const uris = urisOf(request);
  if (uris === null) return refused(`it asks for more than ${NAMES_MAX} names, or for extensions in more than one way`);
  return { kind: 'read', publicKey: request.publicKey, isRsa: algorithm.name !== 'ECDSA', uris };
}

/** The names of every request for extensions, for a second one must not hide behind the first. */
function urisOf(request: Pkcs10CertificateRequest): readonly string[] | null {
  const uris: string[] = [];
  let count = 0;
  for (const attribute of request.getAttributes(EXTENSION_REQUEST)) {
    // RFC 2985 section 5.4.2: one value; the parser would not look at a second one.
    if (!(attribute instanceof ExtensionsAttribute) || attribute.values.length !== 1) return null;
    for (const extension of attribute.items) {
      if (extension.type !== ALTERNATIVE_NAME) continue;
      const { items } = new SubjectAlternativeNameExtension(extension.rawData).names;
      count += items.length;
      if (count > NAMES_MAX) return null;
      for (const { type, value } of items) if (type === 'url') uris.push(value);
    }
  }
  return uris;
}

function bytesOf(pem: string): Buffer | null {
  const text = PEM.exec(pem)?.[1];
  return text === undefined ? null : Buffer.from(text, 'base64');
}

/** One SEQUENCE in the shortest form, and nothing behind it: parsers differ in what they make of a rest. */
function isOneSequence(der: Buffer): boolean {
  const [tag, first = 0] = der;
  if (tag !== 0x30) return false;
  if (first < 0x80) return der.length === 2 + first;
  const count = first & 0x7f;
  if (count < 1 || count > 3 || der.length < 2 + count) return false;
  return der.length === 2 + count + der.readUIntBE(2, count);
}

function refused(reason: string): RefusedRequest {
  return { kind: 'refused', reason };
}
