// The immutable picture of one moment that every translation reads: services with their instances, the
// rule in force for each host, the mesh's settings, and the Problems that only show in the whole.
import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../base/problem.ts';
import { DEFAULT_MESH } from '../config/mesh-config.ts';
import type { ExtensionProvider, MeshConfigSpec } from '../config/mesh-config.ts';
import { compareAge } from '../config/resource.ts';
import type {
  AuthorizationPolicy,
  DestinationRule,
  Extension,
  HttpRoute,
  RateLimitPolicy,
  ReferenceGrant,
  RequestAuthentication,
  Resource,
  Sidecar,
  Telemetry,
  VirtualService,
} from '../config/resource.ts';
import { NO_JWKS } from './jwks-store.ts';
import type { JwksStates } from './jwks-store.ts';
import { EnvoyFilters } from './envoy-filters.ts';
import type { MeshNode } from './mesh-node.ts';
import { expandHost } from './mesh-service.ts';
import { offeredSecrets } from './offered-secrets.ts';
import { PeerAuthentications } from './peer-authentications.ts';
import type { MeshService } from './mesh-service.ts';
import { ResilienceIndex } from './resilience-index.ts';
import { RouteLimitIndex } from './route-limit-index.ts';
import { SecretIndex } from './secret-index.ts';
import { buildServices, type BuiltServices } from './services.ts';
import { INSTANCE_KINDS, sameButInstances, ServiceReuse, type InstanceChanges } from './service-reuse.ts';

export interface Snapshot {
  readonly domain: string;
  readonly mesh: MeshConfigSpec;
  /** By host. */
  readonly services: ReadonlyMap<string, MeshService>;
  /** Oldest first. */
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly httpRoutes: readonly HttpRoute[];
  readonly grants: readonly ReferenceGrant[];
  readonly telemetries: readonly Telemetry[];
  readonly sidecars: readonly Sidecar[];
  readonly extensions: readonly Extension[];
  readonly envoyFilters: EnvoyFilters;
  readonly authorizationPolicies: readonly AuthorizationPolicy[];
  readonly requestAuthentications: readonly RequestAuthentication[];
  /** Keys that the control service fetched for them. */
  readonly jwks: JwksStates;
  readonly resilience: ResilienceIndex;
  /** Oldest first. */
  readonly rateLimits: readonly RateLimitPolicy[];
  readonly routeLimits: RouteLimitIndex;
  readonly peerAuthentications: PeerAuthentications;
  /** Some route or backend has sessions that stay with an endpoint. */
  readonly usesSessions: boolean;
  /** What workloads may ask for by SDS. */
  readonly secrets: SecretIndex;
  readonly workloads: readonly MeshNode[];
  readonly problems: readonly Problem[];
  /** Those of `problems` that are about services. */
  readonly serviceProblems: readonly Problem[];
}

export interface SnapshotInputs {
  readonly resources: readonly Resource[];
  readonly workloads: readonly MeshNode[];
  readonly domain: string;
  /** Providers and services given on the command line. */
  readonly providers: readonly ExtensionProvider[];
  readonly services: readonly MeshService[];
  /** Comes before the one of MeshConfig; empty, the default: not given. */
  readonly trustDomain?: string;
  /** Keys that were fetched; none by default. */
  readonly jwks?: JwksStates;
  /** PEM of whom the mesh trusts now; empty, the default: it has no authority. */
  readonly rootsPem?: () => string;
  /** The one before, of which services that are the same are kept; null, the default: there is none. */
  readonly previous?: Snapshot | null;
}

const NO_ROOTS = (): string => '';

export function buildSnapshot(inputs: SnapshotInputs): Snapshot {
  const { resources, workloads, domain, providers, trustDomain = '', jwks = NO_JWKS, rootsPem = NO_ROOTS } = inputs;
  // There are many of those that only say who serves, and nobody asks which is older.
  const sorted = resources.filter(({ kind }) => !INSTANCE_KINDS.has(kind)).toSorted(compareAge);
  const meshes = sorted.filter((resource) => resource.kind === 'MeshConfig');
  const mesh = meshOf(meshes[0]?.spec ?? DEFAULT_MESH, providers, trustDomain);
  const peerAuthentications = new PeerAuthentications(
    sorted.filter((resource) => resource.kind === 'PeerAuthentication'),
    mesh.rootNamespace,
  );
  const built = servicesOf(inputs, peerAuthentications);
  const { services } = built;
  const virtualServices = sorted.filter((resource) => resource.kind === 'VirtualService');
  const destinationRules = sorted.filter((resource) => resource.kind === 'DestinationRule');
  const resilience = new ResilienceIndex(
    sorted.filter((resource) => resource.kind === 'ResiliencePolicy' || resource.kind === 'XBackendTrafficPolicy'),
  );
  const httpRoutes = sorted.filter((resource) => resource.kind === 'HTTPRoute');
  const rateLimits = sorted.filter((resource) => resource.kind === 'RateLimitPolicy');
  const usesSessions =
    resilience.policies.some(({ spec }) => spec.sections.some(({ kind }) => kind === 'sessionPersistence')) ||
    httpRoutes.some(({ spec }) => spec.rules.some((rule) => rule.session !== null));
  const envoyFilters = new EnvoyFilters(
    sorted.filter((resource) => resource.kind === 'EnvoyFilter'),
    mesh.rootNamespace,
  );
  const indexes = [built, envoyFilters, resilience, peerAuthentications];
  const problems = indexes.flatMap((index) => index.problems);
  for (const rival of meshes.slice(1))
    problems.push(ignored(rival, '', 'another MeshConfig is in force', 'remove one of them'));
  rivals(virtualServices, domain, problems);
  ruleRivals(destinationRules, domain, problems);
  return {
    domain,
    mesh,
    services,
    virtualServices,
    destinationRules,
    httpRoutes,
    grants: sorted.filter((resource) => resource.kind === 'ReferenceGrant'),
    telemetries: sorted.filter((resource) => resource.kind === 'Telemetry'),
    sidecars: sorted.filter((resource) => resource.kind === 'Sidecar'),
    envoyFilters,
    extensions: sorted.filter((resource) => resource.kind === 'Extension'),
    authorizationPolicies: sorted.filter((resource) => resource.kind === 'AuthorizationPolicy'),
    requestAuthentications: sorted.filter((resource) => resource.kind === 'RequestAuthentication'),
    jwks,
    resilience,
    rateLimits,
    routeLimits: new RouteLimitIndex(rateLimits),
    peerAuthentications,
    usesSessions,
    secrets: new SecretIndex(
      offeredSecrets(
        sorted.filter((resource) => resource.kind === 'Secret'),
        destinationRules,
      ),
      rootsPem(),
    ),
    workloads,
    problems,
    serviceProblems: built.problems,
  };
}

