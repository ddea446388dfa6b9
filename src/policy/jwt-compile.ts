// Compiles Envoy's JwtAuthentication, and what routes say of it (PerRouteConfig), into the steps of jwt-authn.ts.
// Everything that a request could stumble over is refused here: unknown providers, requirements nested without end,
// headers that are none. Keys and audiences are made ready once; keys never appear in a Problem.
// Source: Envoy envoy.extensions.filters.http.jwt_authn.v3.
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, type Problem } from '../base/problem.ts';
import { disguiseIds } from '../http/field-guard.ts';
import { headerNameOf } from '../http/header-name.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import {
  JwtAuthenticationSchema,
  PerRouteConfigSchema,
  type JwtAuthentication,
  type RequirementRule,
} from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { unpack } from '../xds/unpack.ts';
import { endJwt, runJwt, type JwtFilter, type JwtRule, type JwtSettings } from './jwt-authn.ts';
import { loadJose } from './jwt-jose.ts';
import { compileProviders } from './jwt-provider-compile.ts';
import { compileRequirement, placesOf } from './jwt-requirement-compile.ts';
import { JWT_STATS } from './jwt-stats.ts';
import { Judgement, type JwtProviders, type JwtRequirement } from './jwt-requirement.ts';

/** As a CompileHttpFilter. */
export function compileJwt(any: Any, scope: FilterScope): HttpFilter | null {
  const { env, path } = scope;
  const config = unpack(any, JwtAuthenticationSchema);
  if (config === null) {
    env.problems.push(error(path, 'is no JwtAuthentication', 'write its fields'));
    return null;
  }
  const problems: Problem[] = [];
  const tally = scope.tally('jwt_authn', JWT_STATS);
  const providers = compileProviders(config.providers, { ...scope, problems, tally });
  const named = namedRequirements(config, providers, problems, path);
  const rules = config.rules.map((rule, index) => {
    const at = `${path}.rules[${index}]`;
    return compileRule(rule, { scope, configs: config.providers, providers, named, problems, path: at });
  });
  env.problems.push(...problems);
  const sound = rules.filter((rule) => rule !== null);
  if (problems.some(({ severity }) => severity === 'error') || sound.length < rules.length) return null;
  const filter = filterOf(config, providers, scope);
  // Ready when the first token comes; nobody waits for it here.
  void loadJose();
  const movesRoute = providers.all.some(({ clearsRoute }) => clearsRoute);
  const partOf = (settings: JwtSettings): PlanPart => {
    const onRequest = [step('jwt_authn', scope.name, runJwt, settings)];
    const onEnd = [step('jwt_authn', scope.name, endJwt, settings)];
    return movesRoute ? { onRequest, onEnd, movesRoute } : { onRequest, onEnd };
  };
  return {
    part: partOf(settingsOf(filter, sound, '')),
    withSettings: (settings, routeEnv, at) => {
      const own = routeSettings(settings, filter, named, { env: routeEnv, path: at });
      return own === null ? null : partOf(own);
    },
  };
}

function filterOf(config: JwtAuthentication, providers: JwtProviders, scope: FilterScope): JwtFilter {
  const all = Object.values(config.providers);
  const written = providers.all.flatMap((provider) => [
    ...(provider.payloadHeader === 0 ? [] : [provider.payloadHeader]),
    ...provider.claimHeaders.map(({ header }) => header),
  ]);
  return {
    tally: providers.tally,
    notes: new Judgement(providers),
    stripped: [...new Set(written)],
    disguises: new Set(scope.isMesh ? written.flatMap((id) => disguiseIds(headerNameOf(id))) : []),
    lonePlaces: scope.isMesh && scope.isInbound ? placesOf(all) : [],
    bypassesPreflight: config.bypassCorsPreflight,
    stripsReason: config.stripFailureResponse,
    bit: scope.bit,
    hasWaited: new Set(),
  };
}

