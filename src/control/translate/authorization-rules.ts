// Rules of AuthorizationPolicies as policies of RBAC. Each source becomes a principal, each operation a permission, and
// every condition a part of all of one or the other. What a connection without requests cannot be asked is left out
// towards safety: an ALLOW rule that asks it is dropped, a rule of any other action is widened. Several lines of
// one header are judged towards safety too (docs/adr/013): an ALLOW wants every line to match, a DENY minds any that does
// not match what it excepts.
// Source: istio pilot/pkg/security/authz/model (Generate, checkError).
import { create } from '@bufbuild/protobuf';
import { assertNever } from '../../base/assert.ts';
import type { AuthorizationAction, AuthorizationRule, AuthorizationTests } from '../../config/authorization-policy.ts';
import { HTTP_ONLY, isTemplate, type AttributeKind, type AuthorizationTest } from '../../config/authorization-test.ts';
import {
  PermissionSchema,
  Permission_SetSchema,
  PolicySchema,
  PrincipalSchema,
  Principal_AuthenticatedSchema,
  Principal_SetSchema,
  type Permission,
  type Policy,
  type Principal,
} from '../../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { UriTemplateMatchConfigSchema } from '../../xds/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { PathMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/path_pb.js';
import type { MetadataMatcher } from '../../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import {
  accountMatch,
  claimMatch,
  filterMetadataMatch,
  headerMatch,
  identityMatch,
  namespaceMatch,
  patternOf,
  rangeOf,
  regexMatch,
  requestPrincipalMatches,
  stringMatch,
  trustDomainMatch,
} from './authorization-match.ts';
import { pack } from './proto.ts';
import { complementOf } from './regex-complement.ts';

export interface RuleScope {
  readonly action: AuthorizationAction;
  readonly isTcp: boolean;
  /** Of the policy. */
  readonly namespace: string;
  /** Our trust domain and its aliases, ours first. */
  readonly trustDomains: readonly string[];
  /** The port that a connection has come to where its app is known under another. */
  readonly portOf: (port: number) => number;
}

/** What an operation is asked; everything else is asked of the source. */
const OPERATION_KINDS: ReadonlySet<AttributeKind> = new Set([
  'host',
  'port',
  'method',
  'path',
  'destinationIp',
  'sni',
  'metadata',
]);

export function policyOf(rule: AuthorizationRule, scope: RuleScope): Policy | null {
  const isLess = scope.isTcp && asksRequests(rule);
  if (isLess && scope.action === 'ALLOW') return null;
  const sound = (tests: AuthorizationTests): AuthorizationTests =>
    isLess ? tests.filter(({ kind }) => !HTTP_ONLY.has(kind)) : tests;
  const conditions = sound(rule.conditions);
  const ofOperations = conditions.filter(({ kind }) => OPERATION_KINDS.has(kind));
  const ofSources = conditions.filter(({ kind }) => !OPERATION_KINDS.has(kind));
  const operations = rule.operations.length === 0 ? [[]] : rule.operations;
  const sources = rule.sources.length === 0 ? [[]] : rule.sources;
  return create(PolicySchema, {
    permissions: operations.map((tests) => permissionOf([...sound(tests), ...ofOperations], scope)),
    principals: sources.map((tests) => principalOf([...sound(tests), ...ofSources], scope)),
  });
}

/** It asks something that only a request can answer. */
export function asksRequests(rule: AuthorizationRule): boolean {
  return [...rule.sources.flat(), ...rule.operations.flat(), ...rule.conditions].some(({ kind }) =>
    HTTP_ONLY.has(kind),
  );
}

/** Never holds: of a policy without rules. */
export function matchNever(): Policy {
  return create(PolicySchema, {
    permissions: [notPermission(create(PermissionSchema, { rule: { case: 'any', value: true } }))],
    principals: [notPrincipal(create(PrincipalSchema, { identifier: { case: 'any', value: true } }))],
  });
}

