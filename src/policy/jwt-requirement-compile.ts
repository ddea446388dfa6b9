// Compiles Envoy's JwtRequirement into the tree that jwt-requirement.ts judges. `allow_missing` and
// `allow_missing_or_failed` beside alternatives are a property of these alternatives, as in Envoy; alone they look at
// every place of every provider. Refuses unknown providers, lists of less than two, and trees that are too deep.
// Source: Envoy source/extensions/filters/http/jwt_authn/{verifier,extractor}.cc.
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import { UNKNOWN, internHeader } from '../http/header-name.ts';
import { joinsValues } from '../plan/joined-header.ts';
import { wireText } from '../plan/wire-text.ts';
import type {
  JwtProvider as ProviderConfig,
  JwtRequirement as RequirementConfig,
} from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import type { TokenPlace } from './jwt-place.ts';
import { plainAudience } from './jwt-provider.ts';
import type { JwtProviders, JwtRequirement } from './jwt-requirement.ts';

export interface RequirementPlace {
  readonly configs: Readonly<Record<string, ProviderConfig>>;
  readonly providers: JwtProviders;
  readonly problems: Problem[];
  readonly path: string;
}

const DEPTH_MAX = 16;

const NOTHING: JwtRequirement = Object.freeze({
  kind: 'nothing',
  branches: [],
  provider: null,
  places: [],
  audiences: null,
  allowsMissing: false,
  allowsFailed: false,
});

/** Null after reporting why it is refused. */
export function compileRequirement(
  config: RequirementConfig,
  place: RequirementPlace,
  depth = 0,
): JwtRequirement | null {
  const { path, problems } = place;
  const { requiresType: type } = config;
  if (depth > DEPTH_MAX) {
    problems.push(error(path, 'is nested too deeply', `nest at most ${DEPTH_MAX} requirements`));
    return null;
  }
  switch (type.case) {
    case undefined:
      return NOTHING;
    case 'providerName':
      return ofProvider(type.value, [], place, `${path}.provider_name`);
    case 'providerAndAudiences': {
      const { providerName, audiences } = type.value;
      return ofProvider(providerName, audiences, place, `${path}.provider_and_audiences.provider_name`);
    }
    case 'allowMissing':
      return ofAnybody(place, { allowsMissing: true, allowsFailed: false });
    case 'allowMissingOrFailed':
      return ofAnybody(place, { allowsMissing: true, allowsFailed: true });
    case 'requiresAll': {
      const at = { ...place, path: `${path}.requires_all.requirements` };
      const branches = compileList(type.value.requirements, at, depth);
      return branches === null ? null : Object.freeze({ ...NOTHING, kind: 'all', branches });
    }
    case 'requiresAny': {
      const at = { ...place, path: `${path}.requires_any.requirements` };
      return compileAny(type.value.requirements, at, depth);
    }
    default:
      return assertNever(type);
  }
}

function compileAny(list: readonly RequirementConfig[], place: RequirementPlace, depth: number): JwtRequirement | null {
  const kinds = list.map(({ requiresType }) => requiresType.case);
  const allows = {
    allowsMissing: kinds.includes('allowMissing'),
    allowsFailed: kinds.includes('allowMissingOrFailed'),
  };
  const branches = compileList(list, place, depth);
  if (branches === null) return null;
  const regular = branches.filter((_, index) => !isBypass(kinds[index]));
  if (regular.length === 0) return ofAnybody(place, allows);
  return Object.freeze({ ...NOTHING, kind: 'any', branches: regular, ...allows });
}

function isBypass(kind: RequirementConfig['requiresType']['case']): boolean {
  return kind === 'allowMissing' || kind === 'allowMissingOrFailed';
}

function compileList(
  list: readonly RequirementConfig[],
  place: RequirementPlace,
  depth: number,
): readonly JwtRequirement[] | null {
  if (list.length < 2) {
    place.problems.push(error(place.path, 'needs at least two requirements', 'write the one requirement itself'));
    return null;
  }
  const all = list.map((one, index) => {
    return compileRequirement(one, { ...place, path: `${place.path}[${index}]` }, depth + 1);
  });
  const sound = all.filter((one) => one !== null);
  return sound.length < all.length ? null : sound;
}

function ofProvider(
  name: string,
  audiences: readonly string[],
  { configs, providers, problems }: RequirementPlace,
  path: string,
): JwtRequirement | null {
  const config = Object.hasOwn(configs, name) ? configs[name] : undefined;
  if (config === undefined) {
    problems.push(error(path, `Required provider ['${name}'] is not configured.`, 'name one of the providers'));
    return null;
  }
  const provider = providers.all.find((one) => one.name === name);
  // The provider itself was refused, which is reported where it stands.
  if (provider === undefined) return null;
  return Object.freeze({
    ...NOTHING,
    kind: 'tokens',
    provider,
    places: placesOf([config]),
    audiences: audiences.length === 0 ? null : new Set(audiences.map(plainAudience)),
  });
}

function ofAnybody(
  { configs }: RequirementPlace,
  allows: Pick<JwtRequirement, 'allowsMissing' | 'allowsFailed'>,
): JwtRequirement {
  return Object.freeze({ ...NOTHING, kind: 'tokens', places: placesOf(Object.values(configs)), ...allows });
}

interface Found {
  readonly place: Omit<TokenPlace, 'issuers'>;
  readonly issuers: Set<string>;
  takesAnybody: boolean;
}

/** Every place where these providers look, in the order in which Envoy reads them: headers, parameters, cookies. */
export function placesOf(providers: readonly ProviderConfig[]): readonly TokenPlace[] {
  const found = new Map<string, Found>();
  for (const provider of providers) {
    for (const place of ownPlaces(provider)) {
      const key = `${place.kind} ${place.name}${place.prefix}`;
      const known = found.get(key) ?? { place, issuers: new Set<string>(), takesAnybody: false };
      if (provider.issuer === '') known.takesAnybody = true;
      else known.issuers.add(provider.issuer);
      found.set(key, known);
    }
  }
  const rank = { header: 0, param: 1, cookie: 2 } as const;
  const sorted = [...found.entries()].toSorted(([left, a], [right, b]) => {
    return rank[a.place.kind] - rank[b.place.kind] || (left < right ? -1 : 1);
  });
  return sorted.map(([, { place, issuers, takesAnybody }]) => {
    return Object.freeze({ ...place, issuers: takesAnybody ? null : issuers });
  });
}

function ownPlaces({ fromHeaders, fromParams, fromCookies }: ProviderConfig): readonly Omit<TokenPlace, 'issuers'>[] {
  if (fromHeaders.length + fromParams.length + fromCookies.length === 0) {
    return [headerPlace('authorization', 'Bearer '), namedPlace('param', 'access_token')];
  }
  return [
    ...fromHeaders.map(({ name, valuePrefix }) => headerPlace(name.toLowerCase(), valuePrefix)),
    ...fromParams.map((name) => namedPlace('param', name)),
    ...fromCookies.map((name) => namedPlace('cookie', name)),
  ];
}

function headerPlace(name: string, prefix: string): Omit<TokenPlace, 'issuers'> {
  return {
    kind: 'header',
    name,
    header: internHeader(name),
    joins: joinsValues(name, 'request'),
    prefix: wireText(prefix),
  };
}

function namedPlace(kind: 'param' | 'cookie', name: string): Omit<TokenPlace, 'issuers'> {
  return { kind, name: wireText(name), header: UNKNOWN, joins: false, prefix: '' };
}
