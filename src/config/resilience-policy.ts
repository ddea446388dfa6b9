// ResiliencePolicy (outrigger.dev/v1alpha1): resilience that neither Istio's kinds nor the Gateway API can say, attached
// to services or to routes of its own namespace. Each section is read by a file of its own and is a variant of
// ResilienceSection; the tables below are all that there are. What is not in them is refused, not passed by: somebody
// who writes a policy counts on it.
import { readAdaptiveConcurrencySection } from './adaptive-concurrency-section.ts';
import type { AdaptiveConcurrencySection } from './adaptive-concurrency-section.ts';
import { readAdmissionControlSection } from './admission-control-section.ts';
import type { AdmissionControlSection } from './admission-control-section.ts';
import { readConcurrencyLimitSection } from './concurrency-limit-section.ts';
import type { RetryConstraintSection } from './backend-traffic-policy.ts';
import type { ConcurrencyLimitSection } from './concurrency-limit-section.ts';
import { readEjectionSection } from './ejection-section.ts';
import type { EjectionSection } from './ejection-section.ts';
import { readFallbackSection } from './fallback-section.ts';
import type { FallbackSection } from './fallback-section.ts';
import type { Fields } from './fields.ts';
import { readHealthCheckSection } from './health-check-section.ts';
import type { HealthCheckSection } from './health-check-section.ts';
import { readHedgeSection } from './hedge-section.ts';
import type { HedgeSection } from './hedge-section.ts';
import { readLoadBalancerSection } from './load-balancer-section.ts';
import type { LoadBalancerSection } from './load-balancer-section.ts';
import { readRetryBackOffSection } from './retry-back-off-section.ts';
import type { RetryBackOffSection } from './retry-back-off-section.ts';
import { readRetryBudgetSection } from './retry-budget.ts';
import type { RetryBudgetSection } from './retry-budget.ts';
import type { SessionSection } from './session-persistence.ts';
import { readSheddingSection } from './shedding-section.ts';
import type { SheddingSection } from './shedding-section.ts';
import { readStickySplitSection } from './sticky-split-section.ts';
import type { StickySplitSection } from './sticky-split-section.ts';
import { nearest } from './spelling.ts';

/** What the sidecars of a service do with what they receive; the app behind a ServiceEntry has none. */
type InboundSection = AdaptiveConcurrencySection | AdmissionControlSection | SheddingSection;
/** What a ResiliencePolicy says of a service. */
type OwnServiceSection =
  | ConcurrencyLimitSection
  | EjectionSection
  | FallbackSection
  | HealthCheckSection
  | InboundSection
  | LoadBalancerSection
  | RetryBudgetSection;
/** What holds for a service; the last two are an XBackendTrafficPolicy's. */
export type ServiceSection = OwnServiceSection | RetryConstraintSection | SessionSection;
/** What holds for routes. */
export type RouteSection = HedgeSection | RetryBackOffSection | StickySplitSection;
export type ResilienceSection = ServiceSection | RouteSection;

type SectionReader = (fields: Fields) => ResilienceSection;

/** By the name of the section, which is the `kind` of its variant. */
const SERVICE_SECTIONS: Readonly<Record<OwnServiceSection['kind'], SectionReader>> = {
  adaptiveConcurrency: readAdaptiveConcurrencySection,
  admissionControl: readAdmissionControlSection,
  concurrencyLimit: readConcurrencyLimitSection,
  fallback: readFallbackSection,
  healthCheck: readHealthCheckSection,
  loadBalancer: readLoadBalancerSection,
  outlierDetection: readEjectionSection,
  retryBudget: readRetryBudgetSection,
  shedding: readSheddingSection,
};
/** Those that hold where the app is. */
const INBOUND_SECTIONS: ReadonlySet<string> = new Set<InboundSection['kind']>([
  'adaptiveConcurrency',
  'admissionControl',
  'shedding',
]);
const ROUTE_SECTIONS: Readonly<Record<RouteSection['kind'], SectionReader>> = {
  hedge: readHedgeSection,
  retryBackOff: readRetryBackOffSection,
  stickySplit: readStickySplitSection,
};

export type TargetKind = 'Service' | 'ServiceEntry' | 'VirtualService' | 'HTTPRoute';

