// The objects of a release, all of them, in the order in which they are made: what others need comes first. The commands
// apply this list, and the Helm chart's templates are compared with it. What the chart cannot know by itself (rights,
// definitions, which kinds are validated) it gets from `chartFiles`.
import type { JsonObject } from '@bufbuild/protobuf';
import { stringify } from 'yaml';
import { crdOf } from '../../config/schema/crd.ts';
import { kindSchemas } from '../../config/schema/kind-schemas.ts';
import { clusterNeeds, OWN_NEEDS, type RbacNeed } from '../../control/kubernetes/rbac-needs.ts';
import { ruleKinds } from '../../control/kubernetes/watched-kinds.ts';
import {
  autoscaler,
  deployment,
  disruptionBudget,
  networkPolicy,
  service,
  serviceMonitor,
} from './control-workload.ts';
import { nodePlugin } from './node-plugin.ts';
import { CONTROL, labelsOf, releaseObject, type Release, type ReleaseObject } from './release.ts';
import { mutatingWebhook, validatingWebhook, type ValidatedGroup } from './webhook-objects.ts';

const RBAC = 'rbac.authorization.k8s.io';
const CLUSTER_WIDE = { apiVersion: `${RBAC}/v1`, name: CONTROL, isClusterWide: true };

export function releaseObjects(release: Release): readonly ReleaseObject[] {
  const { values } = release;
  return [
    ...(values.definitions.enabled ? definitions(release) : []),
    namespaceObject(release),
    releaseObject(release, { apiVersion: 'v1', kind: 'ServiceAccount', name: CONTROL }, {}),
    ...rights(release),
    releaseObject(
      release,
      { apiVersion: 'v1', kind: 'ConfigMap', name: 'istio' },
      { data: { mesh: stringify({ trustDomain: values.trustDomain, ...values.mesh }, { sortMapEntries: true }) } },
    ),
    service(release),
    deployment(release),
    ...(values.podDisruptionBudget.enabled ? [disruptionBudget(release)] : []),
    ...(values.autoscaling.enabled ? [autoscaler(release)] : []),
    ...(values.networkPolicy.enabled ? [networkPolicy(release)] : []),
    ...(values.serviceMonitor.enabled ? [serviceMonitor(release)] : []),
    ...(values.cni.enabled ? nodePlugin(release) : []),
    // Last: from here on others wait for us.
    ...(values.validator.enabled ? [validatingWebhook(release, validatedGroups())] : []),
    ...(values.injector.enabled ? [mutatingWebhook(release)] : []),
  ];
}

/** Contents of the chart's folder `files`, by name. */
export function chartFiles(): ReadonlyMap<string, string> {
  const options = { lineWidth: 0, aliasDuplicateObjects: false };
  const files = new Map<string, string>([
    ['cluster-rules.yaml', stringify(clusterNeeds().map(ruleOf), options)],
    ['own-rules.yaml', stringify(OWN_NEEDS.map(ruleOf), options)],
    ['validated.yaml', stringify(validatedGroups(), options)],
  ]);
  for (const kind of kindSchemas())
    files.set(`definitions/${kind.group}_${kind.plural}.yaml`, stringify(crdOf(kind), options));
  return files;
}

function definitions(release: Release): readonly ReleaseObject[] {
  return kindSchemas().map((kind) => {
    const labels = labelsOf(release, 'definitions');
    const { spec = {} } = crdOf(kind);
    const metadata = { name: `${kind.plural}.${kind.group}`, labels };
    return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec };
  });
}

/** Our own namespace is outside of the mesh, and nothing in it needs a privilege. */
function namespaceObject(release: Release): ReleaseObject {
  const labels = {
    ...labelsOf(release, 'control'),
    'istio-injection': 'disabled',
    'pod-security.kubernetes.io/enforce': 'restricted',
  };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: release.namespace, labels } };
}

function rights(release: Release): readonly ReleaseObject[] {
  const subjects = [{ kind: 'ServiceAccount', name: CONTROL, namespace: release.namespace }];
  const own = { apiVersion: `${RBAC}/v1`, name: CONTROL };
  return [
    releaseObject(release, { ...CLUSTER_WIDE, kind: 'ClusterRole' }, { rules: clusterNeeds().map(ruleOf) }),
    releaseObject(
      release,
      { ...CLUSTER_WIDE, kind: 'ClusterRoleBinding' },
      { roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: CONTROL }, subjects },
    ),
    releaseObject(release, { ...own, kind: 'Role' }, { rules: OWN_NEEDS.map(ruleOf) }),
    releaseObject(
      release,
      { ...own, kind: 'RoleBinding' },
      { roleRef: { apiGroup: RBAC, kind: 'Role', name: CONTROL }, subjects },
    ),
  ];
}

function ruleOf({ apiGroup, resources, verbs, names }: RbacNeed): JsonObject {
  return {
    apiGroups: [apiGroup],
    resources: [...resources],
    verbs: [...verbs],
    ...(names === undefined ? {} : { resourceNames: [...names] }),
  };
}

/** Rules by group and version; other versions of a kind are asked about in ours (matchPolicy Equivalent). */
function validatedGroups(): ValidatedGroup[] {
  const groups = new Map<string, ValidatedGroup>();
  for (const { group, version, plural } of ruleKinds()) {
    const key = `${group}/${version}`;
    const one = groups.get(key) ?? { apiGroup: group, apiVersion: version, resources: [] };
    groups.set(key, { ...one, resources: [...one.resources, plural].toSorted() });
  }
  return [...groups.values()];
}
