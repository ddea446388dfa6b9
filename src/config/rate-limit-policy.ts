// RateLimitPolicy (outrigger.dev/v1alpha1): how many requests the instances of a service take, for all together, for each
// caller, for each value of a header, for some paths or methods. Neither Istio's kinds nor the Gateway API have it. It sits
// on workloads: those behind the Services that it names, those with the labels of its selector, or all of its namespace; or
// on routes (VirtualService, HTTPRoute), which are where requests are sent: in the sidecars of the callers.
// What is not known here is refused, not passed by: a limit that is misread is no limit.
import { isVitalHeader } from '../base/vital-header.ts';
import type { Fields } from './fields.ts';
import { readLabels } from './workload-selector.ts';

/** So many requests in so long a time. */
export interface Rate {
  readonly requests: number;
  readonly perMs: number;
  /** So many at once, when nothing came before. */
  readonly burst: number;
}

/** Callers with a rate of their own. */
export interface RateOverride extends Rate {
  /** `namespace/name`. */
  readonly serviceAccounts: readonly string[];
}

export interface LimitMatch {
  /** Empty: any. */
  readonly methods: readonly string[];
  /** Without the query; `*` at the end is any rest. Empty: any. */
  readonly paths: readonly string[];
  /** All of them; null is any value. */
  readonly headers: readonly { readonly name: string; readonly value: string | null }[];
}

/** What has a bucket of its own: all requests together, each caller, or each value of a header. */
export type LimitKey =
  | { readonly kind: 'all' }
  | { readonly kind: 'caller' }
  | { readonly kind: 'header'; readonly name: string };

export interface RateLimit extends Rate {
  /** Of the policy's own; for statistics. */
  readonly name: string;
  readonly key: LimitKey;
  readonly overrides: readonly RateOverride[];
  readonly match: LimitMatch;
  /** `service`: divided among the instances; `instance`: each has it all. */
  readonly scope: 'instance' | 'service';
  /** Only counted. */
  readonly isShadow: boolean;
}

/** Fields that tell the client of the limit. */
export type LimitFields = 'none' | 'x-ratelimit' | 'ratelimit';

export interface LimitResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly fields: LimitFields;
}

export type LimitTargetKind = 'Service' | RouteKind;
export type RouteKind = 'VirtualService' | 'HTTPRoute';

export interface LimitTarget {
  readonly kind: LimitTargetKind;
  readonly name: string;
  /** A port by name or number, or a rule by its name; empty is all of them. */
  readonly sectionName: string;
}

/** API groups by kind. */
const GROUPS: Readonly<Record<LimitTargetKind, string>> = {
  Service: '',
  VirtualService: 'networking.istio.io',
  HTTPRoute: 'gateway.networking.k8s.io',
};
export const LIMIT_TARGET_KINDS: readonly LimitTargetKind[] = ['Service', 'VirtualService', 'HTTPRoute'];
/** Of the Gateway API's SectionName; a rule's name is part of the name of a divided limit. */
export const SECTION_CHARACTERS_MAX = 253;

export interface RateLimitPolicySpec {
  /** Null: no labels are asked for. */
  readonly labels: ReadonlyMap<string, string> | null;
  /** Services and routes of the policy's namespace, each once; empty: none are named. */
  readonly targets: readonly LimitTarget[];
  readonly limits: readonly RateLimit[];
  readonly response: LimitResponse;
}

export const LIMITS_MAX = 10;
export const TARGETS_MAX = 16;
export const OVERRIDES_MAX = 64;
export const ACCOUNTS_MAX = 16;
export const REQUESTS_MAX = 4_294_967_295;
const PER_MS_MIN = 50;
const PER_MS_MAX = 31 * 24 * 3_600_000;
const NAME = /^[A-Za-z0-9_-]{1,32}$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELDS: Readonly<Record<string, LimitFields>> = {
  None: 'none',
  XRateLimit: 'x-ratelimit',
  RateLimit: 'ratelimit',
};

export function readRateLimitPolicySpec(fields: Fields): RateLimitPolicySpec {
  fields.refuseUnknown();
  fields.exclusive('selector', 'targetRefs');
  const labels = fields.object('selector', readLabels);
  const targets = fields.list('targetRefs', readTarget, TARGETS_MAX).filter((target) => target !== null);
  const names = new Set<string>();
  const limits = fields.list('limits', (own) => readLimit(own, names), LIMITS_MAX);
  if (limits.length === 0)
    fields.error('limits', 'the policy limits nothing', 'add limits: [{ requests: 100, per: 1s }]');
  const response = fields.object('response', readResponse) ?? NO_RESPONSE;
  return { labels: labels === null || labels.size === 0 ? null : labels, targets, limits, response };
}

const NO_RESPONSE: LimitResponse = { status: 429, headers: new Map(), fields: 'none' };

