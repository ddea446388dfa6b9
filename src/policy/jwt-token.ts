// The compact form of a JSON Web Token, taken apart: three parts in base64url, two of them JSON objects. Nothing here
// says whether a token is to be believed. Whatever comes in, the answer is a token or a status, never an error that is
// thrown; size and nesting are bounded. Stricter than Envoy in two ways: base64url has one spelling only (RFC 7515
// section 2: no padding, no left-over bits, no blanks), and parts may not be empty.
// Source: RFC 7515 section 7.1, RFC 7519 section 4.1; texts and order of the checks are Envoy's.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { decodeBase64Url } from '../base/base64-url.ts';
import { JWT, type JwtStatus } from './jwt-status.ts';

export interface JwtToken {
  readonly header: JsonObject;
  readonly payload: JsonObject;
  /** The payload as it came, in base64url. */
  readonly payloadText: string;
  /** What is signed: the first two parts with the dot between them. */
  readonly signed: string;
  readonly signature: Buffer;
  readonly alg: string;
  /** Empty: none. */
  readonly kid: string;
  readonly iss: string;
  readonly sub: string;
  readonly audiences: readonly string[];
  /** Whole seconds since the epoch; 0: not said. */
  readonly nbf: number;
  readonly exp: number;
  readonly hasExp: boolean;
}

/** Characters of a token; a request's head holds no longer ones by default. */
export const TOKEN_CHARS_MAX = 65_536;
/** Objects and lists within each other: what protobuf's JSON takes. */
const DEPTH_MAX = 100;
const UINT64_END = 2 ** 64;

const ALGORITHMS: ReadonlySet<string> = new Set(
  'ES256 ES384 ES512 HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA'.split(' '),
);

type Parsed<T> = { readonly value: T } | { readonly status: JwtStatus };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The token, or why it is none. Claims are frozen. */
export function parseToken(text: string): JwtToken | JwtStatus {
  const first = text.indexOf('.');
  const second = text.indexOf('.', first + 1);
  const isWhole = first > 0 && second > first + 1 && second < text.length - 1 && !text.includes('.', second + 1);
  if (!isWhole || text.length > TOKEN_CHARS_MAX) return JWT.badFormat;
  const header = objectOf(text.slice(0, first), JWT.headerBadBase64, JWT.headerBadJson);
  if ('status' in header) return header.status;
  const alg = header.value['alg'];
  if (typeof alg !== 'string') return JWT.headerBadAlg;
  if (!ALGORITHMS.has(alg)) return JWT.algNotSupported;
  const kid = header.value['kid'] ?? '';
  if (typeof kid !== 'string' || header.value['kid'] === null) return JWT.headerBadKid;
  const payloadText = text.slice(first + 1, second);
  const payload = objectOf(payloadText, JWT.payloadBadBase64, JWT.payloadBadJson);
  if ('status' in payload) return payload.status;
  const claims = readClaims(payload.value);
  if ('status' in claims) return claims.status;
  const signature = decodeBase64Url(text.slice(second + 1));
  if (signature === null) return JWT.signatureBadBase64;
  return {
    header: header.value,
    payload: payload.value,
    payloadText,
    signed: text.slice(0, second),
    signature,
    alg,
    kid,
    ...claims.value,
  };
}

type Claims = Pick<JwtToken, 'iss' | 'sub' | 'audiences' | 'nbf' | 'exp' | 'hasExp'>;

function readClaims(payload: JsonObject): Parsed<Claims> {
  const iss = textClaim(payload, 'iss');
  if (iss === null) return { status: JWT.issNotString };
  const sub = textClaim(payload, 'sub');
  if (sub === null) return { status: JWT.subNotString };
  const iat = timeClaim(payload, 'iat', JWT.iatNotInteger, JWT.iatOutOfRange);
  if ('status' in iat) return iat;
  const nbf = timeClaim(payload, 'nbf', JWT.nbfNotInteger, JWT.nbfOutOfRange);
  if ('status' in nbf) return nbf;
  const exp = timeClaim(payload, 'exp', JWT.expNotInteger, JWT.expOutOfRange);
  if ('status' in exp) return exp;
  if (textClaim(payload, 'jti') === null) return { status: JWT.jtiNotString };
  const audiences = audiencesOf(payload);
  if (audiences === null) return { status: JWT.audNotString };
  return {
    value: { iss, sub, audiences, nbf: nbf.value, exp: exp.value, hasExp: Object.hasOwn(payload, 'exp') },
  };
}

/** Empty when it is absent; null when it is no text. */
function textClaim(payload: JsonObject, name: string): string | null {
  if (!Object.hasOwn(payload, name)) return '';
  const value = payload[name];
  return typeof value === 'string' ? value : null;
}

function timeClaim(payload: JsonObject, name: string, notNumber: JwtStatus, outOfRange: JwtStatus): Parsed<number> {
  if (!Object.hasOwn(payload, name)) return { value: 0 };
  const value = payload[name];
  if (typeof value !== 'number') return { status: notNumber };
  return value < 0 || value >= UINT64_END ? { status: outOfRange } : { value: Math.trunc(value) };
}

function audiencesOf(payload: JsonObject): readonly string[] | null {
  if (!Object.hasOwn(payload, 'aud')) return [];
  const value = payload['aud'];
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) return null;
  const audiences = value.filter((one) => typeof one === 'string');
  return audiences.length === value.length ? audiences : null;
}

function objectOf(text: string, badBase64: JwtStatus, badJson: JwtStatus): Parsed<JsonObject> {
  const bytes = decodeBase64Url(text);
  if (bytes === null) return { status: badBase64 };
  const value = parseJson(bytes);
  return value === null ? { status: badJson } : { value };
}

/** The object, frozen all through; null when it is none, or nested too deeply. */
function parseJson(bytes: Buffer): JsonObject | null {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    // Somebody sent text that is no JSON: an answer, not a fault of ours.
    return null;
  }
  return isJson(value, 0) && isObject(value) ? value : null;
}

/** Freezes what it walks. */
function isJson(value: unknown, depth: number): value is JsonValue {
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= DEPTH_MAX) return false;
  Object.freeze(value);
  const inner: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  return inner.every((one) => isJson(one, depth + 1));
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
