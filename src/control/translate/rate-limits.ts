// RateLimitPolicies of workloads as HTTP filters of the managers that receive for the app (those of routes: route-rate-limits.ts).
// Our own sidecar gets all of them in one filter of ours, so that a limit has one bucket whichever way a request came (TLS or not), and what one limit refuses costs the
// others nothing. An Envoy gets a local_ratelimit for each limit that it has words for, with descriptors from the route where
// the limit is not for all requests; limits by caller, divided limits and the IETF's fields it cannot have.
import { create, fromJson, toJson, type JsonObject } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import type { LimitMatch, LimitResponse, LimitTarget, RateLimit } from '../../config/rate-limit-policy.ts';
import type { RateLimitPolicy } from '../../config/resource.ts';
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  HeaderMatcherSchema,
  RateLimitSchema,
  type HeaderMatcher,
  type RateLimit as RouteLimit,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  RateLimitDescriptor_EntrySchema,
  XRateLimitHeadersRFCVersion as HeadersVersion,
  type RateLimitDescriptor_Entry,
} from '../../xds/gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js';
import {
  LocalRateLimitSchema,
  type LocalRateLimit,
} from '../../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { HttpStatusSchema, StatusCode, type HttpStatus } from '../../xds/gen/envoy/type/v3/http_status_pb.js';
import { TokenBucketSchema, type TokenBucket } from '../../xds/gen/envoy/type/v3/token_bucket_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import { selects } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';
import type { InboundOwner } from './overload.ts';
import { duration, fraction, pack } from './proto.ts';

type Limited = Pick<MeshNode, 'abilities' | 'addresses' | 'labels' | 'namespace'>;

/** A policy, and as what it holds: divided limits have a part for each service. */
interface Holding {
  readonly policy: RateLimitPolicy;
  /** Empty: by labels, or for the namespace. */
  readonly service: string;
}

export function rateLimitFilters(snapshot: Snapshot, node: Limited, owner: InboundOwner | null): readonly HttpFilter[] {
  const holding = holdingFor(snapshot, node, owner);
  if (holding.length === 0) return [];
  if (!node.abilities.ownFilters) return holding.flatMap(({ policy }) => envoyFilters(policy));
  const { trustDomain, trustDomainAliases } = snapshot.mesh;
  const trustDomains = [trustDomain, ...trustDomainAliases];
  const policies = holding.map(({ policy, service }) => {
    const { limits, response } = policy.spec;
    return ownPolicy({ limits, response, idOf: (limit) => shareName(policy, limit, service), trustDomains });
  });
  const value = ownConfig(policies);
  return [create(HttpFilterSchema, { name: OWN_FILTER, configType: { case: 'typedConfig', value } })];
}

/** What the route of a receiving manager says, so that an Envoy can tell requests apart. */
export function inboundRateLimits(
  snapshot: Snapshot,
  node: Limited,
  owner: InboundOwner | null,
): readonly RouteLimit[] {
  if (node.abilities.ownFilters) return [];
  return holdingFor(snapshot, node, owner).flatMap(({ policy }) =>
    envoyLimits(policy).flatMap((limit) => (isPlain(limit) ? [] : [routeLimit(policy, limit)])),
  );
}

function holdingFor(snapshot: Snapshot, node: Limited, owner: InboundOwner | null): readonly Holding[] {
  return snapshot.rateLimits.flatMap((policy): readonly Holding[] => {
    const { labels, targets } = policy.spec;
    if (policy.meta.namespace !== node.namespace) return [];
    if (targets.length === 0) return labels === null || selects(labels, node.labels) ? [{ policy, service: '' }] : [];
    if (owner === null) return [];
    const named = targets.filter((target) => target.kind === 'Service' && leadsTo(target, { snapshot, node, owner }));
    return [...new Set(named.map(({ name }) => name))].map((service) => ({ policy, service }));
  });
}

interface Received {
  readonly snapshot: Snapshot;
  readonly node: Limited;
  readonly owner: InboundOwner;
}