function readTarget(fields: Fields): LimitTarget | null {
  fields.refuseUnknown();
  const kind = fields.choice('kind', LIMIT_TARGET_KINDS);
  if (!fields.has('kind')) fields.error('kind', 'kind is missing', `write one of ${LIMIT_TARGET_KINDS.join(', ')}`);
  const group = fields.text('group');
  fields.ignore('group');
  const isCore = kind === 'Service' && group === 'core';
  if (kind !== null && group !== '' && group !== GROUPS[kind] && !isCore) {
    const known = GROUPS[kind];
    const remedy = known === '' ? 'leave it out' : `write ${known}, or leave it out`;
    fields.error('group', `a ${kind} is not of group "${group}"`, remedy);
  }
  const name = fields.requiredText('name');
  const section = kind === 'Service' ? fields.portOrName('sectionName') : fields.text('sectionName');
  const sectionName = section === null ? '' : String(section);
  if (sectionName.length > SECTION_CHARACTERS_MAX)
    fields.error('sectionName', 'is too long', `name the rule with at most ${SECTION_CHARACTERS_MAX} characters`);
  return kind === null ? null : { kind, name, sectionName };
}

function readRate(fields: Fields): Rate {
  const requests = fields.integer('requests', { min: 1, max: REQUESTS_MAX });
  if (!fields.has('requests')) fields.error('requests', 'there is no number', 'write requests: 100');
  const perMs = fields.durationMs('per') ?? 1000;
  if (perMs < PER_MS_MIN || perMs > PER_MS_MAX) fields.error('per', 'is out of range', 'write 50ms to 744h');
  const burst = fields.integer('burst', { min: 1, max: REQUESTS_MAX });
  return { requests: requests ?? 1, perMs, burst: burst ?? requests ?? 1 };
}

function readLimit(fields: Fields, names: Set<string>): RateLimit {
  fields.refuseUnknown();
  const name = fields.text('name') || `limit-${names.size}`;
  if (!NAME.test(name)) fields.error('name', `"${name}" is no name`, 'use at most 32 letters, digits, - and _');
  else if (names.has(name)) fields.error('name', `the limit ${name} is there already`, 'name each limit once');
  names.add(name);
  const key = readKey(fields);
  const overrides = fields.list('overrides', readOverride, OVERRIDES_MAX);
  if (overrides.length > 0 && key.kind !== 'caller')
    fields.error('overrides', 'are of callers', 'write by: Caller, or leave them out');
  const scope = fields.choice('scope', ['Instance', 'Service']) === 'Service' ? 'service' : 'instance';
  if (scope === 'service' && key.kind !== 'all')
    fields.error('scope', 'only a limit for all requests can be divided', 'leave by out, or write scope: Instance');
  return {
    name,
    ...readRate(fields),
    key,
    overrides,
    match: fields.object('match', readMatch) ?? { methods: [], paths: [], headers: [] },
    scope,
    isShadow: fields.choice('mode', ['Enforce', 'Shadow']) === 'Shadow',
  };
}

function readKey(fields: Fields): LimitKey {
  fields.exclusive('by', 'byHeader');
  const header = fields.text('byHeader');
  if (header !== '') {
    if (!TOKEN.test(header))
      fields.error('byHeader', `"${header}" is no name of a header`, 'write x-tenant or the like');
    return { kind: 'header', name: header.toLowerCase() };
  }
  return { kind: fields.choice('by', ['Caller', 'All']) === 'Caller' ? 'caller' : 'all' };
}

function readOverride(fields: Fields): RateOverride {
  fields.refuseUnknown();
  const serviceAccounts = fields.texts('serviceAccounts');
  if (serviceAccounts.length === 0 || serviceAccounts.length > ACCOUNTS_MAX)
    fields.error('serviceAccounts', 'are none, or too many', `list 1 to ${ACCOUNTS_MAX}`);
  for (const account of serviceAccounts) {
    if (/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(account)) continue;
    fields.error('serviceAccounts', `"${account}" is no service account`, 'write namespace/name');
  }
  return { serviceAccounts, ...readRate(fields) };
}

function readMatch(fields: Fields): LimitMatch {
  fields.refuseUnknown();
  const methods = fields.texts('methods');
  for (const method of methods)
    if (!TOKEN.test(method)) fields.error('methods', `"${method}" is no method`, 'write GET or the like');
  const paths = fields.texts('paths');
  for (const path of paths) {
    if (/^\/[^?#*]*\*?$/.test(path)) continue;
    fields.error('paths', `"${path}" is no path`, 'write /path, or /path/* for all below it, without a query');
  }
  const headers = fields.list('headers', (own) => {
    own.refuseUnknown();
    const name = own.requiredText('name');
    if (name !== '' && !TOKEN.test(name))
      own.error('name', `"${name}" is no name of a header`, 'write x-tenant or the like');
    return { name: name.toLowerCase(), value: own.has('value') ? own.text('value') : null };
  });
  return { methods, paths, headers };
}

function readResponse(fields: Fields): LimitResponse {
  fields.refuseUnknown();
  const status = fields.integer('status', { min: 400, max: 599 }) ?? 429;
  const headers = fields.textMap('headers');
  for (const [name, value] of headers) {
    if (TOKEN.test(name) && !isVitalHeader(name) && !/[\0\r\n]/.test(value)) continue;
    fields.error('headers', `"${name}" cannot stand in a response`, 'write name: value');
  }
  const written = fields.choice('limitHeaders', Object.keys(FIELDS));
  return { status, headers, fields: FIELDS[written ?? 'None'] ?? 'none' };
}
