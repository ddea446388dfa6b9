// What browsers are told of other origins: `corsPolicy` of a VirtualService rule, and the filter CORS of an HTTPRoute, as
// one shape. Sources: istio networking/v1alpha3 CorsPolicy; Gateway API HTTPCORSFilter.
import type { Fields } from './fields.ts';
import { readStringMatch } from './string-match.ts';
import type { StringMatch } from './string-match.ts';

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** Whole seconds are what browsers are told. */
  readonly maxAgeMs: number | null;
  /** Null: it is not said. */
  readonly allowsCredentials: boolean | null;
  /** A preflight of an origin that is not allowed goes to the app; null is Envoy's default, which does so. */
  readonly forwardsOthers: boolean | null;
}

/** Gateway API's default. */
const MAX_AGE_SECONDS = 5;
const SECONDS_MAX = 2_147_483_647;

/** Of a VirtualService. */
export function readCors(fields: Fields): CorsPolicy {
  const origins = fields.texts('allowOrigin').map((value): StringMatch => ({ kind: 'exact', value }));
  const unmatched = fields.choice('unmatchedPreflights', ['UNSPECIFIED', 'FORWARD', 'IGNORE']);
  const allowOrigins = [...fields.list('allowOrigins', readStringMatch), ...origins];
  warnOfStrangers(fields, allowOrigins);
  return {
    allowOrigins,
    allowMethods: fields.texts('allowMethods'),
    allowHeaders: fields.texts('allowHeaders'),
    exposeHeaders: fields.texts('exposeHeaders'),
    maxAgeMs: fields.durationMs('maxAge'),
    allowsCredentials: fields.flag('allowCredentials'),
    forwardsOthers: unmatched === null || unmatched === 'UNSPECIFIED' ? null : unmatched === 'FORWARD',
  };
}

/** Of an HTTPRoute. */
export function readGatewayCors(fields: Fields): CorsPolicy {
  fields.refuseUnknown();
  const seconds = fields.integer('maxAge', { min: 1, max: SECONDS_MAX }) ?? MAX_AGE_SECONDS;
  const allowOrigins = fields.texts('allowOrigins').map((origin) => originMatch(origin, fields));
  warnOfStrangers(fields, allowOrigins);
  return {
    allowOrigins,
    allowMethods: fields.texts('allowMethods'),
    allowHeaders: fields.texts('allowHeaders'),
    exposeHeaders: fields.texts('exposeHeaders'),
    maxAgeMs: seconds * 1000,
    allowsCredentials: fields.flag('allowCredentials'),
    forwardsOthers: null,
  };
}

/** With credentials a page of an allowed origin acts as the user who looks at it. */
function warnOfStrangers(fields: Fields, origins: readonly StringMatch[]): void {
  const open = origins.find(isOpen);
  if (open === undefined || fields.flag('allowCredentials') !== true) return;
  const text = open.kind === 'present' ? 'an empty match' : `${open.kind} ${JSON.stringify(open.value)}`;
  const message = `${text} is met by sites of strangers, whose pages may then ask with the user's cookies`;
  fields.warning('allowOrigins', message, 'write whole origins, or a regex that ends with a domain of yours');
}

/** An origin ends with its host or port, so whatever only begins like one may go on to be another host. */
function isOpen({ kind, value }: StringMatch): boolean {
  if (kind === 'present') return true;
  if (kind === 'prefix') return !/:\/\/[^/]+:\d*$/.test(value);
  return kind === 'exact' ? value === '*' : /^\^?\.[*+]\$?$|\.[*+]\$?$/.test(value);
}

/** `SCHEME://HOST[:PORT]`; a host may begin with `*.`, and `*` alone is every origin. */
function originMatch(origin: string, fields: Fields): StringMatch {
  if (origin === '*') return { kind: 'regex', value: '.*' };
  if (
    !/^[a-z][a-z0-9+.-]*:\/\/(?:\*\.)?[A-Za-z0-9.\-[\]:]+$/.test(origin) &&
    !/^[a-z][a-z0-9+.-]*:\/\/\*$/.test(origin)
  ) {
    fields.error('allowOrigins', `"${origin}" is not an origin`, 'write for example https://shop.example');
  }
  if (!origin.includes('*')) return { kind: 'exact', value: origin };
  const [before = '', after = ''] = origin.split('*');
  return { kind: 'regex', value: `${quoted(before)}[^/:]+${quoted(after)}` };
}

function quoted(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