/** Whether the Service, or its port that is named, is one by which the app's port is called. Several may be. */
function leadsTo({ name, sectionName }: LimitTarget, { snapshot, node, owner }: Received): boolean {
  const service = snapshot.services.get(`${name}.${node.namespace}.svc.${snapshot.domain}`);
  if (service === undefined || service.kind === 'entry') return false;
  const ports = service.ports.filter(({ number }) =>
    service.endpoints
      .get(number)
      ?.some(({ address, port }) => port === owner.instancePort && node.addresses.includes(address)),
  );
  if (sectionName === '') return ports.length > 0 || service === owner.service;
  return ports.some((port) => sectionName === port.name || sectionName === String(port.number));
}

/** By which a divided limit is known to all who share it. */
export function shareName({ meta }: RateLimitPolicy, limit: RateLimit, service: string): string {
  return `${meta.namespace}/${meta.name}/${limit.name}${service === '' ? '' : `/${service}`}`;
}

export const OWN_FILTER = 'outrigger.ratelimit';

export interface OwnPolicy {
  readonly limits: readonly RateLimit[];
  readonly response: LimitResponse;
  /** Names the bucket of a limit, and the limit where it is divided. */
  readonly idOf: (limit: RateLimit) => string;
  /** In statistics; absent: the name of the limit. */
  readonly statOf?: (limit: RateLimit) => string;
  /** Ours first, then its aliases: the same accounts under other names. */
  readonly trustDomains: readonly string[];
}

/** The configuration of our filter, as policy/own-rate-limit-compile.ts reads it. */
export function ownConfig(policies: readonly JsonObject[]): Any {
  return pack(StructSchema, fromJson(StructSchema, policies.length === 0 ? {} : { policies: [...policies] }));
}

export function ownPolicy({ limits, response, idOf, statOf, trustDomains }: OwnPolicy): JsonObject {
  return {
    limits: limits.map((limit): JsonObject => {
      const { name, requests, perMs, burst, key, isShadow } = limit;
      const id = idOf(limit);
      return {
        name,
        id,
        ...(statOf === undefined ? {} : { stat: statOf(limit) }),
        requests,
        perMs,
        burst,
        ...(isShadow ? { shadow: true } : {}),
        ...(key.kind === 'caller' ? { by: 'caller' } : {}),
        ...(key.kind === 'header' ? { by: 'header', header: key.name } : {}),
        ...(limit.overrides.length === 0 ? {} : { overrides: overridesOf(limit, trustDomains) }),
        ...(isForAll(limit.match)
          ? {}
          : { match: matchersOf(limit.match).map((one) => toJson(HeaderMatcherSchema, one)) }),
        ...(limit.scope === 'service' ? { share: id } : {}),
      };
    }),
    status: response.status,
    ...(response.headers.size === 0 ? {} : { headers: Object.fromEntries(response.headers) }),
    ...(response.fields === 'none' ? {} : { fields: response.fields }),
  };
}

function overridesOf({ overrides }: RateLimit, trustDomains: readonly string[]): JsonObject[] {
  return overrides.map(({ serviceAccounts, requests, perMs, burst }) => {
    const callers = serviceAccounts.flatMap((account) => {
      const [namespace = '', name = ''] = account.split('/');
      return trustDomains.map((trustDomain) => `spiffe://${trustDomain}/ns/${namespace}/sa/${name}`);
    });
    return { callers, requests, perMs, burst };
  });
}

/** Those that an Envoy can enforce. */
export function envoyLimits({ spec }: RateLimitPolicy): readonly RateLimit[] {
  return spec.limits.filter(({ key, scope }) => key.kind !== 'caller' && scope === 'instance');
}

function isForAll({ methods, paths, headers }: LimitMatch): boolean {
  return methods.length + paths.length + headers.length === 0;
}

export function isPlain({ key, match }: RateLimit): boolean {
  return key.kind === 'all' && isForAll(match);
}

function envoyFilters(policy: RateLimitPolicy): readonly HttpFilter[] {
  return envoyLimits(policy).map((limit) =>
    create(HttpFilterSchema, {
      name: `envoy.filters.http.local_ratelimit.${policy.meta.name}.${limit.name}`,
      configType: { case: 'typedConfig', value: pack(LocalRateLimitSchema, localLimit(policy, limit)) },
    }),
  );
}

const UNLIMITED = 4_294_967_295;
const ALWAYS = { defaultValue: fraction(100) };

