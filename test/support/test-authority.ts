// A certificate authority for tests, in memory: roots, certificates of workloads and servers with any dates, in a few
// milliseconds each. OpenSSL reads what comes of it in every handshake.
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';
import { OBJECT_ID, OCTET_STRING, readInside, SEQUENCE, writeDer } from '../../src/tls/der.ts';

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const UTF8 = 0x0c;
const SET = 0x31;
const UTC_TIME = 0x17;
const BOOLEAN_TRUE = writeDer(0x01, [Buffer.of(0xff)]);
const ECDSA_SHA256 = writeDer(SEQUENCE, [writeDer(OBJECT_ID, [Buffer.from('2a8648ce3d040302', 'hex')])]);
const COMMON_NAME = writeDer(OBJECT_ID, [Buffer.from('550403', 'hex')]);
const DAY_MS = 86_400_000;

export interface Signing {
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  /** IPv4. */
  readonly addresses?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly isAuthority?: boolean;
  readonly name?: string;
}

export interface KeyAndCertificate {
  readonly cert: string;
  readonly key: string;
}

export class TestAuthority {
  readonly pem: string;
  /** As `--ca-hash` and the claim `ca` have it. */
  readonly hash: string;
  readonly #name: string;
  readonly #key: KeyObject;

  /** Of itself, or below another. */
  constructor(name: string, parent: TestAuthority | null = null) {
    this.#name = name;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    const info = publicKey.export({ type: 'spki', format: 'der' });
    this.pem = (parent ?? this).sign({ publicKey: info, name, isAuthority: true, notBeforeMs: Date.now() - DAY_MS });
    this.hash = `sha256:${createHash('sha256').update(info).digest('hex')}`;
  }

  /** The certificate in PEM; valid from two minutes ago for a day unless told otherwise. */
  sign(signing: Signing): string {
    const { publicKey, notBeforeMs = Date.now() - 120_000, isAuthority = false, name } = signing;
    const { notAfterMs = notBeforeMs + 2 * DAY_MS } = signing;
    const body = writeDer(SEQUENCE, [
      writeDer(0xa0, [writeDer(INTEGER, [Buffer.of(2)])]),
      writeDer(INTEGER, [Buffer.concat([Buffer.of(1), randomBytes(15)])]),
      ECDSA_SHA256,
      nameOf(this.#name),
      writeDer(SEQUENCE, [timeOf(notBeforeMs), timeOf(notAfterMs)]),
      nameOf(name),
      publicKey,
      writeDer(0xa3, [writeDer(SEQUENCE, [constraints(isAuthority), usage(isAuthority), ...namesOf(signing)])]),
    ]);
    return this.#signed('CERTIFICATE', body);
  }

  #signed(kind: string, body: Buffer): string {
    const signature = sign('sha256', body, { key: this.#key, dsaEncoding: 'der' });
    const whole = writeDer(SEQUENCE, [body, ECDSA_SHA256, writeDer(BIT_STRING, [Buffer.of(0), signature])]);
    const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
    return `-----BEGIN ${kind}-----\n${lines.join('\n')}\n-----END ${kind}-----\n`;
  }

  /** A list of those that it revoked, in PEM (RFC 5280 section 5): good for a day. */
  revoke(...certificates: readonly string[]): string {
    const now = Date.now() - 120_000;
    const entries = certificates.map((pem) => {
      const serial = Buffer.from(new X509Certificate(pem).serialNumber, 'hex');
      return writeDer(SEQUENCE, [writeDer(INTEGER, [serial]), timeOf(now)]);
    });
    const body = writeDer(SEQUENCE, [
      writeDer(INTEGER, [Buffer.of(1)]),
      ECDSA_SHA256,
      nameOf(this.#name),
      timeOf(now),
      timeOf(now + DAY_MS),
      ...(entries.length === 0 ? [] : [writeDer(SEQUENCE, entries)]),
    ]);
    return this.#signed('X509 CRL', body);
  }

  /** A key of its own and a certificate for it. */
  issue(signing: Omit<Signing, 'publicKey'>): KeyAndCertificate {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const cert = this.sign({ ...signing, publicKey: publicKey.export({ type: 'spki', format: 'der' }) });
    return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  }
}

/** The SubjectPublicKeyInfo of a request in PEM. */
export function publicKeyOf(csr: string): Buffer {
  const bytes = Buffer.from(csr.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const [info] = readInside(bytes, SEQUENCE) ?? [];
  const fields = info === undefined ? null : readInside(writeDer(SEQUENCE, [info.content]), SEQUENCE);
  const key = fields?.[2];
  if (key === undefined) throw new Error('not a signing request');
  return createPublicKey({ key: writeDer(key.tag, [key.content]), format: 'der', type: 'spki' }).export({
    format: 'der',
    type: 'spki',
  });
}

function nameOf(common: string | undefined): Buffer {
  if (common === undefined) return writeDer(SEQUENCE, []);
  const attribute = writeDer(SEQUENCE, [COMMON_NAME, writeDer(UTF8, [Buffer.from(common)])]);
  return writeDer(SEQUENCE, [writeDer(SET, [attribute])]);
}

/** To the second, rounded up, so that a short life is not cut. */
function timeOf(epochMs: number): Buffer {
  const digits = new Date(Math.ceil(epochMs / 1000) * 1000).toISOString().replaceAll(/[-:T]|\.000/g, '');
  return writeDer(UTC_TIME, [Buffer.from(digits.slice(2))]);
}

function extension(id: string, isCritical: boolean, content: Buffer): Buffer {
  return writeDer(SEQUENCE, [
    writeDer(OBJECT_ID, [Buffer.from(id, 'hex')]),
    ...(isCritical ? [BOOLEAN_TRUE] : []),
    writeDer(OCTET_STRING, [content]),
  ]);
}

function constraints(isAuthority: boolean): Buffer {
  return extension('551d13', true, writeDer(SEQUENCE, isAuthority ? [BOOLEAN_TRUE] : []));
}

/** keyCertSign and cRLSign, or digitalSignature. */
function usage(isAuthority: boolean): Buffer {
  return extension('551d0f', true, writeDer(BIT_STRING, [isAuthority ? Buffer.of(1, 0x06) : Buffer.of(7, 0x80)]));
}

function namesOf({ uris = [], dns = [], addresses = [], name }: Signing): readonly Buffer[] {
  const names = [
    ...uris.map((uri) => writeDer(0x86, [Buffer.from(uri)])),
    ...dns.map((text) => writeDer(0x82, [Buffer.from(text)])),
    ...addresses.map((address) => writeDer(0x87, [Buffer.from(address.split('.').map(Number))])),
  ];
  return names.length === 0 ? [] : [extension('551d11', name === undefined, writeDer(SEQUENCE, names))];
}
