// HTTPRoute (gateway.networking.k8s.io) with Services as parents, and ReferenceGrant. Types, defaults and
// exclusions are those of the Gateway API's apis/v1/httproute_types.go.
import type { Fields } from './fields.ts';
import { readBackendRef, readFilter } from './http-route-filter.ts';
import type { BackendRef, RouteFilter } from './http-route-filter.ts';
import { limits } from './limits.ts';
import { readPositiveMs } from './positive-duration.ts';
import { checkRegex } from './regex.ts';
import { readSessionPersistence } from './session-persistence.ts';
import type { SessionPersistence } from './session-persistence.ts';

export interface ParentRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** 0 when not given: every port. */
  readonly port: number;
  /** A port's name; empty when not given. */
  readonly sectionName: string;
}

export interface RouteMatcher {
  readonly kind: 'exact' | 'regex';
  readonly name: string;
  readonly value: string;
}

export interface RouteMatch {
  readonly path: { readonly kind: 'exact' | 'prefix' | 'regex'; readonly value: string };
  /** Empty matches every method. */
  readonly method: string;
  readonly headers: readonly RouteMatcher[];
  readonly query: readonly RouteMatcher[];
}

export interface RouteBackend {
  readonly ref: BackendRef;
  readonly weight: number;
  readonly filters: readonly RouteFilter[];
}

export interface RouteRetry {
  readonly codes: readonly number[];
  readonly attempts: number | null;
  readonly backoffMs: number | null;
}

export interface RouteRule {
  readonly name: string;
  /** Never empty: a rule without matches matches the prefix `/`. */
  readonly matches: readonly RouteMatch[];
  readonly filters: readonly RouteFilter[];
  readonly backends: readonly RouteBackend[];
  readonly requestTimeoutMs: number | null;
  readonly backendTimeoutMs: number | null;
  readonly retry: RouteRetry | null;
  readonly session: SessionPersistence | null;
}

export interface HttpRouteSpec {
  readonly parents: readonly ParentRef[];
  readonly rules: readonly RouteRule[];
}

const EVERYTHING: RouteMatch = { path: { kind: 'prefix', value: '/' }, method: '', headers: [], query: [] };
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;

export function readHttpRouteSpec(fields: Fields): HttpRouteSpec {
  const parents = fields.list('parentRefs', readParent);
  if (parents.length === 0)
    fields.error(
      'parentRefs',
      'the HTTPRoute has no parent',
      'add parentRefs: [{ group: "", kind: Service, name: reviews, port: 9080 }]',
    );
  if (fields.has('hostnames'))
    fields.warning('hostnames', 'hostnames have no effect on a route of a Service', 'remove them');
  fields.ignore('useDefaultGateways');
  const rules = fields.list('rules', readRule, limits.rulesMax);
  return { parents, rules };
}

function readParent(fields: Fields): ParentRef {
  const group = fields.has('group') ? fields.text('group') : 'gateway.networking.k8s.io';
  const kind = fields.text('kind') === '' ? 'Gateway' : fields.text('kind');
  if (kind !== 'Service' || (group !== '' && group !== 'core'))
    fields.warning(
      'kind',
      `a parent of kind ${kind} in group "${group}" is not supported yet and gets no routes`,
      'write group: "" and kind: Service',
    );
  return {
    group: group === 'core' ? '' : group,
    kind,
    namespace: fields.text('namespace'),
    name: fields.requiredText('name'),
    port: fields.port('port') ?? 0,
    sectionName: fields.text('sectionName'),
  };
}

function readRule(fields: Fields): RouteRule {
  fields.refuseUnknown('matches', 'filters');
  const matches = fields.list('matches', readMatch, limits.matchesMax);
  const filters = fields.list('filters', (filter) => readFilter(filter, matches.length === 0 ? [EVERYTHING] : matches));
  const backends = fields.list('backendRefs', (backend) => readBackend(backend, matches), limits.destinationsMax);
  checkFilters(fields, filters);
  if (filters.some((filter) => filter.kind === 'redirect') && backends.length > 0)
    fields.error(
      'backendRefs',
      'a rule that redirects has no backends',
      'remove backendRefs or the RequestRedirect filter',
    );
  const timeouts = fields.object('timeouts', (timeouts) => {
    const requestMs = timeouts.durationMs('request', 'gateway');
    const backendMs = timeouts.durationMs('backendRequest', 'gateway');
    if (requestMs !== null && requestMs > 0 && backendMs !== null && backendMs > requestMs)
      timeouts.error('backendRequest', 'backendRequest is longer than request', 'write a time of at most request');
    return { requestMs, backendMs };
  });
  return {
    name: fields.text('name'),
    matches: matches.length === 0 ? [EVERYTHING] : matches,
    filters,
    backends,
    requestTimeoutMs: timeouts?.requestMs ?? null,
    backendTimeoutMs: timeouts?.backendMs ?? null,
    retry: fields.object('retry', readRetry),
    session: fields.object('sessionPersistence', readSessionPersistence),
  };
}

