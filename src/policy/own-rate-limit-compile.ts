// Compiles `outrigger.ratelimit`, a filter of ours whose configuration is a google.protobuf.Struct, written by
// control/translate/rate-limits.ts:
//   { policies: [{ limits: [{ name, id, stat, requests, perMs, burst, shadow, by, header, overrides, match, share }],
//                  status, headers, fields }] }
// One policy may stand without the list. Nothing at all is the base form, for routes to bring their settings, which are of the
// same form and must say something. The limits of all policies are one list: a request takes of all or of none. Buckets are
// found by `id`, so that they keep their tokens when the configuration comes again and are the same wherever it stands.
import { fromJson, toJson, type JsonValue } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { error, refuses } from '../base/problem.ts';
import type { FillRate } from '../base/rate-bucket.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import type { PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { HeaderMatcherSchema, type HeaderMatcher } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { unpack } from '../xds/unpack.ts';
import { LimitPortion } from './limit-portion.ts';
import {
  OWN_STATS,
  runOwnLimits,
  tellOwnLimit,
  type LimitReply,
  type OwnLimit,
  type OwnLimits,
  type Standing,
} from './own-rate-limit.ts';

const LIMITS_MAX = 1000;
/** Callers, or values of a header, that have a bucket at a time. */
const KEYS_MAX = 500;
const LABEL = 'outrigger_rate_limit';

type Fields = Readonly<Record<string, JsonValue>>;

/** As a CompileHttpFilter. */
export function compileOwnLimits(config: Any, scope: FilterScope): HttpFilter | null {
  const fields = fieldsOf(config);
  const isBase = fields !== null && Object.keys(fields).length === 0;
  const part = isBase ? {} : compilePolicies(fields, scope);
  if (part === null) return null;
  return {
    part,
    withSettings: (settings, env, path) => compilePolicies(fieldsOf(settings), { ...scope, env, path }),
  };
}

/** Null after reporting what is wrong. */
function compilePolicies(fields: Fields | null, scope: FilterScope): PlanPart | null {
  const { env, path, name, clock, bit } = scope;
  const before = env.problems.length;
  const isList = fields !== null && 'policies' in fields;
  const policies = isList ? listOf(fields['policies']).map((one) => objectOf(one) ?? {}) : [fields ?? {}];
  const found = policies.flatMap((policy, i) =>
    compilePolicy(policy, scope, isList ? `${path}.policies[${i}].limits` : `${path}.limits`),
  );
  if (found.length === 0 || found.length > LIMITS_MAX)
    env.problems.push(error(path, 'has no limits, or too many', `write 1 to ${LIMITS_MAX}`));
  if (refuses(env.problems.slice(before))) return null;
  const tells = found.some(({ reply }) => reply.fields !== 'none');
  const settings: OwnLimits = {
    limits: found,
    clock,
    standings: tells ? Object.assign(new WeakMap<Exchange, Standing>(), { toJSON: () => undefined }) : null,
    bit,
  };
  const onRequest = [step('rate-limit', name, runOwnLimits, settings)];
  return tells ? { onRequest, onResponse: [step('rate-limit', name, tellOwnLimit, settings)] } : { onRequest };
}

function fieldsOf(config: Any): Fields | null {
  const struct = unpack(config, StructSchema);
  return struct === null ? null : objectOf(toJson(StructSchema, struct));
}

function compilePolicy(fields: Fields, scope: FilterScope, path: string): readonly OwnLimit[] {
  const list = listOf(fields['limits']);
  if (list.length === 0) scope.env.problems.push(error(path, 'are none', 'write name, requests, perMs and burst'));
  const reply: LimitReply = {
    status: numberOf(fields['status']) || 429,
    headers: Object.entries(objectOf(fields['headers']) ?? {}).map(([key, value]) => [
      internHeader(key),
      textOf(value),
    ]),
    fields: fields['fields'] === 'ratelimit' || fields['fields'] === 'x-ratelimit' ? fields['fields'] : 'none',
  };
  return list
    .map((one, i) => compileLimit(objectOf(one) ?? {}, reply, { ...scope, path: `${path}[${i}]` }))
    .filter((limit) => limit !== null);
}

function compileLimit(fields: Fields, reply: LimitReply, scope: FilterScope): OwnLimit | null {
  const { env, limits, place, path } = scope;
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
    tally: scope.tally('ratelimit', OWN_STATS, { label: LABEL, value: textOf(fields['stat']) || name }),
    reply,
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
