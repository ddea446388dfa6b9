// Matches: what a rule says of path, headers and query becomes Envoy's RouteMatch. RE2 matches are full
// matches in Envoy and in Istio alike.
import { create } from '@bufbuild/protobuf';
import type { RouteMatch as GatewayMatch } from '../../config/http-route.ts';
import type { StringMatch } from '../../config/string-match.ts';
import { readClaimPath } from '../../config/token-claim.ts';
import type { HttpMatch } from '../../config/virtual-service-match.ts';
import {
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RouteMatchSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type {
  HeaderMatcher,
  QueryParameterMatcher,
  RouteMatch,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { MetadataMatcher } from '../../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import { RegexMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import { StringMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import type { StringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { claimMatcher } from './claim-match.ts';

/** A match of everything: the prefix `/`. */
export function matchAll(): RouteMatch {
  return create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } });
}

export function matchOf(match: HttpMatch): RouteMatch {
  const { uri, scheme, method, authority } = match;
  const headers: HeaderMatcher[] = [];
  const dynamicMetadata: MetadataMatcher[] = [];
  for (const [name, value] of sorted(match.headers)) {
    const claim = readClaimPath(name);
    if (claim === null) headers.push(headerMatcher(name, value));
    else dynamicMetadata.push(claimMatcher(claim, textOrNull(value), false));
  }
  for (const [name, value] of sorted(match.withoutHeaders)) {
    const claim = readClaimPath(name);
    if (claim === null) headers.push(withoutHeader(name, value));
    else dynamicMetadata.push(claimMatcher(claim, textOrNull(value), true));
  }
  for (const [name, value] of [
    [':scheme', scheme],
    [':method', method],
    [':authority', authority],
  ] as const) {
    if (value !== null) headers.push(headerMatcher(name, value));
  }
  const queryParameters = sorted(match.queryParams).map(([name, value]) => queryMatcher(name, value));
  const base = { headers, queryParameters, dynamicMetadata, ...(match.ignoresUriCase ? { caseSensitive: false } : {}) };
  if (uri === null || uri.kind === 'present')
    return create(RouteMatchSchema, { ...base, pathSpecifier: { case: 'prefix', value: '/' } });
  if (uri.kind === 'exact')
    return create(RouteMatchSchema, { ...base, pathSpecifier: { case: 'path', value: uri.value } });
  if (uri.kind === 'prefix')
    return create(RouteMatchSchema, { ...base, pathSpecifier: { case: 'prefix', value: uri.value } });
  return create(RouteMatchSchema, { ...base, pathSpecifier: { case: 'safeRegex', value: regex(uri.value) } });
}

export function gatewayMatchOf(match: GatewayMatch): RouteMatch {
  const headers = match.headers.map(({ kind, name, value }) => headerMatcher(name.toLowerCase(), { kind, value }));
  if (match.method !== '') headers.push(headerMatcher(':method', { kind: 'exact', value: match.method }));
  const queryParameters = match.query.map(({ kind, name, value }) => queryMatcher(name, { kind, value }));
  return create(RouteMatchSchema, { headers, queryParameters, pathSpecifier: gatewayPath(match.path) });
}

/** PathPrefix matches whole segments: `/a` is a prefix of `/a/b` and not of `/ab`; a trailing `/` does not count. */
function gatewayPath({ kind, value }: GatewayMatch['path']): RouteMatch['pathSpecifier'] {
  if (kind === 'exact') return { case: 'path', value };
  if (kind === 'regex') return { case: 'safeRegex', value: regex(value) };
  const trimmed = value.replace(/\/+$/, '');
  return trimmed === '' ? { case: 'prefix', value: '/' } : { case: 'pathSeparatedPrefix', value: trimmed };
}

function headerMatcher(name: string, value: StringMatch): HeaderMatcher {
  if (value.kind === 'present')
    return create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'presentMatch', value: true } });
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier: { case: 'stringMatch', value: stringMatcher(value) },
  });
}

function withoutHeader(name: string, value: StringMatch): HeaderMatcher {
  const matcher = headerMatcher(name, value);
  matcher.invertMatch = true;
  if (value.kind !== 'present') matcher.treatMissingHeaderAsEmpty = true;
  return matcher;
}

function queryMatcher(name: string, value: StringMatch): QueryParameterMatcher {
  if (value.kind === 'present')
    return create(QueryParameterMatcherSchema, {
      name,
      queryParameterMatchSpecifier: { case: 'presentMatch', value: true },
    });
  return create(QueryParameterMatcherSchema, {
    name,
    queryParameterMatchSpecifier: { case: 'stringMatch', value: stringMatcher(value) },
  });
}

function textOrNull(value: StringMatch): StringMatcher | null {
  return value.kind === 'present' ? null : stringMatcher(value);
}

export function stringMatcher({ kind, value }: StringMatch): StringMatcher {
  if (kind === 'regex')
    return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: regex(value) } });
  return create(StringMatcherSchema, { matchPattern: { case: kind === 'prefix' ? 'prefix' : 'exact', value } });
}

function regex(pattern: string) {
  return create(RegexMatcherSchema, { regex: pattern });
}

function sorted<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].toSorted(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
}
