// What the control service must be allowed to do, and no more: the ClusterRole and the Role of the release are made from
// this table, and a test runs the service under exactly them.
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import { PROOF_KIND } from './webhook-proof.ts';
import { ROOTS_CONFIG_MAP } from './roots-config-maps.ts';
import { INJECTOR, VALIDATOR } from './webhook-bundle.ts';
import { ruleKinds } from './watched-kinds.ts';

export interface RbacNeed {
  readonly apiGroup: string;
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Only objects of these names; absent: all. */
  readonly names?: readonly string[];
}

const READ = ['list', 'watch'];

/** Everywhere. */
export function clusterNeeds(): readonly RbacNeed[] {
  return [
    { apiGroup: '', resources: ['services', 'pods', 'nodes', 'namespaces', 'secrets'], verbs: READ },
    { apiGroup: KNOWN_KINDS.endpointSlice.group, resources: ['endpointslices'], verbs: READ },
    ...byGroup(READ, ''),
    ...byGroup(['patch'], '/status'),
    // The roots of the mesh in every namespace.
    { apiGroup: '', resources: ['configmaps'], verbs: [...READ, 'create', 'patch'], names: [ROOTS_CONFIG_MAP] },
    { apiGroup: '', resources: ['configmaps'], verbs: ['create'] },
    { apiGroup: KNOWN_KINDS.event.group, resources: ['events'], verbs: ['create', 'patch'] },
    {
      apiGroup: KNOWN_KINDS.mutatingWebhookConfiguration.group,
      resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
      verbs: ['get', 'patch'],
      names: [INJECTOR, VALIDATOR],
    },
    { apiGroup: KNOWN_KINDS.tokenReview.group, resources: ['tokenreviews'], verbs: ['create'] },
  ];
}

/** In the namespace of the control service. */
export const OWN_NEEDS: readonly RbacNeed[] = [
  // The proof of validation, as a dry run.
  { apiGroup: PROOF_KIND.group, resources: [PROOF_KIND.plural], verbs: ['create'] },
  { apiGroup: '', resources: ['configmaps'], verbs: READ },
  // The authority; who may create a Secret may create any.
  { apiGroup: '', resources: ['secrets'], verbs: ['get', 'create', 'patch'] },
  {
    apiGroup: KNOWN_KINDS.lease.group,
    resources: ['leases'],
    verbs: [...READ, 'get', 'create', 'update', 'patch', 'delete'],
  },
];

function byGroup(verbs: readonly string[], suffix: string): readonly RbacNeed[] {
  const groups = new Map<string, string[]>();
  for (const { group, plural } of ruleKinds()) groups.set(group, [...(groups.get(group) ?? []), `${plural}${suffix}`]);
  return [...groups].map(([apiGroup, resources]) => ({ apiGroup, resources: resources.toSorted(), verbs }));
}
