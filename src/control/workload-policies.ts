// Which policies hold for a workload: those of the root namespace, those of its own namespace, and of these only
// the ones that select it, by its labels or by a service that it stands behind. All of them hold together; who
// wants the narrowest only takes the level from here.
// Source: istio/security/v1beta1/authorization_policy.proto ("workload selector"), istio/type/v1beta1/selector.proto.
import type { Meta } from '../config/meta.ts';
import type { WorkloadSelector } from '../config/workload-selector.ts';
import type { MeshNode } from './mesh-node.ts';
import { selects } from './mesh-service.ts';

/** Narrower is later. */
export type PolicyLevel = 'mesh' | 'namespace' | 'workload';

export interface SelectedPolicy<Policy> {
  readonly policy: Policy;
  readonly level: PolicyLevel;
}

interface Selecting {
  readonly meta: Meta;
  readonly spec: { readonly selector: WorkloadSelector };
}

export interface PolicyScope {
  readonly rootNamespace: string;
  /** Names of the services of its namespace that the workload stands behind. */
  readonly services: ReadonlySet<string>;
}

/** In the order given, which is oldest first in a Snapshot. */
export function policiesOf<Policy extends Selecting>(
  policies: readonly Policy[],
  node: Pick<MeshNode, 'namespace' | 'labels'>,
  scope: PolicyScope,
): readonly SelectedPolicy<Policy>[] {
  return policies.flatMap((policy) => {
    const level = levelOf(policy, node, scope);
    return level === null ? [] : [{ policy, level }];
  });
}

/** Null when the policy is not for this workload. */
function levelOf(
  { meta, spec }: Selecting,
  node: Pick<MeshNode, 'namespace' | 'labels'>,
  { rootNamespace, services }: PolicyScope,
): PolicyLevel | null {
  const { labels, targets } = spec.selector;
  const isRoot = meta.namespace === rootNamespace;
  if (!isRoot && meta.namespace !== node.namespace) return null;
  if (targets.length > 0) {
    const isTarget = targets.some(({ kind, name }) => kind === 'Service' && services.has(name));
    return isTarget && meta.namespace === node.namespace ? 'workload' : null;
  }
  if (labels !== null) return selects(labels, node.labels) ? 'workload' : null;
  return isRoot ? 'mesh' : 'namespace';
}
