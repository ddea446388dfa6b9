// One provider of tokens, compiled: what its tokens must say, the keys that they are signed with, and what a good one
// leaves behind for the app (headers) and for later filters (metadata). All of that is made once per token and
// remembered with it; the checks that depend on the time are made again for each request.
// Source: Envoy JwtProvider; claims in headers as its authenticator.cc writes them.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { HeaderId } from '../base/brand.ts';
import { valueAt } from '../plan/dynamic-metadata.ts';
import type { StringPredicate } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
import type { JwtCache } from './jwt-cache.ts';
import type { JwtKeySource } from './jwt-key-source.ts';
import { JWT, type JwtStatus } from './jwt-status.ts';
import type { JwtToken } from './jwt-token.ts';

export interface ClaimHeader {
  readonly header: HeaderId;
  /** The claim's path through objects. */
  readonly claim: readonly string[];
}

export interface JwtProvider {
  readonly name: string;
  /** Empty: whoever it is. */
  readonly issuer: string;
  readonly audiences: ReadonlySet<string>;
  readonly subjects: StringPredicate | null;
  readonly requiresExpiration: boolean;
  /** Seconds that a token may still be good for; -1: any time. */
  readonly lifetimeSecondsMax: number;
  readonly clockSkewSeconds: number;
  readonly keys: JwtKeySource;
  readonly cache: JwtCache<GoodToken>;
  /** The token stays in the request. */
  readonly isForwarded: boolean;
  /** UNKNOWN: none. */
  readonly payloadHeader: HeaderId;
  readonly isPayloadPadded: boolean;
  readonly claimHeaders: readonly ClaimHeader[];
  /** Keys of the metadata; empty: not written. */
  readonly payloadKey: string;
  readonly headerKey: string;
  readonly failureKey: string;
  readonly spacedClaims: readonly string[];
  readonly clearsRoute: boolean;
}

/** A token whose signature was found good with the keys of its provider. */
export interface GoodToken {
  wasUsed: boolean;
  readonly provider: JwtProvider;
  readonly iss: string;
  readonly audiences: readonly string[];
  /** True when the provider's own list takes one of its audiences. */
  readonly isForProvider: boolean;
  readonly nbf: number;
  readonly exp: number;
  readonly hasExp: boolean;
  /** What to add to the request, names and values in turn. */
  readonly headerIds: readonly HeaderId[];
  readonly headerValues: readonly string[];
  /** For the filter's namespace; null: nothing. Frozen, shared by all requests. */
  readonly metadata: JsonObject | null;
  /** The route is to be chosen again, because it may depend on this token. */
  readonly movesRoute: boolean;
}

export function goodToken(token: JwtToken, provider: JwtProvider): GoodToken {
  const headerIds: HeaderId[] = [];
  const headerValues: string[] = [];
  if (provider.payloadHeader !== 0) {
    headerIds.push(provider.payloadHeader);
    headerValues.push(provider.isPayloadPadded ? padded(token.payloadText) : token.payloadText);
  }
  let claims = 0;
  for (const { header, claim } of provider.claimHeaders) {
    const value = claimText(valueAt(token.payload, claim));
    if (value === '') continue;
    headerIds.push(header);
    headerValues.push(value);
    claims++;
  }
  return {
    wasUsed: false,
    provider,
    iss: token.iss,
    audiences: token.audiences,
    isForProvider: isAudienceAllowed(token.audiences, provider.audiences),
    nbf: token.nbf,
    exp: token.exp,
    hasExp: token.hasExp,
    headerIds,
    headerValues,
    metadata: metadataOf(token, provider),
    movesRoute: provider.clearsRoute && (claims > 0 || provider.payloadKey !== ''),
  };
}

/** OK when a token of these times is good now, which is in seconds since the epoch. */
export function checkTimes(token: Pick<JwtToken, 'nbf' | 'exp' | 'hasExp'>, by: JwtProvider, now: number): JwtStatus {
  const { clockSkewSeconds: skew, lifetimeSecondsMax: longest } = by;
  if ((by.requiresExpiration || longest >= 0) && !token.hasExp) return JWT.verificationFails;
  if (longest >= 0 && token.exp - now > longest) return JWT.verificationFails;
  if (now + skew < token.nbf) return JWT.notYetValid;
  if (token.hasExp && now > token.exp + skew) return JWT.expired;
  return JWT.ok;
}

/** An empty list allows all. */
export function isAudienceAllowed(audiences: readonly string[], allowed: ReadonlySet<string>): boolean {
  if (allowed.size === 0) return true;
  for (const audience of audiences) if (allowed.has(plainAudience(audience))) return true;
  return false;
}

/** Without the scheme of a URL and the slash at its end: Envoy compares audiences so. */
export function plainAudience(audience: string): string {
  const start = audience.startsWith('http://') ? 7 : audience.startsWith('https://') ? 8 : 0;
  return audience.slice(start, audience.endsWith('/') ? -1 : undefined);
}

function metadataOf({ payload, header }: JwtToken, provider: JwtProvider): JsonObject | null {
  const { headerKey, payloadKey } = provider;
  if (headerKey === '' && payloadKey === '') return null;
  const metadata: JsonObject = {};
  if (headerKey !== '') metadata[headerKey] = header;
  if (payloadKey !== '') metadata[payloadKey] = normalised(payload, provider.spacedClaims);
  return Object.freeze(metadata);
}

/** Claims that are words with blanks between them become lists (RFC 8693 section 4.2). */
function normalised(payload: JsonObject, claims: readonly string[]): JsonObject {
  const lists: [string, JsonValue][] = [];
  for (const claim of claims) {
    const value = valueAt(payload, [claim]);
    const words = typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : [];
    if (words.length > 0) lists.push([claim, words]);
  }
  if (lists.length === 0) return payload;
  for (const [, list] of lists) Object.freeze(list);
  return Object.freeze(Object.fromEntries([...Object.entries(payload), ...lists]));
}

function padded(text: string): string {
  return text + '='.repeat((4 - (text.length % 4)) % 4);
}

/** As it stands in a header; empty: it is left out. What would end the line, or is no text, never gets there. */
export function claimText(value: JsonValue | undefined): string {
  switch (typeof value) {
    case 'string':
      return fieldText(value);
    case 'number':
      return numberText(value);
    case 'boolean':
      return String(value);
    case 'object':
      return value === null ? '' : Buffer.from(JSON.stringify(value)).toString('base64');
    default:
      return '';
  }
}

const FIELD_CHARS_MAX = 8192;

/** RFC 9110 section 5.5: no control bytes. A claim may be anything that a user once typed somewhere. */
function fieldText(value: string): string {
  if (value.length > FIELD_CHARS_MAX) return '';
  const wire = wireText(value);
  for (let i = 0; i < wire.length; i++) {
    const code = wire.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return '';
  }
  return wire.trim();
}

/** Whole numbers that are not negative as such, others with six decimals, as C++ writes a double. */
function numberText(value: number): string {
  if (value >= 0 && value < 2 ** 64 && Number.isInteger(value)) return BigInt(value).toString();
  if (!Number.isFinite(value)) return '';
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`;
}
