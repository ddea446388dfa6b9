// Whether what a policy's targetRefs name is there: a Service or ServiceEntry and its port, a VirtualService or HTTPRoute and
// its rule, of the policy's own namespace. What is not there is a warning, because it may come yet, and it says what there
// is instead: a policy that holds for nothing never does so in silence.
import { unresolved, warning, type Problem } from '../../base/problem.ts';
import type { ResilienceTarget, TargetKind } from '../../config/resilience-policy.ts';
import type { Resource } from '../../config/resource.ts';
import { nearest } from '../../config/spelling.ts';
import type { Snapshot } from '../snapshot.ts';

/** Something that may be a target, and the names of its parts. */
interface Candidate {
  readonly name: string;
  readonly parts: readonly string[];
}

type Names = Pick<Snapshot, 'services' | 'virtualServices' | 'httpRoutes'>;

const SHOWN_MAX = 5;

/** `index` is of the target in the policy's spec.targetRefs. */
export function checkTarget(
  policy: Pick<Resource, 'meta' | 'source'>,
  target: ResilienceTarget,
  index: number,
  snapshot: Names,
): readonly Problem[] {
  const { namespace } = policy.meta;
  const path = `spec.targetRefs[${index}]`;
  const place = policy.source.locate(path);
  const known = candidates(target.kind, namespace, snapshot);
  const found = known.filter(({ name }) => name === target.name);
  if (found.length === 0) {
    const names = known.map(({ name }) => name);
    const guess = nearest(target.name, names);
    const remedy =
      guess === null ? `correct the name, or add the ${target.kind}${listed(names)}` : `did you mean ${guess}?`;
    const message = `there is no ${target.kind} ${namespace}/${target.name} to hold for`;
    return [unresolved(warning(`${path}.name`, message, remedy, place))];
  }
  const parts = found.flatMap((each) => each.parts).filter((part) => part !== '');
  if (target.sectionName === '' || parts.includes(target.sectionName)) return [];
  const what = target.kind === 'Service' || target.kind === 'ServiceEntry' ? 'port' : 'rule';
  const remedy = parts.length === 0 ? 'leave sectionName out' : `write one of ${parts.join(', ')}`;
  const message = `the ${target.kind} ${target.name} has no ${what} ${target.sectionName}`;
  return [unresolved(warning(`${path}.sectionName`, message, remedy, place))];
}

/** What there is. */
function listed(names: readonly string[]): string {
  if (names.length === 0) return '';
  const more = names.length > SHOWN_MAX ? ` and ${names.length - SHOWN_MAX} more` : '';
  return `; there is ${names.toSorted().slice(0, SHOWN_MAX).join(', ')}${more}`;
}

function candidates(kind: TargetKind, namespace: string, snapshot: Names): readonly Candidate[] {
  const isHere = ({ meta }: { readonly meta: { readonly namespace: string } }) => meta.namespace === namespace;
  switch (kind) {
    case 'VirtualService':
      return snapshot.virtualServices
        .filter(isHere)
        .map(({ meta, spec }) => ({ name: meta.name, parts: spec.http.map((rule) => rule.name) }));
    case 'HTTPRoute':
      return snapshot.httpRoutes
        .filter(isHere)
        .map(({ meta, spec }) => ({ name: meta.name, parts: spec.rules.map((rule) => rule.name) }));
    default:
      return [...snapshot.services.values()]
        .filter(
          (service) => service.namespace === namespace && (service.kind === 'entry') === (kind === 'ServiceEntry'),
        )
        .map((service) => ({
          name: kind === 'ServiceEntry' ? service.meta.name : service.name,
          parts: service.ports.flatMap((port) => [String(port.number), port.name]),
        }));
  }
}