function readRetry(fields: Fields): RouteRetry {
  return {
    codes: fields.integers('codes', { min: 400, max: 599 }),
    attempts: fields.integer('attempts', { min: 0, max: 2_147_483_647 }),
    backoffMs: readPositiveMs(fields, 'backoff', 'gateway'),
  };
}

function readMatch(fields: Fields): RouteMatch {
  fields.refuseUnknown();
  return {
    path: fields.object('path', readPath, 'write path: { type: PathPrefix, value: … }') ?? EVERYTHING.path,
    method: fields.choice('method', METHODS) ?? '',
    headers: firstOfEachName(fields.list('headers', readMatcher), true),
    query: firstOfEachName(fields.list('queryParams', readMatcher), false),
  };
}

function readPath(fields: Fields): RouteMatch['path'] {
  fields.refuseUnknown();
  const type = fields.choice('type', ['Exact', 'PathPrefix', 'RegularExpression']) ?? 'PathPrefix';
  if (type === 'RegularExpression') return { kind: 'regex', value: fields.regex('value') };
  const value = fields.has('value') ? fields.text('value') : '/';
  if (!value.startsWith('/')) fields.error('value', `the path "${value}" does not begin with /`, `write /${value}`);
  if (/[?#]/.test(value))
    fields.error('value', `the path "${value}" contains ? or #`, 'match the query with queryParams');
  if (/\/\/|\/\.\.?(?:\/|$)|%2[fF]/.test(value))
    fields.error('value', `the path "${value}" contains //, /./, /../ or %2F`, 'write the normalized path');
  return { kind: type === 'Exact' ? 'exact' : 'prefix', value };
}

function readMatcher(fields: Fields): RouteMatcher {
  fields.refuseUnknown();
  const type = fields.choice('type', ['Exact', 'RegularExpression']) ?? 'Exact';
  const value = fields.requiredText('value');
  const message = type === 'RegularExpression' ? checkRegex(value) : null;
  if (message !== null) fields.error('value', message, 'write it in RE2 syntax');
  return { kind: type === 'Exact' ? 'exact' : 'regex', name: fields.requiredText('name'), value };
}

/** Only the first of several matchers with one name counts (Gateway API HTTPHeaderMatch.name). */
function firstOfEachName(matchers: readonly RouteMatcher[], isCaseless: boolean): readonly RouteMatcher[] {
  const seen = new Set<string>();
  const kept: RouteMatcher[] = [];
  for (const matcher of matchers) {
    const name = isCaseless ? matcher.name.toLowerCase() : matcher.name;
    if (!seen.has(name)) kept.push(matcher);
    seen.add(name);
  }
  return kept;
}

function readBackend(fields: Fields, matches: readonly RouteMatch[]): RouteBackend {
  const ref = readBackendRef(fields);
  const filters = fields.list('filters', (filter) => readFilter(filter, matches.length === 0 ? [EVERYTHING] : matches));
  checkFilters(fields, filters);
  for (const filter of filters) {
    if (filter.kind !== 'request-headers' && filter.kind !== 'response-headers')
      fields.error('filters', `a backend cannot have a ${filter.kind} filter`, 'move it to the rule');
  }
  return { ref, weight: fields.integer('weight', { min: 0, max: 1_000_000 }) ?? 1, filters };
}

function checkFilters(fields: Fields, filters: readonly RouteFilter[]): void {
  const seen = new Set<string>();
  for (const filter of filters) {
    if (filter.kind !== 'mirror' && seen.has(filter.kind))
      fields.error('filters', `there are two ${filter.kind} filters`, 'join them in one');
    seen.add(filter.kind);
  }
  if (seen.has('redirect') && seen.has('rewrite'))
    fields.error('filters', 'RequestRedirect and URLRewrite cannot be used together', 'remove one');
}

export interface ReferenceGrantSpec {
  readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
  readonly to: readonly { readonly group: string; readonly kind: string; readonly name: string }[];
}

export function readReferenceGrantSpec(fields: Fields): ReferenceGrantSpec {
  return {
    from: fields.list('from', (from) => ({
      group: from.text('group'),
      kind: from.requiredText('kind'),
      namespace: from.requiredText('namespace'),
    })),
    to: fields.list('to', (to) => ({ group: to.text('group'), kind: to.requiredText('kind'), name: to.text('name') })),
  };
}
