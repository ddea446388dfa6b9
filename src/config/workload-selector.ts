// Whom a policy of Istio's kinds is for: workloads by their labels (`selector.matchLabels`), services by name
// (`targetRefs`), or, with neither, everybody in its namespace. Read alike for AuthorizationPolicy,
// RequestAuthentication, PeerAuthentication and our own kinds that sit on workloads.
// Source: istio/type/v1beta1/selector.proto.
import { refuseEmptyFields } from './empty-field.ts';
import type { Fields } from './fields.ts';

export interface PolicyTarget {
  readonly kind: 'Service' | 'ServiceEntry';
  readonly name: string;
}

export interface WorkloadSelector {
  /** Null: no labels are asked for; an empty map is the same as null. */
  readonly labels: ReadonlyMap<string, string> | null;
  /** Empty: none are named. Of the policy's own namespace. */
  readonly targets: readonly PolicyTarget[];
}

export const POLICY_TARGET_KINDS: readonly PolicyTarget['kind'][] = ['Service', 'ServiceEntry'];
export const EVERY_WORKLOAD: WorkloadSelector = { labels: null, targets: [] };

export const LABELS_MAX = 64;
/** Kubernetes allows no longer one. */
export const LABEL_LENGTH_MAX = 63;
export const TARGETS_MAX = 16;
const GROUPS: Readonly<Record<PolicyTarget['kind'], readonly string[]>> = {
  Service: ['', 'core'],
  ServiceEntry: ['networking.istio.io'],
};

/** Reads `selector`, `targetRef` and `targetRefs` of a spec; at most one of them may be there. */
export function readWorkloadSelector(fields: Fields): WorkloadSelector {
  fields.exclusive('selector', 'targetRef', 'targetRefs');
  const labels = fields.object('selector', readLabels);
  const single = fields.object('targetRef', readTarget);
  const several = fields.list('targetRefs', readTarget);
  if (several.length > TARGETS_MAX)
    fields.error('targetRefs', `are ${several.length}`, `write at most ${TARGETS_MAX}, or a selector`);
  const targets = [single, ...several].filter((target) => target !== null);
  return { labels: labels === null || labels.size === 0 ? null : labels, targets };
}

/** Reads `matchLabels` of a policy's selector. */
export function readLabels(fields: Fields): ReadonlyMap<string, string> {
  // A policy that selects nobody by name is for everybody: an ALLOW would let in to workloads it never meant.
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['matchLabels']);
  const labels = fields.textMap('matchLabels');
  fields.object('matchLabels', (own) => {
    // Kubernetes drops a label without a value: the policy would be for more workloads.
    refuseEmptyFields(own, own.names());
    own.ignore(...own.names());
  });
  if (labels.size > LABELS_MAX) fields.error('matchLabels', `are ${labels.size}`, `write at most ${LABELS_MAX}`);
  for (const [name, value] of labels) {
    if (name === '') fields.error('matchLabels', 'a label has no name', 'write name: value');
    if (value.length > LABEL_LENGTH_MAX)
      fields.error('matchLabels', `the value of ${name} has ${value.length} characters`, 'write at most 63');
    if (`${name}${value}`.includes('*')) {
      const remedy = 'write whole labels; leave the selector out to choose every workload';
      fields.error('matchLabels', `${name}: ${value} has a wildcard`, remedy);
    }
  }
  return labels;
}

function readTarget(fields: Fields): PolicyTarget | null {
  const kind = fields.choice('kind', POLICY_TARGET_KINDS);
  // Left out, it would be as if nobody had been named, and the policy for everybody.
  if (!fields.has('kind')) fields.error('kind', 'kind is missing', `write one of ${POLICY_TARGET_KINDS.join(', ')}`);
  const group = fields.text('group');
  const name = fields.requiredText('name');
  const namespace = fields.text('namespace');
  if (namespace !== '') fields.error('namespace', 'a policy is for its own namespace', 'remove it');
  if (kind === null) return null;
  if (!GROUPS[kind].includes(group))
    fields.error(
      'group',
      `${kind} is not of the group ${JSON.stringify(group)}`,
      `write ${JSON.stringify(GROUPS[kind][0])}`,
    );
  return { kind, name };
}