export function localLimit(policy: RateLimitPolicy, limit: RateLimit): LocalRateLimit {
  const { response } = policy.spec;
  const { requests, perMs, burst } = limit;
  const own = bucket(burst, requests, perMs);
  const retryAfter = String(Math.max(1, Math.ceil(perMs / requests / 1000)));
  const made = create(LocalRateLimitSchema, {
    statPrefix: limitKey(policy, limit).replaceAll('/', '_'),
    tokenBucket: isPlain(limit) ? own : bucket(UNLIMITED, UNLIMITED, perMs),
    filterEnabled: ALWAYS,
    responseHeadersToAdd: [...new Map([['retry-after', retryAfter], ...response.headers])].map(([key, value]) => ({
      header: { key, value: value.replaceAll('%', '%%') },
      appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    })),
    rateLimitedAsResourceExhausted: true,
    status: statusOf(response.status),
  });
  if (!limit.isShadow)
    made.filterEnforced = { $typeName: 'envoy.config.core.v3.RuntimeFractionalPercent', runtimeKey: '', ...ALWAYS };
  if (response.fields !== 'none') made.enableXRatelimitHeaders = HeadersVersion.DRAFT_VERSION_03;
  if (!isPlain(limit)) made.descriptors.push(descriptor(policy, limit, own));
  return made;
}

function bucket(maxTokens: number, tokensPerFill: number, perMs: number): TokenBucket {
  return create(TokenBucketSchema, { maxTokens, tokensPerFill, fillInterval: duration(perMs) });
}

/** Envoy refuses statuses that it has no name for. */
function statusOf(status: number): HttpStatus {
  const isNamed = StatusCode[status] !== undefined;
  return fromJson(HttpStatusSchema, { code: isNamed ? status : 429 });
}

export function limitKey({ meta }: RateLimitPolicy, { name }: RateLimit): string {
  return `${meta.namespace}/${meta.name}/${name}`;
}

function entry(key: string, value: string): RateLimitDescriptor_Entry {
  return create(RateLimitDescriptor_EntrySchema, { key, value });
}

/** An empty value stands for any. */
function descriptor(
  policy: RateLimitPolicy,
  limit: RateLimit,
  tokenBucket: TokenBucket,
): LocalRateLimit['descriptors'][number] {
  const entries = [entry('generic_key', limitKey(policy, limit))];
  if (!isForAll(limit.match)) entries.push(entry('header_match', 'match'));
  if (limit.key.kind === 'header') entries.push(entry(limit.key.name, ''));
  return { $typeName: 'envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor', entries, tokenBucket };
}

/** The actions that make the entries of `descriptor`. */
export function routeLimit(policy: RateLimitPolicy, limit: RateLimit): RouteLimit {
  const actions: JsonObject[] = [{ genericKey: { descriptorValue: limitKey(policy, limit) } }];
  if (!isForAll(limit.match)) {
    const headers = matchersOf(limit.match).map((one) => toJson(HeaderMatcherSchema, one));
    actions.push({ headerValueMatch: { descriptorValue: 'match', headers } });
  }
  if (limit.key.kind === 'header') {
    actions.push({ requestHeaders: { headerName: limit.key.name, descriptorKey: limit.key.name } });
  }
  return fromJson(RateLimitSchema, { actions });
}

function matchersOf({ methods, paths, headers }: LimitMatch): readonly HeaderMatcher[] {
  const matchers: HeaderMatcher[] = [];
  const add = (name: string, specifier: JsonObject): void => {
    matchers.push(fromJson(HeaderMatcherSchema, { name, ...specifier }));
  };
  if (methods.length > 0) add(':method', { stringMatch: { safeRegex: { regex: methods.map(quoted).join('|') } } });
  if (paths.length > 0) add(':path', { stringMatch: { safeRegex: { regex: paths.map(pathPattern).join('|') } } });
  for (const { name, value } of headers)
    add(name, value === null ? { presentMatch: true } : { stringMatch: { exact: value } });
  return matchers;
}

function pathPattern(path: string): string {
  return path.endsWith('*') ? `${quoted(path.slice(0, -1))}.*` : `${quoted(path)}(\\?.*)?`;
}

function quoted(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
