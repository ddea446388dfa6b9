// RequestAuthentication (security.istio.io): who may have made the tokens of requests, with which keys they are
// signed, where they stand, and what a good one leaves behind. A token that is there must be good; one that is missing
// is no fault here. A field that is unknown, or misspelled, is an error: without it more tokens might be good.
// Source: istio/security/v1beta1/request_authentication.proto; limits as in istio pkg/config/validation.
import { parseKeySet } from '../base/key-set.ts';
import { isVitalHeader } from '../base/vital-header.ts';
import { refuseEmptyFields } from './empty-field.ts';
import type { Fields } from './fields.ts';
import { EVERY_WORKLOAD, readWorkloadSelector, type WorkloadSelector } from './workload-selector.ts';

export interface TokenHeader {
  readonly name: string;
  /** What stands in front of the token; empty: nothing. */
  readonly prefix: string;
}

export interface ClaimHeader {
  readonly header: string;
  /** `name`, or a path through objects, `a.b`. */
  readonly claim: string;
}

export interface TokenRule {
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** Where the keys are; empty, without `jwks` too: what the issuer's OpenID configuration says. */
  readonly jwksUri: string;
  /** The keys themselves; empty: they are somewhere else. */
  readonly jwks: string;
  readonly fromHeaders: readonly TokenHeader[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** Empty: none. */
  readonly outputPayloadToHeader: string;
  readonly outputClaimToHeaders: readonly ClaimHeader[];
  readonly isForwarded: boolean;
  /** For one fetch of the keys. */
  readonly timeoutMs: number;
  readonly spaceDelimitedClaims: readonly string[];
}

export interface RequestAuthenticationSpec {
  readonly selector: WorkloadSelector;
  /** It stands in for one that was refused: no token passes. */
  readonly isRefused: boolean;
  readonly rules: readonly TokenRule[];
}

export const RULES_MAX = 4096;
export const PLACES_MAX = 64;
const TIMEOUT_MS = 5_000;
/** As a pattern that RE2 takes, too. */
export const HEADER_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
const HEADER = new RegExp(HEADER_PATTERN);

export function readRequestAuthenticationSpec(fields: Fields): RequestAuthenticationSpec {
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['selector', 'targetRef', 'targetRefs', 'jwtRules']);
  return {
    selector: readWorkloadSelector(fields),
    isRefused: false,
    rules: fields.list('jwtRules', readRule, RULES_MAX),
  };
}

/**
 * What is in force where a policy was refused that never had a good version: for whoever it was meant for, no token is
 * good, wherever one may stand, and nobody can bring along the headers that it would have written.
 */
export function refusedAuthentication(read: RequestAuthenticationSpec | null): RequestAuthenticationSpec {
  const rules = read?.rules ?? [];
  const claims = rules.flatMap((rule) => rule.outputClaimToHeaders.map(({ header }) => header));
  const written = [...claims, ...rules.map((rule) => rule.outputPayloadToHeader)].filter(isOutput);
  const rule: TokenRule = {
    issuer: '',
    audiences: [],
    jwksUri: '',
    jwks: '',
    fromHeaders: [
      { name: 'Authorization', prefix: 'Bearer ' },
      ...rules.flatMap(({ fromHeaders }) => fromHeaders.filter(({ name }) => HEADER.test(name))),
    ],
    fromParams: ['access_token', ...rules.flatMap(({ fromParams }) => fromParams.filter((name) => name !== ''))],
    fromCookies: rules.flatMap(({ fromCookies }) => fromCookies.filter((name) => name !== '')),
    outputPayloadToHeader: '',
    outputClaimToHeaders: [...new Set(written)].map((header) => ({ header, claim: 'none' })),
    isForwarded: false,
    timeoutMs: TIMEOUT_MS,
    spaceDelimitedClaims: [],
  };
  return { selector: read?.selector ?? EVERY_WORKLOAD, isRefused: true, rules: [rule] };
}

