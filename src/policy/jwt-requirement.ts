// @hot
// What is required of the tokens of a request, judged: a tree of alternatives and conjunctions over providers. Nothing
// is changed while it is judged: what good tokens leave behind is noted in `Judgement` and laid by its owner in the
// end, so that a request that had to wait for keys can simply be judged again. A place whose token was taken out by an
// earlier branch counts as empty for the later ones, as in Envoy. Every token that a provider's places hold must be good.
// Source: Envoy source/extensions/filters/http/jwt_authn/{verifier,authenticator}.cc.
import type { Clock } from '../base/clock.ts';
import type { KeySet } from '../base/key-set.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { cookieOf } from '../plan/request-cookie.ts';
import { wireText } from '../plan/wire-text.ts';
import type { JwtChecks } from './jwt-checks.ts';
import type { JwtKeySource } from './jwt-key-source.ts';
import { paramOf, tokenOfHeader, type TokenPlace } from './jwt-place.ts';
import { checkTimes, goodToken, isAudienceAllowed, type GoodToken, type JwtProvider } from './jwt-provider.ts';
import { keysFor } from './jwt-signature.ts';
import { STAT } from './jwt-stats.ts';
import { JWT, PENDING, type JwtStatus } from './jwt-status.ts';
import { parseToken, type JwtToken } from './jwt-token.ts';

/** All branches have one shape. */
export interface JwtRequirement {
  readonly kind: 'tokens' | 'any' | 'all' | 'nothing';
  /** `any`, `all`. */
  readonly branches: readonly JwtRequirement[];
  /** `tokens`: whose; null: of whoever the token says, among all providers. */
  readonly provider: JwtProvider | null;
  /** `tokens`: in the order in which they are read. */
  readonly places: readonly TokenPlace[];
  /** `tokens`: in the place of the provider's audiences; null: the provider's. */
  readonly audiences: ReadonlySet<string> | null;
  /** `tokens`, `any`: a token need not be there. */
  readonly allowsMissing: boolean;
  /** `tokens`, `any`: tokens need not be good. */
  readonly allowsFailed: boolean;
}

/** What all requirements of one filter share. */
export interface JwtProviders {
  readonly all: readonly JwtProvider[];
  readonly byIssuer: ReadonlyMap<string, JwtProvider>;
  /** The first one without an issuer. */
  readonly anonymous: JwtProvider | null;
  readonly clock: Clock;
  readonly tally: FilterTally;
  readonly checks: JwtChecks;
}

/** Tokens that one request may have judged: beyond are too many. */
const TOKENS_MAX = 32;

/** The notes of one judgement. Judging is done in one go, so that a filter needs only one. */
export class Judgement {
  readonly providers: JwtProviders;
  /** The first `goodCount` of them count. They are written over, never cut off: a list that is emptied is made anew. */
  readonly good: GoodToken[] = [];
  readonly places: TokenPlace[] = [];
  goodCount = 0;
  /** How many good tokens earlier branches had. */
  earlier = 0;
  tokens = 0;
  /** Keys that are waited for; only where the request may wait for keys. */
  readonly awaited: JwtKeySource[] = [];
  mayWaitForKeys = false;
  /** Tokens that failed, for metadata: their providers and statuses in turn. */
  readonly failedBy: JwtProvider[] = [];
  readonly failures: JwtStatus[] = [];

  constructor(providers: JwtProviders) {
    this.providers = providers;
  }

  begin(mayWaitForKeys: boolean): void {
    this.mayWaitForKeys = mayWaitForKeys;
    this.earlier = 0;
    this.tokens = 0;
    this.goodCount = 0;
    if (this.awaited.length > 0) this.awaited.length = 0;
    if (this.failures.length > 0) {
      this.failures.length = 0;
      this.failedBy.length = 0;
    }
  }

  noteGood(token: GoodToken, place: TokenPlace): void {
    this.good[this.goodCount] = token;
    this.places[this.goodCount] = place;
    this.goodCount++;
  }

  toJSON(): undefined {
    return undefined;
  }
}

/** OK, why the request is refused, or PENDING: it waits for keys (see `awaited`), or for a signature to be checked. */
export function judge(x: Exchange, wanted: JwtRequirement, notes: Judgement): JwtStatus {
  switch (wanted.kind) {
    case 'tokens':
      return judgeTokens(x, wanted, notes);
    case 'any':
      return judgeAny(x, wanted, notes);
    case 'all':
      return judgeAll(x, wanted, notes);
    default:
      return JWT.ok;
  }
}

