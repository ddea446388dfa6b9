// @hot
// CORS as Envoy's filter does it: answers preflights (OPTIONS with Origin and Access-Control-Request-Method) by itself and
// adds what browsers ask for to responses of allowed origins. It refuses nothing: browsers do. A request without
// an Origin costs one look.
// Source: Envoy cors HTTP filter; rules as measured on Envoy 1.40.
import type { HeaderId } from '../base/brand.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { CONTINUE, REPLY, type Verdict } from '../plan/plan.ts';
import type { StringPredicate } from '../plan/string-match.ts';

/** The statistics `http.PREFIX.cors.*`. */
export const CORS_STATS = [
  { name: 'origin_valid', kind: 'counter' },
  { name: 'origin_invalid', kind: 'counter' },
] as const;
const VALID = 0;
const INVALID = 1;

export interface CorsSettings {
  readonly tally: FilterTally;
  readonly isEnabled: (x: Exchange) => boolean;
  readonly isShadow: (x: Exchange) => boolean;
  readonly origins: readonly StringPredicate[];
  /** Wire text; empty: nothing is said of it. `*` for methods and headers: what the preflight asks for. */
  readonly methods: string;
  readonly headers: string;
  readonly exposed: string;
  readonly maxAge: string;
  readonly allowsCredentials: boolean;
  readonly allowsPrivateNetwork: boolean;
  /** A preflight of another origin goes to the app. */
  readonly forwardsOthers: boolean;
  /** Of Exchange.held: its response gets the fields of an allowed origin. */
  readonly bit: number;
}

const ORIGIN = internHeader('origin');
const REQUEST_METHOD = internHeader('access-control-request-method');
const REQUEST_HEADERS = internHeader('access-control-request-headers');
const REQUEST_PRIVATE = internHeader('access-control-request-private-network');
const ALLOW_ORIGIN = internHeader('access-control-allow-origin');
const ALLOW_CREDENTIALS = internHeader('access-control-allow-credentials');
const ALLOW_METHODS = internHeader('access-control-allow-methods');
const ALLOW_HEADERS = internHeader('access-control-allow-headers');
const ALLOW_PRIVATE = internHeader('access-control-allow-private-network');
const EXPOSE_HEADERS = internHeader('access-control-expose-headers');
const MAX_AGE = internHeader('access-control-max-age');

export function runCors(x: Exchange, arg: CorsSettings): Verdict {
  const { request } = x;
  const origin = request.getJoined(ORIGIN);
  if (origin === null || origin === '') return CONTINUE;
  const isEnabled = arg.isEnabled(x);
  if (!isEnabled && !arg.isShadow(x)) return CONTINUE;
  const isAllowed = allows(arg.origins, origin);
  arg.tally.add(isAllowed ? VALID : INVALID, 1);
  if (!isEnabled) return CONTINUE;
  // Several of them are one, as everybody after us reads them.
  if (request.find(ORIGIN, request.find(ORIGIN) + 1) !== -1) request.set(ORIGIN, origin);
  if (isAllowed) x.held |= arg.bit;
  const method = request.get(REQUEST_METHOD);
  if (request.method !== 'OPTIONS' || method === null || method === '') return CONTINUE;
  if (!isAllowed && arg.forwardsOthers) return CONTINUE;
  answerPreflight(x, arg, method);
  return REPLY;
}

function allows(origins: readonly StringPredicate[], origin: string): boolean {
  for (let i = 0; i < origins.length; i++) {
    const matches = origins[i] as StringPredicate;
    if (matches('*') || matches(origin)) return true;
  }
  return false;
}

function answerPreflight(x: Exchange, arg: CorsSettings, method: string): void {
  const { request, response } = x;
  response.status = 200;
  x.details = 'cors_response';
  // The route's own edits are not for it.
  x.isResponseEdited = true;
  if (arg.allowsCredentials) response.set(ALLOW_CREDENTIALS, 'true');
  setUnlessEmpty(x, ALLOW_METHODS, arg.methods === '*' ? method : arg.methods);
  if (arg.headers === '*') response.set(ALLOW_HEADERS, request.get(REQUEST_HEADERS) ?? '');
  else setUnlessEmpty(x, ALLOW_HEADERS, arg.headers);
  setUnlessEmpty(x, MAX_AGE, arg.maxAge);
  if (arg.allowsPrivateNetwork && request.get(REQUEST_PRIVATE) === 'true') response.set(ALLOW_PRIVATE, 'true');
}

function setUnlessEmpty(x: Exchange, id: HeaderId, value: string): void {
  if (value !== '') x.response.set(id, value);
}

/** Adds to the response of an allowed origin, whoever it is from: answers of our own as well. */
export function endCors(x: Exchange, arg: CorsSettings): Verdict {
  if ((x.held & arg.bit) === 0) return CONTINUE;
  x.held &= ~arg.bit;
  const origin = x.request.get(ORIGIN);
  if (origin === null) return CONTINUE;
  const { response } = x;
  response.set(ALLOW_ORIGIN, origin);
  if (arg.allowsCredentials) response.set(ALLOW_CREDENTIALS, 'true');
  setUnlessEmpty(x, EXPOSE_HEADERS, arg.exposed);
  return CONTINUE;
}
