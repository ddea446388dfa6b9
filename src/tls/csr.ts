// A certificate signing request (PKCS#10, RFC 2986) of a workload: a P-256 key, no subject, and one URI as the only
// subject alternative name. Written by hand, for it is a few lines of DER, and a package for it costs start-up time.
// The key is used here to sign and goes nowhere.
import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { BIT_STRING, SEQUENCE, OBJECT_ID, OCTET_STRING, writeDer } from './der.ts';

const INTEGER = 0x02;
const BOOLEAN = 0x01;
const SET = 0x31;
/** `[0]` constructed: the attributes of a CertificationRequestInfo. */
const ATTRIBUTES = 0xa0;
/** `[6]` of a GeneralName: uniformResourceIdentifier, an IA5String. */
const URI = 0x86;

/** 1.2.840.113549.1.9.14, extensionRequest (RFC 2985 section 5.4.2). */
const EXTENSION_REQUEST = Buffer.from('2a864886f70d01090e', 'hex');
/** 2.5.29.17, subjectAltName. */
const SUBJECT_ALT_NAME = Buffer.from('551d11', 'hex');
/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256 (RFC 5758 section 3.2). */
const ECDSA_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');
const TRUE = Buffer.of(0xff);
/** Of a BIT STRING whose bits fill their bytes. */
const NO_UNUSED_BITS = Buffer.of(0);
const VERSION_1 = Buffer.of(0);

const LINE = 64;

/** The request in PEM. `key` is a private key on P-256; `uri` is ASCII, for example a SPIFFE id. */
export function signingRequest(key: KeyObject, uri: string): string {
  const info = writeDer(SEQUENCE, [
    writeDer(INTEGER, [VERSION_1]),
    // No subject: the name is in the extension, which is critical for that reason (RFC 5280 section 4.2.1.6).
    writeDer(SEQUENCE, []),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    writeDer(ATTRIBUTES, [extensionRequest(uri)]),
  ]);
  const signature = sign('sha256', info, { key, dsaEncoding: 'der' });
  return pem(
    writeDer(SEQUENCE, [
      info,
      writeDer(SEQUENCE, [writeDer(OBJECT_ID, [ECDSA_SHA256])]),
      writeDer(BIT_STRING, [NO_UNUSED_BITS, signature]),
    ]),
  );
}

function extensionRequest(uri: string): Buffer {
  const names = writeDer(SEQUENCE, [writeDer(URI, [Buffer.from(uri, 'ascii')])]);
  const extension = writeDer(SEQUENCE, [
    writeDer(OBJECT_ID, [SUBJECT_ALT_NAME]),
    writeDer(BOOLEAN, [TRUE]),
    writeDer(OCTET_STRING, [names]),
  ]);
  return writeDer(SEQUENCE, [
    writeDer(OBJECT_ID, [EXTENSION_REQUEST]),
    writeDer(SET, [writeDer(SEQUENCE, [extension])]),
  ]);
}

function pem(bytes: Buffer): string {
  const text = bytes.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += LINE) lines.push(text.slice(at, at + LINE));
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}