/** API groups by kind. */
const GROUPS: Readonly<Record<TargetKind, string>> = {
  Service: '',
  ServiceEntry: 'networking.istio.io',
  VirtualService: 'networking.istio.io',
  HTTPRoute: 'gateway.networking.k8s.io',
};
export const TARGET_KINDS: readonly TargetKind[] = ['Service', 'ServiceEntry', 'VirtualService', 'HTTPRoute'];

export const TARGETS_MAX = 1024;

export interface ResilienceTarget {
  readonly kind: TargetKind;
  readonly name: string;
  /** A port by name or number, or a rule by its name; empty is all of them. */
  readonly sectionName: string;
}

export interface ResiliencePolicySpec {
  readonly targets: readonly ResilienceTarget[];
  /** At most one of each kind. */
  readonly sections: readonly ResilienceSection[];
}

export function readResiliencePolicySpec(fields: Fields): ResiliencePolicySpec {
  fields.refuseUnknown();
  const targets = fields.list('targetRefs', readTarget, TARGETS_MAX).filter((target) => target !== null);
  if (!fields.has('targetRefs'))
    fields.error('targetRefs', 'the policy has no target', 'add targetRefs: [{ kind: Service, name: reviews }]');
  const sections = [
    ...readSections(fields, SERVICE_SECTIONS, { targets, isForRoutes: false }),
    ...readSections(fields, ROUTE_SECTIONS, { targets, isForRoutes: true }),
  ];
  if (sections.length === 0) {
    const names = [...Object.keys(SERVICE_SECTIONS), ...Object.keys(ROUTE_SECTIONS)];
    const isMistaken = fields.names().some((name) => name !== 'targetRefs');
    if (!isMistaken) fields.error('', 'the policy says nothing', `add one of ${names.join(', ')}`);
  }
  return { targets, sections };
}

export function isRouteTarget(kind: TargetKind): boolean {
  return kind === 'VirtualService' || kind === 'HTTPRoute';
}

/** Whether the section holds for routes, and not for the clusters of a service. */
export function isRouteSection(section: ResilienceSection): section is RouteSection {
  return Object.hasOwn(ROUTE_SECTIONS, section.kind);
}

function readSections(
  fields: Fields,
  readers: Readonly<Record<string, SectionReader>>,
  { targets, isForRoutes }: { readonly targets: readonly ResilienceTarget[]; readonly isForRoutes: boolean },
): readonly ResilienceSection[] {
  const sections: ResilienceSection[] = [];
  for (const [name, reader] of Object.entries(readers)) {
    if (!fields.has(name)) continue;
    const section = fields.object(name, (own) => {
      own.refuseUnknown();
      return reader(own);
    });
    if (section !== null) sections.push(section);
    const isInbound = INBOUND_SECTIONS.has(name);
    const misfit = targets.find(
      ({ kind }) => isRouteTarget(kind) !== isForRoutes || (isInbound && kind === 'ServiceEntry'),
    );
    if (misfit === undefined) continue;
    const own = isInbound ? 'name a Service' : 'name a Service or a ServiceEntry';
    const remedy = isForRoutes ? 'name a VirtualService or an HTTPRoute' : own;
    fields.error(name, `${name} has no meaning for a ${misfit.kind}`, `${remedy}, or write a policy of its own for it`);
  }
  return sections;
}

function readTarget(fields: Fields): ResilienceTarget | null {
  fields.refuseUnknown();
  const written = fields.requiredText('kind', `add kind: with one of ${TARGET_KINDS.join(', ')}`);
  const kind = TARGET_KINDS.find((known) => known === written);
  const target = { name: fields.requiredText('name'), sectionName: sectionNameOf(fields) };
  const group = fields.text('group');
  fields.ignore('group');
  if (kind === undefined) {
    const guess = nearest(written, TARGET_KINDS);
    const remedy = guess === null ? `write one of ${TARGET_KINDS.join(', ')}` : `did you mean ${guess}?`;
    if (fields.has('kind')) fields.error('kind', `"${written}" cannot be the target of a ResiliencePolicy`, remedy);
    return null;
  }
  const wanted = GROUPS[kind];
  if (group !== '' && group !== wanted && !(wanted === '' && group === 'core'))
    fields.error('group', `a ${kind} is not of group "${group}"`, `write group: "${wanted}", or leave it out`);
  return { kind, ...target };
}

/** Ports are often written as numbers. */
function sectionNameOf(fields: Fields): string {
  const written = fields.portOrName('sectionName');
  return written === null ? '' : String(written);
}
