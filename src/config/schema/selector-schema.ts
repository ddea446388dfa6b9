// Whom a rule is for: workloads by their labels, or resources by name. The same rules as config/workload-selector.ts.
import { choice, list, map, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { LABEL_LENGTH_MAX, LABELS_MAX, POLICY_TARGET_KINDS, TARGETS_MAX } from '../workload-selector.ts';

const label = text('The value of the label; the whole value, because wildcards are not allowed.');

/** `selector: { matchLabels }` of policies. */
export function labelSelector(description: string): FieldSchema {
  return object(description, { matchLabels: map('Labels that the pods must have, all of them.', label) });
}

/** The same for kinds where a label that is no label would widen the policy. */
export function strictSelector(description: string): FieldSchema {
  const labels = map(
    'Labels that the pods must have, all of them.',
    { ...label, maxLength: LABEL_LENGTH_MAX },
    {
      maxProperties: LABELS_MAX,
      rules: [
        { rule: `self.all(key, !key.contains('*') && !self[key].contains('*'))`, message: 'labels have no wildcards' },
        { rule: `self.all(key, key != '')`, message: 'a label must have a name' },
      ],
    },
  );
  return object(description, { matchLabels: labels }, { refusesNull: true });
}

/** `workloadSelector: { labels }` of the networking kinds. */
export function workloadSelector(description: string, field: 'labels' | 'matchLabels' = 'labels'): FieldSchema {
  return object(description, { [field]: map('Labels that the pods must have, all of them.', label) });
}

/** `selector`, `targetRef` and `targetRefs` of the security kinds. */
export function policyTargets(): Readonly<Record<string, FieldSchema>> {
  return {
    selector: strictSelector(
      'The workloads that the policy is for; without it, and without targets, all of its namespace.',
    ),
    targetRef: policyTarget('The one resource that the policy is for.'),
    targetRefs: list('The resources that the policy is for.', policyTarget('One of them.'), { maxItems: TARGETS_MAX }),
  };
}

function policyTarget(description: string): FieldSchema {
  return object(
    description,
    {
      group: text('The API group: empty for a Service, networking.istio.io for a ServiceEntry.'),
      kind: choice('Its kind.', POLICY_TARGET_KINDS),
      name: text('The name, in the namespace of the policy.'),
      namespace: text('Must be left out: policies are for their own namespace.', { maxLength: 0 }),
    },
    { required: ['kind', 'name'] },
  );
}