/** Other errors are told before an unknown issuer, that before a missing token. */
function judgeAny(x: Exchange, wanted: JwtRequirement, notes: Judgement): JwtStatus {
  let status: JwtStatus = JWT.missing;
  for (let i = 0; i < wanted.branches.length; i++) {
    const found = judge(x, wanted.branches[i] as JwtRequirement, notes);
    if (found === JWT.ok || found === PENDING) return found;
    if ((found !== JWT.missing && found !== JWT.unknownIssuer) || status === JWT.missing) status = found;
  }
  if (wanted.allowsFailed || (wanted.allowsMissing && status === JWT.missing)) return JWT.ok;
  return status;
}

function judgeAll(x: Exchange, wanted: JwtRequirement, notes: Judgement): JwtStatus {
  for (let i = 0; i < wanted.branches.length; i++) {
    const found = judge(x, wanted.branches[i] as JwtRequirement, notes);
    if (found !== JWT.ok) return found;
  }
  return JWT.ok;
}

/** The last place first, and in it the last line, as Envoy does. */
function judgeTokens(x: Exchange, wanted: JwtRequirement, notes: Judgement): JwtStatus {
  notes.earlier = notes.goodCount;
  const before = notes.tokens;
  let status: JwtStatus = JWT.missing;
  for (let i = wanted.places.length - 1; i >= 0; i--) {
    const place = wanted.places[i] as TokenPlace;
    if (notes.earlier > 0 && isTaken(place, notes)) continue;
    const found = place.kind === 'header' ? judgeLines(x, wanted, place, notes) : judgeOne(x, wanted, place, notes);
    if (found === JWT.missing) continue;
    status = found;
    if (found !== JWT.ok && !(wanted.allowsFailed && found !== PENDING)) return found;
  }
  if (notes.tokens === before) noteMissing(notes);
  if (wanted.allowsFailed) return JWT.ok;
  return wanted.allowsMissing && status === JWT.missing ? JWT.ok : status;
}

function isTaken(place: TokenPlace, notes: Judgement): boolean {
  for (let i = 0; i < notes.earlier; i++) {
    const other = notes.places[i] as TokenPlace;
    if ((notes.good[i] as GoodToken).provider.isForwarded || other.kind !== place.kind) continue;
    if (place.kind === 'header' ? other.header === place.header : place.kind === 'param' && other.name === place.name)
      return true;
  }
  return false;
}

function judgeLines(x: Exchange, wanted: JwtRequirement, place: TokenPlace, notes: Judgement): JwtStatus {
  const head = x.request;
  let status: JwtStatus = JWT.missing;
  if (place.joins) {
    const value = head.getJoined(place.header);
    const text = value === null ? null : tokenOfHeader(value, place.prefix);
    return text === null ? status : judgeText(x, text, wanted, place, notes);
  }
  for (let i = head.count - 1; i >= 0; i--) {
    if (head.ids[i] !== place.header) continue;
    const text = tokenOfHeader(head.valueAt(i), place.prefix);
    if (text === null) continue;
    status = judgeText(x, text, wanted, place, notes);
    if (status !== JWT.ok && !(wanted.allowsFailed && status !== PENDING)) return status;
  }
  return status;
}

function judgeOne(x: Exchange, wanted: JwtRequirement, place: TokenPlace, notes: Judgement): JwtStatus {
  const text = place.kind === 'param' ? paramOf(x.request.path, place.name) : cookieOf(x.request, place.name);
  return text === null ? JWT.missing : judgeText(x, text, wanted, place, notes);
}

function judgeText(x: Exchange, text: string, wanted: JwtRequirement, place: TokenPlace, notes: Judgement): JwtStatus {
  if (++notes.tokens > TOKENS_MAX) return JWT.multipleTokens;
  const { providers } = notes;
  const known = wanted.provider === null ? findAnywhere(text, providers) : find(text, wanted.provider, providers);
  if (known === null) {
    const status = judgeNew(x, text, wanted, place, notes);
    // Who waits is judged again.
    if (status !== PENDING) providers.tally.add(STAT.cacheMiss, 1);
    return status;
  }
  providers.tally.add(STAT.cacheHit, 1);
  const status = checkGood(known, wanted, place, providers.clock.wall() / 1000);
  if (status === JWT.ok) {
    notes.noteGood(known, place);
  } else {
    if (status === JWT.expired) known.provider.cache.remove(text);
    noteFailure(known.provider, status, notes);
  }
  return status;
}

