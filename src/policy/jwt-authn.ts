// @hot
// Authentication of requests by JSON Web Tokens, as Envoy's jwt_authn filter does it: the first rule that matches says
// what is required; a request that has it goes on with what its tokens leave behind, any other is answered with
// Envoy's words. Headers that such outputs would write are taken out of every request first, whatever is required of
// it, so that nobody can bring them along. A known token costs a look-up; a request whose
// token has to be checked, or whose keys are on their way, waits, and the step runs again.
// Source: Envoy source/extensions/filters/http/jwt_authn/filter.cc.
import type { JsonObject } from '@bufbuild/protobuf';
import type { HeaderId } from '../base/brand.ts';
import type { Head } from '../http/head.ts';
import { H, internHeader } from '../http/header-name.ts';
import { addMetadata } from '../plan/dynamic-metadata.ts';
import type { Exchange, Resumer } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { CONTINUE, PAUSE, REPLY, type Verdict } from '../plan/plan.ts';
import { countTokens, removeParam, type TokenPlace } from './jwt-place.ts';
import type { GoodToken, JwtProvider } from './jwt-provider.ts';
import { judge, type Judgement, type JwtRequirement } from './jwt-requirement.ts';
import { STAT } from './jwt-stats.ts';
import { JWT, PENDING, type JwtStatus } from './jwt-status.ts';

/** The namespace of dynamic metadata. */
export const JWT_NAMESPACE = 'envoy.filters.http.jwt_authn';

export interface JwtRule {
  readonly matches: (x: Exchange) => boolean;
  /** Null: nothing. */
  readonly requires: JwtRequirement | null;
}

/** What all settings of one filter share. */
export interface JwtFilter {
  readonly tally: FilterTally;
  readonly notes: Judgement;
  readonly stripped: readonly HeaderId[];
  /** Their spellings with underscores, which some servers read as them. */
  readonly disguises: ReadonlySet<number>;
  /** Everywhere that any provider looks; empty where several tokens in a request are as good as one. */
  readonly lonePlaces: readonly TokenPlace[];
  readonly bypassesPreflight: boolean;
  readonly stripsReason: boolean;
  /** Of Exchange.held: the request waits, or has waited, for keys or signatures. */
  readonly bit: number;
  /** Who has waited for keys. */
  readonly hasWaited: Set<Exchange>;
}

export interface JwtSettings {
  readonly filter: JwtFilter;
  readonly rules: readonly JwtRule[];
  /** Why no request passes here; empty: they are judged. */
  readonly refusal: string;
}

const ORIGIN = internHeader('origin');
const REQUEST_METHOD = internHeader('access-control-request-method');
const AUTHENTICATE = internHeader('www-authenticate');
const ORIGINAL_PATH = H.envoyOriginalPath;
const REALM_PATH_CHARS_MAX = 256;

/** How often a request has been judged, and whether it has waited for keys. */
type Turn = 0 | 1 | 2;
const FIRST = 0;
const AGAIN = 1;
const HAS_KEYS = 2;

export function runJwt(x: Exchange, arg: JwtSettings): Verdict {
  const { filter } = arg;
  if ((x.held & filter.bit) !== 0) return runAgain(x, arg);
  for (let i = 0; i < filter.stripped.length; i++) x.request.remove(filter.stripped[i] as HeaderId);
  if (filter.disguises.size > 0) removeDisguises(x.request, filter.disguises);
  if (filter.bypassesPreflight && isPreflight(x)) {
    filter.tally.add(STAT.bypassed, 1);
    return pass(filter);
  }
  if (arg.refusal !== '') return refuseRoute(x, arg);
  const requires = requirementOf(x, arg.rules);
  return requires === null ? pass(filter) : authenticate(x, filter, requires, FIRST);
}

function removeDisguises(head: Head, disguises: ReadonlySet<number>): void {
  const { ids, count } = head;
  for (let i = 0; i < count; i++) if (disguises.has(ids[i] as number)) head.removeAt(i);
}

/** Judges again who has waited; keys are waited for once. */
function runAgain(x: Exchange, arg: JwtSettings): Verdict {
  const { filter } = arg;
  const requires = requirementOf(x, arg.rules);
  if (requires !== null) return authenticate(x, filter, requires, filter.hasWaited.has(x) ? HAS_KEYS : AGAIN);
  forget(x, filter);
  return pass(filter);
}

/** Nobody waits for the exchange any more. */
export function endJwt(x: Exchange, { filter }: JwtSettings): Verdict {
  if ((x.held & filter.bit) !== 0) forget(x, filter);
  return CONTINUE;
}

function forget(x: Exchange, filter: JwtFilter): void {
  x.held &= ~filter.bit;
  filter.hasWaited.delete(x);
  filter.notes.providers.checks.release(x);
}

