// Whether the services are there that a policy for workloads is attached to by its targetRefs. One that is not there is a
// warning: it may come yet, and until then the policy has no effect on it.
import { unresolved, warning, type Problem } from '../../base/problem.ts';
import type { AuthorizationPolicy, Extension, RequestAuthentication } from '../../config/resource.ts';
import type { Snapshot } from '../snapshot.ts';

type Selecting = AuthorizationPolicy | RequestAuthentication | Extension;

export function checkSelected({ meta, spec, source }: Selecting, { services }: Snapshot): readonly Problem[] {
  const path = 'spec.targetRefs';
  return spec.selector.targets.flatMap(({ kind, name }) => {
    if (kind === 'ServiceEntry') {
      const lost = `a policy is for workloads, and ${name} has none: it has no effect on it`;
      const remedy = 'name a Service, or select workloads by their labels';
      return [warning(path, lost, remedy, source.locate(path))];
    }
    const isThere = [...services.values()].some(
      (service) => service.namespace === meta.namespace && service.name === name,
    );
    if (isThere) return [];
    const message = `no ${kind} of namespace ${meta.namespace} is named ${name}; the policy has no effect on it`;
    return [unresolved(warning(path, message, 'correct the name, or add the service', source.locate(path)))];
  });
}