function readRule(fields: Fields): TokenRule {
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['issuer', 'audiences', 'jwks', 'jwksUri', 'fromHeaders', 'fromParams', 'fromCookies']);
  fields.exclusive('jwks', 'jwksUri');
  const issuer = fields.requiredText('issuer', 'write who makes the tokens, as their iss says');
  const timeoutMs = fields.durationMs('timeout') ?? TIMEOUT_MS;
  if (timeoutMs <= 0 || timeoutMs > 60_000)
    fields.error('timeout', 'is not between 1ms and 60s', 'write for example 5s');
  return {
    issuer,
    audiences: words(fields, 'audiences'),
    jwksUri: readUri(fields),
    jwks: readKeys(fields),
    fromHeaders: fields.list('fromHeaders', readPlace, PLACES_MAX),
    fromParams: words(fields, 'fromParams'),
    fromCookies: words(fields, 'fromCookies'),
    outputPayloadToHeader: outputOf(fields, 'outputPayloadToHeader'),
    outputClaimToHeaders: fields.list('outputClaimToHeaders', readClaim, PLACES_MAX),
    isForwarded: fields.flag('forwardOriginalToken') ?? false,
    timeoutMs,
    spaceDelimitedClaims: words(fields, 'spaceDelimitedClaims'),
  };
}

/** Texts of which none is empty. */
function words(fields: Fields, name: string): readonly string[] {
  const found = fields.texts(name);
  if (found.includes('')) fields.error(name, 'one of them is empty', 'remove it');
  if (found.length > RULES_MAX) fields.error(name, `are ${found.length}`, `write at most ${RULES_MAX}`);
  return found;
}

function readUri(fields: Fields): string {
  const uri = fields.text('jwksUri');
  if (!fields.has('jwksUri')) return '';
  const url = URL.canParse(uri) ? new URL(uri) : null;
  const isFine = url !== null && (url.protocol === 'https:' || url.protocol === 'http:') && url.username === '';
  if (!isFine)
    fields.error('jwksUri', 'is not the address of a key set', 'write https://HOST/PATH or http://HOST/PATH');
  return uri;
}

const WHY = {
  'bad-json': 'is no JSON object',
  'no-keys': 'has no field keys',
  'bad-keys': 'has keys that are no list',
  'no-valid-keys': 'has no key that signatures can be checked with',
} as const;

/** The keys never appear in a Problem. */
function readKeys(fields: Fields): string {
  const jwks = fields.text('jwks');
  if (!fields.has('jwks')) return '';
  const { keys, failure, holdsPrivateKey } = parseKeySet(jwks);
  const remedy = 'write a JWKS: {"keys": [...]} with the public keys';
  if (failure !== null) fields.error('jwks', WHY[failure], remedy);
  else if (holdsPrivateKey) fields.error('jwks', 'holds a private key, which is for the issuer only', remedy);
  else if (keys.some(({ kind }) => kind === 'oct'))
    fields.warning('jwks', 'has a secret that everybody with it can sign with', 'use public keys: RSA, EC or Ed25519');
  return jwks;
}

function readPlace(fields: Fields): TokenHeader {
  fields.refuseUnknown();
  return { name: headerOf(fields, 'name', true), prefix: fields.text('prefix') };
}

function readClaim(fields: Fields): ClaimHeader {
  fields.refuseUnknown();
  return {
    header: outputOf(fields, 'header', true),
    claim: fields.requiredText('claim', 'name a claim of the token'),
  };
}

/** A header that is written, and that nobody can bring along. */
function outputOf(fields: Fields, name: string, isRequired = false): string {
  const header = headerOf(fields, name, isRequired);
  if (isVitalHeader(header))
    fields.error(name, `"${header}" says where requests end, where they go or who calls`, 'name a header of your own');
  return header;
}

function isOutput(name: string): boolean {
  return HEADER.test(name) && !isVitalHeader(name);
}

function headerOf(fields: Fields, name: string, isRequired = false): string {
  const header = isRequired ? fields.requiredText(name, 'name a header') : fields.text(name);
  if (header !== '' && !HEADER.test(header)) {
    fields.error(name, `"${header}" is not the name of a header`, 'use letters, digits and -');
  }
  return header;
}