function authenticate(x: Exchange, filter: JwtFilter, requires: JwtRequirement, turn: Turn): Verdict {
  const { notes, lonePlaces } = filter;
  if (lonePlaces.length > 0 && countTokens(x.request, lonePlaces) > 1) return refuse(x, filter, JWT.multipleTokens);
  notes.begin(turn !== HAS_KEYS && x.resumer !== null);
  const status = judge(x, requires, notes);
  if (status === PENDING && x.resumer !== null) return wait(x, filter, x.resumer);
  if (turn !== FIRST) forget(x, filter);
  for (let i = 0; i < notes.failures.length; i++) {
    tellFailure(x, notes.failedBy[i] as JwtProvider, notes.failures[i] as JwtStatus);
  }
  let movesRoute = false;
  for (let i = 0; i < notes.goodCount; i++) {
    const token = notes.good[i] as GoodToken;
    lay(x, token, notes.places[i] as TokenPlace);
    if (token.movesRoute) movesRoute = true;
  }
  if (status !== JWT.ok) return refuse(x, filter, status);
  pass(filter);
  // Where nobody drives the exchange (`/explain`) there is one route.
  if (!movesRoute || x.resumer === null) return CONTINUE;
  x.movesRoute = true;
  return PAUSE;
}

function requirementOf(x: Exchange, rules: readonly JwtRule[]): JwtRequirement | null {
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i] as JwtRule;
    if (rule.matches(x)) return rule.requires;
  }
  return null;
}

function pass(filter: JwtFilter): Verdict {
  filter.tally.add(STAT.allowed, 1);
  return CONTINUE;
}

/** What a good token leaves behind; the token itself goes, unless it is forwarded. */
function lay(x: Exchange, token: GoodToken, place: TokenPlace): void {
  for (let i = 0; i < token.headerIds.length; i++) {
    x.request.add(token.headerIds[i] as HeaderId, token.headerValues[i] as string);
  }
  if (!token.provider.isForwarded) {
    if (place.kind === 'header') x.request.remove(place.header);
    else if (place.kind === 'param') removeParam(x.request, place.name);
  }
  if (token.metadata === null) return;
  const known = x.metadata.get(JWT_NAMESPACE);
  x.metadata.set(JWT_NAMESPACE, known === undefined ? token.metadata : joined(known, token.metadata));
}

function joined(known: JsonObject, more: JsonObject): JsonObject {
  return Object.freeze(Object.assign({}, known, more));
}

/** Runs for tokens that failed only. */
function tellFailure(x: Exchange, provider: JwtProvider, status: JwtStatus): void {
  addMetadata(x, JWT_NAMESPACE, provider.failureKey, Object.freeze({ code: status.code, message: status.text }));
}

/** Fetch: a preflight has no credentials. */
function isPreflight(x: Exchange): boolean {
  const { request } = x;
  if (request.method !== 'OPTIONS') return false;
  const origin = request.get(ORIGIN);
  const method = request.get(REQUEST_METHOD);
  return origin !== null && origin !== '' && method !== null && method !== '';
}

/** For one set of keys, and for as many signatures as its tokens have. */
function wait(x: Exchange, filter: JwtFilter, resumer: Resumer): Verdict {
  const keys = filter.notes.awaited[0];
  x.held |= filter.bit;
  if (keys !== undefined) {
    filter.hasWaited.add(x);
    if (!keys.await(resumer, x.epoch)) {
      forget(x, filter);
      return refuse(x, filter, JWT.fetchFailed);
    }
  }
  x.repeatsStep = true;
  x.pauseMs = 0;
  return PAUSE;
}

function refuse(x: Exchange, filter: JwtFilter, status: JwtStatus): Verdict {
  filter.tally.add(STAT.denied, 1);
  x.details = status.details;
  x.response.status = status.httpStatus;
  if (filter.stripsReason) return REPLY;
  x.replyBody = status.text;
  const realm = 'Bearer realm="' + originalUri(x) + '"';
  x.response.set(AUTHENTICATE, status === JWT.missing ? realm : realm + ', error="invalid_token"');
  return REPLY;
}

/** A route that asks for a requirement that there is none of. */
function refuseRoute(x: Exchange, arg: JwtSettings): Verdict {
  arg.filter.tally.add(STAT.denied, 1);
  x.details = 'jwt_authn_access_denied{' + arg.refusal.replaceAll(' ', '_') + '}';
  x.response.status = 403;
  if (!arg.filter.stripsReason) x.replyBody = 'Failed JWT authentication: ' + arg.refusal;
  return REPLY;
}

/** What the client asked for. */
function originalUri(x: Exchange): string {
  const { request } = x;
  const path = request.get(ORIGINAL_PATH) ?? request.path;
  const scheme = request.get(H.forwardedProto) ?? request.scheme;
  return scheme + '://' + request.authority + path.slice(0, REALM_PATH_CHARS_MAX);
}
