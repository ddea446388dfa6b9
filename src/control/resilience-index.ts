// Which sections of the ResiliencePolicies, and of the XBackendTrafficPolicies with them, hold for a port of a service, and for a rule of a VirtualService or an
// HTTPRoute. Policies are told apart section by section: of two that say the same section of the same target the
// oldest is in force, then the first by namespace and name, and the other is a Problem. What names a port or a rule
// comes before what does not.
import type { Problem } from '../base/problem.ts';
import { isRouteSection } from '../config/resilience-policy.ts';
import type {
  ResilienceSection,
  ResilienceTarget,
  RouteSection,
  ServiceSection,
  TargetKind,
} from '../config/resilience-policy.ts';
import type { BackendTrafficPolicy, ResiliencePolicy } from '../config/resource.ts';
import type { MeshPort, MeshService } from './mesh-service.ts';

type Policy = ResiliencePolicy | BackendTrafficPolicy;

interface Entry {
  readonly policy: Policy;
  readonly section: ResilienceSection;
}

/** By the kind of the section. */
type Sections = Map<ResilienceSection['kind'], Entry>;

export class ResilienceIndex {
  readonly policies: readonly Policy[];
  readonly problems: readonly Problem[];
  /** By target. */
  readonly #sections = new Map<string, Sections>();

  /** `policies`: oldest first. */
  constructor(policies: readonly Policy[]) {
    this.policies = policies;
    const problems: Problem[] = [];
    for (const policy of policies)
      for (const target of new Map(policy.spec.targets.map((each) => [targetKey(policy.meta.namespace, each), each])))
        this.#add(policy, target, problems);
    this.problems = problems;
  }

  /** A service without a ServiceEntry goes by its name, one with by the name of the entry. */
  ofService(service: MeshService, port: Pick<MeshPort, 'number' | 'name'>): readonly ServiceSection[] {
    if (this.policies.length === 0) return [];
    const kind = service.kind === 'entry' ? 'ServiceEntry' : 'Service';
    const name = service.kind === 'entry' ? service.meta.name : service.name;
    const found = this.#find(kind, { namespace: service.namespace, name }, [String(port.number), port.name]);
    return found.filter((section): section is ServiceSection => !isRouteSection(section));
  }

  ofRoute(
    kind: 'VirtualService' | 'HTTPRoute',
    meta: { readonly namespace: string; readonly name: string },
    ruleName: string,
  ): readonly RouteSection[] {
    return this.policies.length === 0 ? [] : this.#find(kind, meta, [ruleName]).filter(isRouteSection);
  }

  #find(
    kind: TargetKind,
    { namespace, name }: { readonly namespace: string; readonly name: string },
    sectionNames: readonly string[],
  ): readonly ResilienceSection[] {
    const found: Sections = new Map();
    for (const sectionName of ['', ...sectionNames])
      for (const [section, entry] of this.#sections.get(targetKey(namespace, { kind, name, sectionName })) ?? [])
        found.set(section, entry);
    return [...found.values()].map(({ section }) => section);
  }

  #add(policy: Policy, [key, target]: readonly [string, ResilienceTarget], problems: Problem[]): void {
    const sections = this.#sections.get(key) ?? new Map();
    this.#sections.set(key, sections);
    for (const section of policy.spec.sections) {
      const rival = sections.get(section.kind);
      if (rival === undefined) sections.set(section.kind, { policy, section });
      else problems.push(loses(policy, section, target, rival.policy));
    }
  }
}

function targetKey(namespace: string, { kind, name, sectionName }: ResilienceTarget): string {
  return `${kind}/${namespace}/${name}/${sectionName}`;
}

function loses(policy: Policy, { kind }: ResilienceSection, target: ResilienceTarget, winner: Policy): Problem {
  const path = `spec.${kind}`;
  const what = `${target.kind} ${target.name}${target.sectionName === '' ? '' : `, section ${target.sectionName}`}`;
  return {
    severity: 'warning',
    path,
    message: `the older ${winner.kind} ${winner.meta.namespace}/${winner.meta.name} has ${kind} for the ${what} already; this one has no effect there`,
    remedy: 'join the two',
    place: policy.source.locate(path),
  };
}
