// Request mirrors. The most specific list that is not empty counts: the route's, else the virtual
// host's, else the route configuration's. Source: Envoy RouteAction.RequestMirrorPolicy.
import { error, warning } from '../base/problem.ts';
import { wireText } from '../plan/wire-text.ts';
import { NO_MIRRORS, type CompileEnv, type Mirror } from '../plan/plan.ts';
import type { RouteAction_RequestMirrorPolicy as MirrorPolicy } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { currentShare } from '../plan/fraction.ts';

export function compileMirrors(policies: readonly MirrorPolicy[], env: CompileEnv, path: string): readonly Mirror[] {
  const mirrors: Mirror[] = [];
  for (const [i, policy] of policies.entries()) {
    const at = `${path}.request_mirror_policies[${i}]`;
    if (policy.clusterHeader !== '' && policy.cluster === '') {
      env.problems.push(warning(`${at}.cluster_header`, 'mirrors by header have no effect yet', 'name the cluster'));
    } else if (policy.cluster === '' || policy.clusterHeader !== '') {
      env.problems.push(error(at, 'needs exactly one of cluster and cluster_header', 'name the cluster'));
    } else {
      mirrors.push({
        cluster: env.clusterRef(policy.cluster),
        fraction: policy.runtimeFraction === undefined ? 1 : currentShare(policy.runtimeFraction, env),
        appendsShadowSuffix: !policy.disableShadowHostSuffixAppend,
        host: wireText(policy.hostRewriteLiteral),
      });
    }
  }
  return mirrors.length === 0 ? NO_MIRRORS : mirrors;
}
