// What an AuthorizationPolicy says of one attribute, as Envoy matches it: Istio's wildcards (`abc*`, `*abc`, `*` for
// anything but nothing) as string matchers, identities as SPIFFE ids, claims where jwt_authn leaves them. Everything that
// becomes part of an expression is quoted (CVE-2026-39350).
// Source: istio pilot/pkg/security/authz/{matcher,model}.
import { create } from '@bufbuild/protobuf';
import { CidrRangeSchema, type CidrRange } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import { HeaderMatcherSchema, type HeaderMatcher } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { MetadataMatcherSchema, type MetadataMatcher } from '../../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import { RegexMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import { StringMatcherSchema, type StringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import {
  ListMatcherSchema,
  OrMatcherSchema,
  ValueMatcherSchema,
  type ValueMatcher,
} from '../../xds/gen/envoy/type/matcher/v3/value_pb.js';
import { readRange } from '../../config/address-range.ts';
import { quoted } from './regex-complement.ts';

export const JWT_NAMESPACE = 'envoy.filters.http.jwt_authn';
const JWT_PAYLOAD = 'payload';
const SPIFFE = 'spiffe://';

type Pattern = 'exact' | 'prefix' | 'suffix' | 'any';

export function patternOf(value: string): { readonly kind: Pattern; readonly text: string } {
  if (value === '*') return { kind: 'any', text: '' };
  if (value.startsWith('*')) return { kind: 'suffix', text: value.slice(1) };
  if (value.endsWith('*')) return { kind: 'prefix', text: value.slice(0, -1) };
  return { kind: 'exact', text: value };
}

export function regexMatch(regex: string): StringMatcher {
  return create(StringMatcherSchema, {
    matchPattern: { case: 'safeRegex', value: create(RegexMatcherSchema, { regex }) },
  });
}

/** `ignoresCase` has no meaning for `*`, which Envoy would refuse beside an expression. */
export function stringMatch(value: string, ignoresCase = false): StringMatcher {
  const { kind, text } = patternOf(value);
  if (kind === 'any') return regexMatch('.+');
  return create(StringMatcherSchema, { matchPattern: { case: kind, value: text }, ignoreCase: ignoresCase });
}

/** A principal without its scheme; `*suffix` keeps the scheme in front (CVE-2020-16844). */
export function identityMatch(value: string): StringMatcher {
  const { kind, text } = patternOf(value);
  if (kind === 'any') return regexMatch('.+');
  if (kind === 'suffix') return regexMatch(`${SPIFFE}.*${quoted(text)}`);
  return create(StringMatcherSchema, { matchPattern: { case: kind, value: SPIFFE + text } });
}

export function namespaceMatch(value: string): StringMatcher {
  return regexMatch(`.*/ns/${segment(value)}/.*`);
}

/** `value` is `ACCOUNT` of `namespace`, or `NAMESPACE/ACCOUNT`. */
export function accountMatch(value: string, namespace: string): StringMatcher {
  const [first = '', second] = value.split('/');
  const [ns, account] = second === undefined ? [namespace, first] : [first, second];
  return regexMatch(`${SPIFFE}[^/]+/ns/${quoted(ns)}/sa/${quoted(account)}`);
}

export function trustDomainMatch(value: string): StringMatcher {
  return regexMatch(`${SPIFFE}${segment(value)}/.*`);
}

/** A wildcard never reaches beyond its part of an identity. */
function segment(value: string): string {
  if (value === '*') return '[^/]+';
  return value.split('*').map(quoted).join('[^/]*');
}

export function headerMatch(name: string, match: StringMatcher): HeaderMatcher {
  return create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'stringMatch', value: match } });
}

/** The value passed admission, so it is a range. */
export function rangeOf(value: string): CidrRange {
  const [addressPrefix = '', bits = '0'] = (readRange(value) ?? '').split('/');
  return create(CidrRangeSchema, { addressPrefix, prefixLen: Number(bits) });
}

/** A claim that is the text, or a list with it. */
export function claimMatch(names: readonly string[], value: string): MetadataMatcher {
  const one = textValue(stringMatch(value));
  const listed = create(ValueMatcherSchema, {
    matchPattern: {
      case: 'listMatch',
      value: create(ListMatcherSchema, { matchPattern: { case: 'oneOf', value: one } }),
    },
  });
  const either = create(ValueMatcherSchema, {
    matchPattern: { case: 'orMatch', value: create(OrMatcherSchema, { valueMatchers: [one, listed] }) },
  });
  return metadataMatch(JWT_NAMESPACE, [JWT_PAYLOAD, ...names], either);
}

/** Issuer and subject of `ISSUER/SUBJECT`, which is split at the last slash: an issuer may be a URL. */
export function requestPrincipalMatches(value: string): readonly MetadataMatcher[] {
  const [issuer, subject] = requestPrincipalPatterns(value);
  return [claimOf('iss', issuer), claimOf('sub', subject)];
}

function claimOf(name: string, match: StringMatcher): MetadataMatcher {
  return metadataMatch(JWT_NAMESPACE, [JWT_PAYLOAD, name], textValue(match));
}

function requestPrincipalPatterns(value: string): readonly [StringMatcher, StringMatcher] {
  const slash = value.lastIndexOf('/');
  const anything = regexMatch('.+');
  if (value === '*') return [anything, anything];
  if (slash < 0) {
    if (value.startsWith('*')) return [anything, stringMatch(value)];
    if (value.endsWith('*')) return [stringMatch(value), anything];
    return [exactMatch(value), exactMatch('')];
  }
  const [issuer, subject] = [value.slice(0, slash), value.slice(slash + 1)];
  if (value.startsWith('*')) return [stringMatch(issuer), exactMatch(subject)];
  return [exactMatch(issuer), value.endsWith('*') ? stringMatch(subject) : exactMatch(subject)];
}

function exactMatch(text: string): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: { case: 'exact', value: text } });
}

/** `[v]` is a list with `v` in it (Istio's `experimental.envoy.filters.` keys). */
export function filterMetadataMatch(filter: string, key: string, value: string): MetadataMatcher {
  const [, listed] = /^\[(.+)\]$/.exec(value) ?? [];
  if (listed === undefined) return metadataMatch(filter, [key], textValue(stringMatch(value)));
  const inner = textValue(stringMatch(listed));
  const list = create(ListMatcherSchema, { matchPattern: { case: 'oneOf', value: inner } });
  return metadataMatch(filter, [key], create(ValueMatcherSchema, { matchPattern: { case: 'listMatch', value: list } }));
}

function metadataMatch(filter: string, keys: readonly string[], value: ValueMatcher): MetadataMatcher {
  return create(MetadataMatcherSchema, {
    filter,
    path: keys.map((key) => ({ segment: { case: 'key' as const, value: key } })),
    value,
  });
}

function textValue(match: StringMatcher): ValueMatcher {
  return create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value: match } });
}