function servicesOf(
  { resources, workloads, domain, services: extra, previous = null }: SnapshotInputs,
  authentications: PeerAuthentications,
): BuiltServices {
  const reuse = previous === null ? null : new ServiceReuse(previous.services, null);
  const built = buildServices({ resources, workloads, domain, authentications, reuse });
  return withGiven(built, extra);
}

function withGiven({ services, problems }: BuiltServices, given: readonly MeshService[]): BuiltServices {
  return { services: new Map([...services, ...given.map((service) => [service.host, service] as const)]), problems };
}

/** A snapshot in which nothing but instances is different, and the hosts whose instances are. */
export interface MovedSnapshot {
  readonly snapshot: Snapshot;
  readonly moved: ReadonlySet<string>;
}

/**
 * The next snapshot when only instances and joined workloads have changed; null when that changed more than the
 * instances of services that were there. Its Problems are those of before.
 */
export function moveInstances(
  previous: Snapshot,
  { resources, workloads, services: extra }: Pick<SnapshotInputs, 'resources' | 'workloads' | 'services'>,
  changes: InstanceChanges,
): MovedSnapshot | null {
  const reuse = new ServiceReuse(previous.services, changes);
  const { domain, peerAuthentications: authentications } = previous;
  const built = withGiven(buildServices({ resources, workloads, domain, authentications, reuse }), extra);
  const { services } = built;
  if (services.size !== previous.services.size || !sameProblems(previous.serviceProblems, built.problems)) return null;
  const moved = new Set<string>();
  for (const [host, service] of services) {
    const before = previous.services.get(host);
    if (before === undefined || !sameButInstances(before, service)) return null;
    if (before !== service) moved.add(host);
  }
  return { snapshot: { ...previous, services, workloads }, moved };
}

function sameProblems(left: readonly Problem[], right: readonly Problem[]): boolean {
  return left.length === right.length && left.every((problem, index) => isDeepStrictEqual(problem, right[index]));
}

/** What is written, with what the command line says in its place. */
function meshOf(written: MeshConfigSpec, providers: readonly ExtensionProvider[], trustDomain: string): MeshConfigSpec {
  const given = providers.map((provider) => provider.name);
  return {
    ...written,
    trustDomain: trustDomain === '' ? written.trustDomain : trustDomain,
    providers: [...written.providers.filter((provider) => !given.includes(provider.name)), ...providers],
  };
}

/** A sidecar follows one VirtualService per host: the oldest. */
function rivals(virtualServices: readonly VirtualService[], domain: string, problems: Problem[]): void {
  const owners = new Map<string, VirtualService>();
  for (const rule of virtualServices) {
    if (rule.spec.gateways.length > 0 && !rule.spec.gateways.includes('mesh')) continue;
    for (const [index, host] of rule.spec.hosts.entries()) {
      const full = expandHost(host, rule.meta.namespace, domain);
      const visibility = rule.spec.exportTo.length === 0 ? '*' : rule.spec.exportTo.toSorted().join();
      const key = `${full} ${visibility === '.' ? rule.meta.namespace : visibility}`;
      const owner = owners.get(key);
      if (owner === undefined || owner === rule) owners.set(key, rule);
      else {
        const path = `spec.hosts[${index}]`;
        problems.push(
          ignored(
            rule,
            path,
            `the host ${full} already has the older VirtualService ${owner.meta.namespace}/${owner.meta.name}; this one has no effect`,
            'join the two',
          ),
        );
      }
    }
  }
}

function ruleRivals(rules: readonly DestinationRule[], domain: string, problems: Problem[]): void {
  const owners = new Map<string, DestinationRule>();
  for (const rule of rules) {
    if (rule.spec.selector !== null) continue;
    const key = `${rule.meta.namespace} ${expandHost(rule.spec.host, rule.meta.namespace, domain)}`;
    const owner = owners.get(key);
    if (owner === undefined) owners.set(key, rule);
    else
      problems.push(
        ignored(
          rule,
          'spec.host',
          `the host ${rule.spec.host} already has the older DestinationRule ${owner.meta.namespace}/${owner.meta.name}; this one has no effect`,
          'join the two',
        ),
      );
  }
}

function ignored(resource: Resource, path: string, message: string, remedy: string): Problem {
  return { severity: 'warning', path, message, remedy, place: resource.source.locate(path) };
}