function permissionOf(tests: AuthorizationTests, scope: RuleScope): Permission {
  const all = tests.flatMap((test) => {
    const of = (values: readonly string[]): Permission =>
      anyPermission(values.map((value) => onePermission(test, value, scope)));
    return [
      ...(test.values.length === 0 ? [] : [of(test.values)]),
      ...(test.notValues.length === 0 ? [] : [notPermission(of(test.notValues))]),
    ];
  });
  if (all.length === 0) all.push(create(PermissionSchema, { rule: { case: 'any', value: true } }));
  return create(PermissionSchema, {
    rule: { case: 'andRules', value: create(Permission_SetSchema, { rules: all }) },
  });
}

function anyPermission(rules: Permission[]): Permission {
  return create(PermissionSchema, { rule: { case: 'orRules', value: create(Permission_SetSchema, { rules }) } });
}

function notPermission(inner: Permission): Permission {
  return create(PermissionSchema, { rule: { case: 'notRule', value: inner } });
}

function onePermission({ kind, names }: AuthorizationTest, value: string, scope: RuleScope): Permission {
  const rule = ((): Permission['rule'] => {
    switch (kind) {
      case 'host':
        return { case: 'header', value: headerMatch(':authority', stringMatch(value, true)) };
      case 'method':
        return { case: 'header', value: headerMatch(':method', stringMatch(value)) };
      case 'path':
        return isTemplate(value) ? templateRule(value) : pathRule(stringMatch(value));
      case 'destinationIp':
        return { case: 'destinationIp', value: rangeOf(value) };
      case 'sni':
        return { case: 'requestedServerName', value: stringMatch(value) };
      case 'metadata':
        return { case: 'metadata', value: filterMetadataMatch(names[0] ?? '', names[1] ?? '', value) };
      default:
        return { case: 'destinationPort', value: scope.portOf(Number(value)) };
    }
  })();
  return create(PermissionSchema, { rule });
}

function pathRule(match: StringMatcher): Permission['rule'] {
  return { case: 'urlPath', value: create(PathMatcherSchema, { rule: { case: 'path', value: match } }) };
}

function templateRule(path: string): Permission['rule'] {
  const pathTemplate = path.replaceAll('{**}', '**').replaceAll('{*}', '*');
  return {
    case: 'uriTemplate',
    value: {
      $typeName: 'envoy.config.core.v3.TypedExtensionConfig',
      name: 'uri-template',
      typedConfig: pack(UriTemplateMatchConfigSchema, create(UriTemplateMatchConfigSchema, { pathTemplate })),
    },
  };
}

function principalOf(tests: AuthorizationTests, scope: RuleScope): Principal {
  const all = tests.flatMap((test) => {
    if (test.kind === 'header') return headerPrincipals(test, scope);
    const of = (values: readonly string[]): Principal =>
      anyPrincipal(expanded(test.kind, values, scope).map((value) => onePrincipal(test, value, scope)));
    return [
      ...(test.values.length === 0 ? [] : [of(test.values)]),
      ...(test.notValues.length === 0 ? [] : [notPrincipal(of(test.notValues))]),
    ];
  });
  if (all.length === 0) all.push(create(PrincipalSchema, { identifier: { case: 'any', value: true } }));
  return allPrincipals(all);
}

/** Where a header has several lines, Envoy is content with one that matches. */
function headerPrincipals({ names, values, notValues }: AuthorizationTest, { action }: RuleScope): Principal[] {
  const name = names[0] ?? '';
  const line = (match: StringMatcher): Principal =>
    create(PrincipalSchema, { identifier: { case: 'header', value: headerMatch(name, match) } });
  const of = (list: readonly string[]): Principal => anyPrincipal(list.map((value) => line(stringMatch(value))));
  const strays = (list: readonly string[]): readonly Principal[] =>
    complements(list).map((regex) => line(regexMatch(regex)));
  const found: Principal[] = [];
  if (values.length > 0) {
    found.push(of(values));
    const others = action === 'ALLOW' ? strays(values) : [];
    if (others.length > 0) found.push(anyPrincipal(others.map(notPrincipal)));
  }
  if (notValues.length > 0) {
    const none = notPrincipal(of(notValues));
    const others = action === 'ALLOW' ? [] : strays(notValues);
    found.push(others.length === 0 ? none : anyPrincipal([none, allPrincipals([...others])]));
  }
  return found;
}