/** Printed without keys and secrets. */
function settingsOf(filter: JwtFilter, rules: readonly JwtRule[], refusal: string): JwtSettings {
  const providers = filter.notes.providers.all.map(({ name, issuer }) => ({ name, issuer }));
  const toJSON = (): unknown => ({
    ...(refusal === '' ? {} : { refusal }),
    providers,
    rules: rules.map(({ requires }) => (requires === null ? 'nothing' : wordsOf(requires))),
  });
  return Object.freeze({ filter, rules, refusal, toJSON });
}

function wordsOf(wanted: JwtRequirement): string {
  const rest = [...(wanted.allowsMissing ? ['missing'] : []), ...(wanted.allowsFailed ? ['missing or failed'] : [])];
  switch (wanted.kind) {
    case 'tokens':
      return [...(wanted.provider === null ? [] : [wanted.provider.name]), ...rest].join(' or ');
    case 'any':
    case 'all':
      return `${wanted.kind}(${[...wanted.branches.map(wordsOf), ...rest].join(', ')})`;
    default:
      return 'nothing';
  }
}

type Named = ReadonlyMap<string, JwtRequirement>;

function namedRequirements(
  config: JwtAuthentication,
  providers: JwtProviders,
  problems: Problem[],
  path: string,
): Named {
  const named = new Map<string, JwtRequirement>();
  for (const [name, requirement] of Object.entries(config.requirementMap)) {
    const at = `${path}.requirement_map[${JSON.stringify(name)}]`;
    const compiled = compileRequirement(requirement, { configs: config.providers, providers, problems, path: at });
    if (compiled !== null) named.set(name, compiled);
  }
  return named;
}

interface RulePlace {
  readonly scope: FilterScope;
  readonly configs: JwtAuthentication['providers'];
  readonly providers: JwtProviders;
  readonly named: Named;
  readonly problems: Problem[];
  readonly path: string;
}

function compileRule(rule: RequirementRule, place: RulePlace): JwtRule | null {
  const { scope, problems, path } = place;
  const matches = rule.match === undefined ? null : scope.routeMatch(rule.match, problems, `${path}.match`);
  if (rule.match === undefined) problems.push(error(`${path}.match`, 'is required', 'write match: { prefix: / }'));
  const requires = requirementOf(rule, place);
  return matches === null || requires === undefined ? null : { matches, requires };
}

/** Undefined after reporting why it is refused. */
function requirementOf(rule: RequirementRule, place: RulePlace): JwtRequirement | null | undefined {
  const { problems, path, named, providers, configs } = place;
  const { requirementType: type } = rule;
  if (type.case === undefined) return null;
  if (type.case === 'requirementName') {
    const found = named.get(type.value);
    if (found === undefined) {
      problems.push(
        error(`${path}.requirement_name`, `'${type.value}' is not in requirement_map`, 'name one of its keys'),
      );
    }
    return found;
  }
  return compileRequirement(type.value, { configs, providers, problems, path: `${path}.requires` }) ?? undefined;
}

function routeSettings(
  any: Any,
  filter: JwtFilter,
  named: Named,
  { env, path }: { readonly env: CompileEnv; readonly path: string },
): JwtSettings | null {
  const settings = unpack(any, PerRouteConfigSchema);
  const specifier = settings?.requirementSpecifier;
  if (specifier?.case === 'disabled' && specifier.value) return settingsOf(filter, [], '');
  if (specifier?.case === 'requirementName' && specifier.value !== '') {
    const requires = named.get(specifier.value);
    if (requires !== undefined) return settingsOf(filter, [{ matches: () => true, requires }], '');
    // As in Envoy: requests that take this route are answered 403.
    const known = [...named.keys()].toSorted().join(',');
    return settingsOf(filter, [], `Wrong requirement_name: ${specifier.value}. It should be one of [${known}]`);
  }
  env.problems.push(error(path, 'says nothing', 'write disabled: true or requirement_name'));
  return null;
}
