// The RequestAuthentications of a workload as Envoy's JWT filter, composed as Istio composes them: one provider for each
// rule, named `origins-N` in the order of their issuers; a request passes with one good token, or with none at all. A
// token that is there and is not good, that of an issuer that no rule names among them, is refused.
//
//   one rule:      any(origins-0, missing)
//   several:       any(origins-0, …, origins-N, all(any(origins-0, missing), …, any(origins-N, missing)))
//
// Source: istio pilot/pkg/security/authn/policy_applier.go.
import { create } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import type { RequestAuthentication } from '../../config/resource.ts';
import type { TokenRule } from '../../config/request-authentication.ts';
import {
  JwtAuthenticationSchema,
  JwtClaimToHeaderSchema,
  JwtHeaderSchema,
  JwtProviderSchema,
  JwtProvider_NormalizePayloadSchema,
  JwtRequirementSchema,
  RequirementRuleSchema,
  type JwtAuthentication,
  type JwtProvider,
  type JwtRequirement,
} from '../../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import { policiesOf } from '../workload-policies.ts';
import { policyScopeOf } from '../workload-services.ts';
import { keysFor } from './jwt-keys.ts';
import { JWT_FILTER, PAYLOAD } from './jwt-names.ts';
import { pack } from './proto.ts';
import { policiesOfClaims } from './jwt-claims.ts';
import { matchAll } from './route-match.ts';

const SPACE_DELIMITED = ['scope', 'permission'];

export interface JwtScope {
  readonly scope: Scope;
  readonly node: MeshNode;
}

/** Of a manager that receives for the app; nothing where no policy holds. */
export function jwtFilters({ scope, node }: JwtScope): readonly HttpFilter[] {
  const { requestAuthentications } = scope.snapshot;
  if (requestAuthentications.length === 0) return [];
  const held = policiesOf(requestAuthentications, node, policyScopeOf(scope.snapshot, node));
  const rules = rulesOf(held.map(({ policy }) => policy));
  return rules.length === 0 ? [] : [jwtFilter(rules, scope)];
}

/** In the order of their issuers. */
function rulesOf(policies: readonly RequestAuthentication[]): readonly TokenRule[] {
  return policies
    .flatMap(({ spec }) => spec.rules)
    .toSorted((left, right) => (left.issuer < right.issuer ? -1 : left.issuer > right.issuer ? 1 : 0));
}

/**
 * Of a manager that sends for the app: tokens are read where routes ask for their claims, and nobody is refused, for
 * that is up to the receiver. A good token has the route chosen again, and stays in the request. Its issuers are those
 * that the destinations of such routes take.
 */
export function claimFilters(scope: Scope): readonly HttpFilter[] {
  const rules = rulesOf(policiesOfClaims(scope));
  if (rules.length === 0) return [];
  const providers = Object.fromEntries(
    rules.map((rule, index) => {
      const silent = { ...rule, isForwarded: true, outputPayloadToHeader: '', outputClaimToHeaders: [] };
      return [nameOf(index), { ...providerOf(silent, scope), clearRouteCache: true }];
    }),
  );
  const requires = create(JwtRequirementSchema, {
    requiresType: { case: 'allowMissingOrFailed', value: create(EmptySchema) },
  });
  return [filterOf({ providers, requires })];
}

function jwtFilter(rules: readonly TokenRule[], scope: Scope): HttpFilter {
  const providers = Object.fromEntries(rules.map((rule, index) => [nameOf(index), providerOf(rule, scope)]));
  return filterOf({ providers, requires: requirementOf(rules.length) });
}

interface JwtParts {
  readonly providers: JwtAuthentication['providers'];
  readonly requires: JwtRequirement;
}

function filterOf({ providers, requires }: JwtParts): HttpFilter {
  const config = create(JwtAuthenticationSchema, {
    providers,
    rules: [
      create(RequirementRuleSchema, { match: matchAll(), requirementType: { case: 'requires', value: requires } }),
    ],
    bypassCorsPreflight: true,
  });
  return create(HttpFilterSchema, {
    name: JWT_FILTER,
    configType: { case: 'typedConfig', value: pack(JwtAuthenticationSchema, config) },
  });
}

function nameOf(index: number): string {
  return `origins-${index}`;
}

function providerOf(rule: TokenRule, scope: Scope): JwtProvider {
  return create(JwtProviderSchema, {
    issuer: rule.issuer,
    audiences: [...rule.audiences],
    jwksSourceSpecifier: keysFor(rule, scope),
    forward: rule.isForwarded,
    forwardPayloadHeader: rule.outputPayloadToHeader,
    fromHeaders: rule.fromHeaders.map(({ name, prefix }) => {
      return create(JwtHeaderSchema, { name, valuePrefix: prefix });
    }),
    fromParams: [...rule.fromParams],
    fromCookies: [...rule.fromCookies],
    claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => {
      return create(JwtClaimToHeaderSchema, { headerName: header, claimName: claim });
    }),
    payloadInMetadata: PAYLOAD,
    normalizePayloadInMetadata: create(JwtProvider_NormalizePayloadSchema, {
      spaceDelimitedClaims: [...new Set([...SPACE_DELIMITED, ...rule.spaceDelimitedClaims])],
    }),
  });
}

function requirementOf(count: number): JwtRequirement {
  const named = Array.from({ length: count }, (_, index) => {
    return create(JwtRequirementSchema, { requiresType: { case: 'providerName', value: nameOf(index) } });
  });
  const optional = named.map((one) => any([one, missing()]));
  const [only] = optional;
  if (count === 1 && only !== undefined) return only;
  return any([...named, all(optional)]);
}

function any(requirements: JwtRequirement[]): JwtRequirement {
  return create(JwtRequirementSchema, { requiresType: { case: 'requiresAny', value: { requirements } } });
}

function all(requirements: JwtRequirement[]): JwtRequirement {
  return create(JwtRequirementSchema, { requiresType: { case: 'requiresAll', value: { requirements } } });
}

function missing(): JwtRequirement {
  return create(JwtRequirementSchema, { requiresType: { case: 'allowMissing', value: create(EmptySchema) } });
}