/**
 * What lines match that none of the values does: by the values that are whole or open at their end, and by those that
 * are whole or open at their start. Empty when that cannot be written.
 */
export function complements(values: readonly string[]): readonly string[] {
  const kinds = values.map((value) => patternOf(value).kind);
  if (kinds.includes('any')) return ['(?:)'];
  const written: string[] = [];
  for (const wildcard of ['prefix', 'suffix'] as const) {
    if (wildcard === 'suffix' && !kinds.includes('suffix')) continue;
    const own = values.filter((_value, index) => kinds[index] === 'exact' || kinds[index] === wildcard);
    if (own.length === 0) continue;
    const regex = complementOf(own, wildcard);
    if (regex === null || regex === '') return [];
    written.push(regex);
  }
  return written;
}

function allPrincipals(ids: Principal[]): Principal {
  return create(PrincipalSchema, { identifier: { case: 'andIds', value: create(Principal_SetSchema, { ids }) } });
}

function anyPrincipal(ids: Principal[]): Principal {
  return create(PrincipalSchema, { identifier: { case: 'orIds', value: create(Principal_SetSchema, { ids }) } });
}

function notPrincipal(inner: Principal): Principal {
  return create(PrincipalSchema, { identifier: { case: 'notId', value: inner } });
}

function onePrincipal({ kind, names }: AuthorizationTest, value: string, { namespace }: RuleScope): Principal {
  switch (kind) {
    case 'principal':
      return authenticated(identityMatch(value));
    case 'namespace':
      return authenticated(namespaceMatch(value));
    case 'serviceAccount':
      return authenticated(accountMatch(value, namespace));
    case 'trustDomain':
      return authenticated(trustDomainMatch(value));
    case 'sourceIp':
      return create(PrincipalSchema, { identifier: { case: 'directRemoteIp', value: rangeOf(value) } });
    case 'remoteIp':
      return create(PrincipalSchema, { identifier: { case: 'remoteIp', value: rangeOf(value) } });
    case 'requestPrincipal':
      return allPrincipals(requestPrincipalMatches(value).map(metadata));
    case 'audience':
      return metadata(claimMatch(['aud'], value));
    case 'presenter':
      return metadata(claimMatch(['azp'], value));
    case 'claim':
      return metadata(claimMatch(names, value));
    case 'header':
    case 'host':
    case 'port':
    case 'method':
    case 'path':
    case 'destinationIp':
    case 'sni':
    case 'metadata':
      return create(PrincipalSchema, { identifier: { case: 'any', value: true } });
    default:
      return assertNever(kind);
  }
}

function authenticated(principalName: StringMatcher): Principal {
  return create(PrincipalSchema, {
    identifier: { case: 'authenticated', value: create(Principal_AuthenticatedSchema, { principalName }) },
  });
}

function metadata(match: MetadataMatcher): Principal {
  return create(PrincipalSchema, { identifier: { case: 'metadata', value: match } });
}

const LOCAL = 'cluster.local';

/** Our own trust domain stands for its aliases too. */
function expanded(kind: AttributeKind, values: readonly string[], { trustDomains }: RuleScope): readonly string[] {
  if (kind === 'trustDomain') {
    return [...new Set(values.flatMap((value) => (trustDomains.includes(value) ? trustDomains : [value])))];
  }
  if (kind !== 'principal') return values;
  return [...new Set(values.flatMap((value) => withAliases(value, trustDomains)))];
}

function withAliases(value: string, trustDomains: readonly string[]): readonly string[] {
  const [domain = '', ...rest] = value.split('/');
  if (rest.length !== 4 || domain === '*') return [value];
  const isSuffix = domain.startsWith('*');
  const isOurs = (own: string): boolean => (isSuffix ? own.endsWith(domain.slice(1)) : own === domain);
  if (domain !== LOCAL && !trustDomains.some(isOurs)) return [value];
  return trustDomains.map((own) => (isSuffix && isOurs(own) ? value : [own, ...rest].join('/')));
}