/** Who uses keys of some age has them fetched again. */
function find(text: string, { keys, cache }: JwtProvider, { clock }: JwtProviders): GoodToken | null {
  if (keys.refreshAtMs !== Infinity && keys.current !== null && clock.now() >= keys.refreshAtMs) keys.refresh();
  cache.follow(keys.version);
  return cache.find(text);
}

function findAnywhere(text: string, providers: JwtProviders): GoodToken | null {
  for (let i = 0; i < providers.all.length; i++) {
    const provider = providers.all[i] as JwtProvider;
    const found = find(text, provider, providers);
    if (found !== null && ofIssuer(found.iss, providers) === provider) return found;
  }
  return null;
}

function ofIssuer(issuer: string, providers: JwtProviders): JwtProvider | null {
  return providers.byIssuer.get(issuer) ?? providers.anonymous;
}

function checkGood(token: GoodToken, wanted: JwtRequirement, place: TokenPlace, now: number): JwtStatus {
  if (wanted.provider === null && !isIssuerAllowed(place, token.iss)) return JWT.unknownIssuer;
  const status = checkTimes(token, token.provider, Math.floor(now));
  if (status !== JWT.ok) return status;
  const isAllowed =
    wanted.audiences === null ? token.isForProvider : isAudienceAllowed(token.audiences, wanted.audiences);
  return isAllowed ? JWT.ok : JWT.audienceNotAllowed;
}

function isIssuerAllowed(place: TokenPlace, issuer: string): boolean {
  return place.issuers === null || place.issuers.has(issuer);
}

/** A token that nobody remembers: parsed, checked, verified, and remembered. */
function judgeNew(x: Exchange, text: string, wanted: JwtRequirement, place: TokenPlace, notes: Judgement): JwtStatus {
  const { providers } = notes;
  if (wanted.provider !== null) {
    const bad = wanted.provider.cache.findBad(text);
    if (bad !== JWT.ok) return noteFailure(wanted.provider, bad, notes);
  }
  const token = parseToken(text);
  if ('details' in token) return noteFailure(wanted.provider, token, notes);
  if (!isIssuerAllowed(place, token.iss)) return noteFailure(wanted.provider, JWT.unknownIssuer, notes);
  const provider = wanted.provider ?? ofIssuer(token.iss, providers);
  if (provider === null) return noteFailure(null, JWT.unknownIssuer, notes);
  if (provider.subjects !== null && !provider.subjects(wireText(token.sub))) {
    return noteFailure(provider, JWT.verificationFails, notes);
  }
  const times = checkTimes(token, provider, Math.floor(providers.clock.wall() / 1000));
  if (times !== JWT.ok) return noteFailure(provider, times, notes);
  if (!isAudienceAllowed(token.audiences, wanted.audiences ?? provider.audiences)) {
    return noteFailure(provider, JWT.audienceNotAllowed, notes);
  }
  const { current } = provider.keys;
  const status = current === null ? JWT.fetchFailed : check(x, text, token, current, notes);
  if (status === PENDING || status === JWT.overloaded || status === JWT.notVerified) return status;
  if (status === JWT.ok) {
    const good = goodToken(token, provider);
    provider.cache.add(text, good);
    notes.noteGood(good, place);
    return status;
  }
  const isUnknownKey = status === JWT.noMatchingKey;
  if ((current === null || isUnknownKey) && provider.keys.request(isUnknownKey) && notes.mayWaitForKeys) {
    notes.awaited.push(provider.keys);
    return PENDING;
  }
  if (status === JWT.verificationFails) provider.cache.addBad(text, status);
  return noteFailure(provider, status, notes);
}

function check(x: Exchange, text: string, token: JwtToken, set: KeySet, notes: Judgement): JwtStatus {
  const keys = keysFor(token, set);
  if ('details' in keys) return keys;
  if (x.resumer === null) return JWT.notVerified;
  return notes.providers.checks.find(x, { text, alg: token.alg, set, keys });
}

function noteFailure(provider: JwtProvider | null, status: JwtStatus, notes: Judgement): JwtStatus {
  if (provider !== null && provider.failureKey !== '') {
    notes.failedBy.push(provider);
    notes.failures.push(status);
  }
  return status;
}

/** Envoy knows whose token is missing only where there is one provider. */
function noteMissing(notes: Judgement): void {
  const { all } = notes.providers;
  if (all.length === 1) noteFailure(all[0] as JwtProvider, JWT.missing, notes);
}
