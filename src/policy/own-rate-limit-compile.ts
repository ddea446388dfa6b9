// Compiles `outrigger.ratelimit`, a filter of ours whose configuration is a google.protobuf.Struct, written by
// control/translate/rate-limits.ts:
//   { limits: [{ name, requests, perMs, burst, shadow, by, header, overrides, match, share }], status, headers, fields }
// It has no settings by route.
import { fromJson, toJson, type JsonValue } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { error, refuses } from '../base/problem.ts';
import type { FillRate } from '../base/rate-bucket.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import { step } from '../plan/step.ts';
import { HeaderMatcherSchema, type HeaderMatcher } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { unpack } from '../xds/unpack.ts';
import { LimitPortion } from './limit-portion.ts';
import {
  OWN_STATS,
  runOwnLimits,
  tellOwnLimit,
  type OwnLimit,
  type OwnLimits,
  type Standing,
} from './own-rate-limit.ts';

const LIMITS_MAX = 100;
/** Callers, or values of a header, that have a bucket at a time. */
const KEYS_MAX = 500;
const LABEL = 'outrigger_rate_limit';

type Fields = Readonly<Record<string, JsonValue>>;

/** As a CompileHttpFilter. */
export function compileOwnLimits(config: Any, scope: FilterScope): HttpFilter | null {
  const { env, path, name, clock, bit } = scope;
  const before = env.problems.length;
  const struct = unpack(config, StructSchema);
  const fields = struct === null ? null : objectOf(toJson(StructSchema, struct));
  const list = listOf(fields?.['limits']);
  if (fields === null || list.length === 0 || list.length > LIMITS_MAX) {
    env.problems.push(error(`${path}.limits`, 'are none, or too many', `write 1 to ${LIMITS_MAX}`));
    return null;
  }
  const limits = list.map((one, i) => compileLimit(objectOf(one) ?? {}, scope, `${path}.limits[${i}]`));
  const found = limits.filter((limit) => limit !== null);
  if (refuses(env.problems.slice(before)) || found.length !== limits.length) return null;
  const told = fields['fields'] === 'ratelimit' || fields['fields'] === 'x-ratelimit' ? fields['fields'] : 'none';
  const settings: OwnLimits = {
    limits: found,
    clock,
    status: numberOf(fields['status']) || 429,
    headers: Object.entries(objectOf(fields['headers']) ?? {}).map(([key, value]) => [
      internHeader(key),
      textOf(value),
    ]),
    fields: told,
    standings: told === 'none' ? null : Object.assign(new WeakMap<Exchange, Standing>(), { toJSON: () => undefined }),
    bit,
  };
  const onRequest = [step('rate-limit', name, runOwnLimits, settings)];
  const onResponse = told === 'none' ? [] : [step('rate-limit', name, tellOwnLimit, settings)];
  return { part: { onRequest, onResponse }, withSettings: () => null };
}

function compileLimit(fields: Fields, scope: FilterScope, path: string): OwnLimit | null {
  const { env, limits, place } = scope;
  const name = textOf(fields['name']);
  const rate = rateOf(fields);
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(name) || rate === null) {
    env.problems.push(error(path, 'is no limit', 'write name, requests, perMs and burst'));
    return null;
  }
  const matches = listOf(fields['match']).map((one, i) => {
    const matcher = readMatcher(one);
    return matcher === null ? null : compileHeaderMatch(matcher, env.problems, `${path}.match[${i}]`);
  });
  if (matches.includes(null))
    env.problems.push(error(`${path}.match`, 'has what is no matcher', 'write name and value'));
  const by = textOf(fields['by']);
  const header = textOf(fields['header']);
  const key = `own ${textOf(fields['id']) || `${place} ${name}`}`;
  const share = textOf(fields['share']);
  const isKeyed = by === 'caller' || by === 'header';
  return {
    name,
    rate,
    policy: `"${name}";q=${numberOf(fields['requests'])};w=${Math.max(1, Math.ceil(numberOf(fields['perMs']) / 1000))}`,
    matches: matches.filter((predicate) => predicate !== null),
    bucket: isKeyed ? null : limits.rate(key),
    keyed: isKeyed ? limits.keyedRates(key, KEYS_MAX) : null,
    header: by === 'header' ? internHeader(header) : null,
    overrides: overridesOf(fields['overrides']),
    portion: share === '' ? null : new LimitPortion(limits.share(share)),
    isShadow: fields['shadow'] === true,
    tally: scope.tally('ratelimit', OWN_STATS, { label: LABEL, value: name }),
  };
}

function overridesOf(given: JsonValue | undefined): ReadonlyMap<string, FillRate> {
  const overrides = new Map<string, FillRate>();
  for (const one of listOf(given)) {
    const fields = objectOf(one) ?? {};
    const rate = rateOf(fields);
    if (rate !== null) for (const id of listOf(fields['callers'])) overrides.set(textOf(id), rate);
  }
  return overrides;
}

function rateOf(fields: Fields): FillRate | null {
  const [requests, perMs, burst] = [fields['requests'], fields['perMs'], fields['burst']].map(numberOf);
  if (requests === undefined || perMs === undefined || burst === undefined) return null;
  return requests > 0 && perMs > 0 && burst >= 1 ? { tokensMax: burst, tokensPerMs: requests / perMs } : null;
}

function readMatcher(value: JsonValue): HeaderMatcher | null {
  try {
    return fromJson(HeaderMatcherSchema, value);
  } catch {
    // Whatever is written there: it is reported as no matcher.
    return null;
  }
}

function objectOf(value: JsonValue | undefined): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: JsonValue | undefined): number {
  return typeof value === 'number' ? value : 0;
}
