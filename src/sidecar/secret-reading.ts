// Turns the secrets of Envoy's API into what src/tls works with: TlsCertificate, CertificateValidationContext and
// TlsSessionTicketKeys, with everything they point to read and checked. Null means refused, with Problems that
// say why and never show a key.
import { createHash } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { error, type Problem } from '../base/problem.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import type { NameKind } from '../tls/alternative-names.ts';
import { parseCertificates, type Certificate } from '../tls/certificate.ts';
import { readKeyPair, type KeyPair } from '../tls/key-pair.ts';
import type { NameMatcher } from '../tls/name-match.ts';
import { nodeTls } from '../tls/node-tls.ts';
import { isSpiffe } from '../tls/svid.ts';
import type { Trust } from '../tls/trust.ts';
import type { StringMatcher } from '../xds/gen/envoy/type/matcher/v3/string_pb.js';
import {
  CertificateValidationContextSchema,
  CertificateValidationContext_TrustChainVerification as Verification,
  SubjectAltNameMatcher_SanType as SanType,
  type CertificateValidationContext,
  type TlsCertificate,
  type TlsSessionTicketKeys,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { SecretSchema, type Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { DataSource } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { filesOf, readDataSource } from '../plan/data-source.ts';

/** Bytes of one session ticket key in Envoy; node:tls takes 48 of them. */
const TICKET_KEY_BYTES = 80;
const NODE_TICKET_KEY_BYTES = 48;

function readCertificate(message: TlsCertificate, problems: Problem[], path: string): KeyPair | null {
  const chain = readDataSource(message.certificateChain, problems, `${path}.certificate_chain`);
  const key = readDataSource(message.privateKey, problems, `${path}.private_key`);
  const hasPassword = message.password !== undefined;
  const password = hasPassword ? readDataSource(message.password, problems, `${path}.password`) : Buffer.alloc(0);
  if (chain === null || key === null || password === null) return null;
  const source = {
    path: pathOf(message.certificateChain),
    chain: chain.toString('utf8'),
    key: key.toString('utf8'),
    password: password.toString('utf8').replace(/\n$/, ''),
  };
  const pair = readKeyPair(source);
  if (typeof pair !== 'string') return pair;
  problems.push(error(path, pair, 'write a certificate chain in PEM and the private key of its first certificate'));
  return null;
}

/** How a secret becomes a value, and what tells one value from another. */
export interface Reader<Value> {
  /** Null after adding Problems. */
  readonly read: (secret: Secret, problems: Problem[], path: string) => Value | null;
  readonly idOf: (value: Value) => string;
}

export const CERTIFICATE: Reader<KeyPair> = { read: certificateOf, idOf: ({ id }) => id };
export const TRUST: Reader<Trust> = { read: trustOf, idOf: ({ id }) => id };
export const TICKET_KEYS: Reader<Buffer> = { read: ticketKeysOf, idOf: (key) => key.toString('base64') };

/** The reader of a combined validation context. */
export function trustOver(base: CertificateValidationContext): Reader<Trust> {
  return { read: (secret, problems, path) => trustOf(overlay(base, secret), problems, path), idOf: TRUST.idOf };
}

/** What was read for a version of a secret: many contexts may use one. */
const PAIRS = new WeakMap<Secret, KeyPair>();
const TRUSTS = new WeakMap<Secret, Trust>();

function certificateOf(secret: Secret, problems: Problem[], path: string): KeyPair | null {
  if (secret.type.case !== 'tlsCertificate') return otherKind(secret, 'tls_certificate', problems, path);
  const known = PAIRS.get(secret);
  if (known !== undefined) return known;
  const pair = readCertificate(secret.type.value, problems, path);
  if (pair !== null) PAIRS.set(secret, pair);
  return pair;
}

function trustOf(secret: Secret, problems: Problem[], path: string): Trust | null {
  if (secret.type.case !== 'validationContext') return otherKind(secret, 'validation_context', problems, path);
  const known = TRUSTS.get(secret);
  if (known !== undefined) return known;
  const trust = readTrust(secret.type.value, problems, path);
  if (trust !== null) TRUSTS.set(secret, trust);
  return trust;
}

function ticketKeysOf(secret: Secret, problems: Problem[], path: string): Buffer | null {
  if (secret.type.case !== 'sessionTicketKeys') return otherKind(secret, 'session_ticket_keys', problems, path);
  return readTicketKeys(secret.type.value, problems, path);
}

function otherKind(secret: Secret, wanted: string, problems: Problem[], path: string): null {
  const kind = secret.type.case ?? 'nothing';
  problems.push(error(path, `the secret ${JSON.stringify(secret.name)} holds ${kind}`, `give it a ${wanted}`));
  return null;
}

/** A combined validation context: as protobuf merges, what the secret sets comes first, and lists are joined. */
function overlay(base: CertificateValidationContext, secret: Secret): Secret {
  if (secret.type.case !== 'validationContext') return secret;
  // Merging is concatenating the bytes (protobuf encoding, "Last One Wins").
  const merged = Buffer.concat([
    toBinary(CertificateValidationContextSchema, base),
    toBinary(CertificateValidationContextSchema, secret.type.value),
  ]);
  const message = fromBinary(CertificateValidationContextSchema, merged);
  return create(SecretSchema, { name: secret.name, type: { case: 'validationContext', value: message } });
}

/** The files behind a secret, for watching. */
export function filesOfSecret({ type }: Secret): readonly string[] {
  switch (type.case) {
    case 'tlsCertificate':
      return filesOf([type.value.certificateChain, type.value.privateKey, type.value.password]);
    case 'validationContext':
      return filesOf([type.value.trustedCa, type.value.crl]);
    case 'sessionTicketKeys':
      return filesOf(type.value.keys);
    default:
      return [];
  }
}

/** watched_directory: what to watch beside the directories of the files. */
export function directoriesOf({ type }: Secret): readonly string[] {
  if (type.case !== 'tlsCertificate' && type.case !== 'validationContext') return [];
  const { watchedDirectory } = type.value;
  return watchedDirectory === undefined ? [] : [watchedDirectory.path];
}

/** The first key alone: node:tls knows one. */
function readTicketKeys(message: TlsSessionTicketKeys, problems: Problem[], path: string): Buffer | null {
  const [first] = message.keys;
  if (first === undefined) {
    problems.push(error(`${path}.keys`, 'is empty', 'write one key of 80 bytes'));
    return null;
  }
  const key = readDataSource(first, problems, `${path}.keys[0]`);
  if (key === null) return null;
  if (key.length === TICKET_KEY_BYTES)
    return createHash('sha384').update(key).digest().subarray(0, NODE_TICKET_KEY_BYTES);
  const text = `a session ticket key has ${TICKET_KEY_BYTES} bytes, not ${key.length}`;
  problems.push(error(`${path}.keys[0]`, text, 'write 80 random bytes: openssl rand 80'));
  return null;
}

function readTrust(message: CertificateValidationContext, problems: Problem[], path: string): Trust | null {
  const found: Problem[] = [];
  const authorities = readAuthorities(message, found, path);
  const revocation = message.crl === undefined ? null : readDataSource(message.crl, found, `${path}.crl`);
  const names = compileNames(message, found, path);
  if (names.length > 0 && authorities.length === 0) {
    const text = 'names of a peer without trusted_ca prove nothing';
    found.push(error(`${path}.match_typed_subject_alt_names`, text, 'write trusted_ca'));
  }
  if (message.allowExpiredCertificate && authorities.length === 0) {
    found.push(error(`${path}.allow_expired_certificate`, 'has no meaning without trusted_ca', 'write trusted_ca'));
  }
  const revocations = revocation === null ? [] : revocationLists(revocation.toString('utf8'));
  if (revocation !== null && revocations.length === 0) {
    found.push(error(`${path}.crl`, 'holds no PEM revocation list', 'write -----BEGIN X509 CRL-----'));
  }
  if (revocations.length > 0 && authorities.length === 0) {
    found.push(error(`${path}.crl`, 'has no meaning without trusted_ca', 'write trusted_ca'));
  }
  problems.push(...found);
  if (found.some(({ severity }) => severity === 'error')) return null;
  const hash = createHash('sha256').update(toBinary(CertificateValidationContextSchema, message));
  for (const { x509 } of authorities) hash.update(x509.raw);
  for (const list of revocations) hash.update(list);
  return {
    id: hash.digest('hex'),
    authorities,
    path: pathOf(message.trustedCa),
    revocations,
    allowsExpired: message.allowExpiredCertificate,
    acceptsUntrusted: message.trustChainVerification === Verification.ACCEPT_UNTRUSTED,
    depthMax: message.maxVerifyDepth ?? null,
    names,
    asksSpiffeId: asksSpiffeId(message),
    hashes: new Set(message.verifyCertificateHash.map((text) => text.replaceAll(':', '').toLowerCase())),
    keyHashes: new Set(message.verifyCertificateSpki),
  };
}

/** As Envoy names where a certificate came from. */
function pathOf(source: DataSource | undefined): string {
  return source?.specifier.case === 'filename' ? source.specifier.value : '<inline>';
}

function readAuthorities(
  message: CertificateValidationContext,
  problems: Problem[],
  path: string,
): readonly Certificate[] {
  if (message.trustedCa === undefined && message.systemRootCerts === undefined) return [];
  const at = `${path}.trusted_ca`;
  const pem =
    message.trustedCa === undefined
      ? nodeTls().getCACertificates('system').join('\n')
      : readDataSource(message.trustedCa, problems, at)?.toString('utf8');
  if (pem === undefined) return [];
  const authorities = parseCertificates(pem);
  if (typeof authorities !== 'string') return authorities;
  problems.push(error(at, authorities, 'write the certificates of the authorities in PEM'));
  return [];
}

const KINDS: ReadonlyMap<SanType, NameKind> = new Map([
  [SanType.DNS, 'dns'],
  [SanType.URI, 'uri'],
  [SanType.EMAIL, 'email'],
  [SanType.IP_ADDRESS, 'ip'],
]);

function compileNames(message: CertificateValidationContext, problems: Problem[], path: string): NameMatcher[] {
  const matchers: NameMatcher[] = [];
  const add = (kind: NameKind | null, matcher: StringMatcher | undefined, at: string): void => {
    if (matcher === undefined) {
      problems.push(error(at, 'must be set', 'write exact, prefix, suffix, contains or safe_regex'));
      return;
    }
    const matches = compileStringMatch(matcher, problems, at);
    const { matchPattern } = matcher;
    const exact = matchPattern.case === 'exact' ? matchPattern.value : null;
    if (matches !== null) matchers.push({ kind, exact, matches });
  };
  for (const [index, { sanType, matcher }] of message.matchTypedSubjectAltNames.entries()) {
    const at = `${path}.match_typed_subject_alt_names[${index}]`;
    const kind = KINDS.get(sanType);
    if (kind === undefined) {
      problems.push(error(`${at}.san_type`, 'is not supported', 'write DNS, URI, EMAIL or IP_ADDRESS'));
    } else add(kind, matcher, `${at}.matcher`);
  }
  for (const [index, matcher] of message.matchSubjectAltNames.entries()) {
    add(null, matcher, `${path}.match_subject_alt_names[${index}]`);
  }
  return matchers;
}

function asksSpiffeId(message: CertificateValidationContext): boolean {
  return message.matchTypedSubjectAltNames.some(({ sanType, matcher }) => {
    const pattern = matcher?.matchPattern;
    const isText = pattern?.case === 'exact' || pattern?.case === 'prefix';
    return sanType === SanType.URI && isText && isSpiffe(pattern.value);
  });
}

function revocationLists(pem: string): readonly string[] {
  return pem.match(/-----BEGIN X509 CRL-----[\s\S]+?-----END X509 CRL-----/g) ?? [];
}
