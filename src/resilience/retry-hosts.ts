// Which endpoints a retry should not get again: the host predicates and the priorities of a retry policy.
// Source: Envoy's retry plugins (previous_hosts, omit_canary_hosts, omit_host_metadata, previous_priorities).
import type { JsonValue } from '@bufbuild/protobuf';
import { error } from '../base/problem.ts';
import type { Endpoint } from '../plan/cluster.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { DEFAULT_HOSTS, type RetryHosts } from '../plan/retry-plan.ts';
import type { RetryPolicy } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { OmitCanaryHostsPredicateSchema } from '../xds/gen/envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts_pb.js';
import { OmitHostMetadataConfigSchema } from '../xds/gen/envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config_pb.js';
import { PreviousHostsPredicateSchema } from '../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { typeNameOf, unpack } from '../xds/unpack.ts';

type Rejects = (endpoint: Endpoint) => boolean;

export function compileRetryHosts(policy: RetryPolicy, env: CompileEnv, path: string): RetryHosts {
  let avoidsTried = false;
  const rejects: Rejects[] = [];
  for (const [i, predicate] of policy.retryHostPredicate.entries()) {
    const at = `${path}.retry_host_predicate[${i}]`;
    const any = predicate.configType.case === 'typedConfig' ? predicate.configType.value : null;
    if (any === null) {
      env.problems.push(error(at, `typed_config of ${predicate.name} is missing`, 'write typed_config with an @type'));
      continue;
    }
    const omitted = unpack(any, OmitHostMetadataConfigSchema);
    if (unpack(any, PreviousHostsPredicateSchema) !== null) avoidsTried = true;
    else if (unpack(any, OmitCanaryHostsPredicateSchema) !== null) rejects.push(isCanary);
    else if (omitted !== null) rejects.push(hasMetadata(omitted.metadataMatch?.filterMetadata['envoy.lb'] ?? {}));
    else {
      const remedy = 'use previous_hosts, omit_canary_hosts or omit_host_metadata';
      env.problems.push(error(at, `${typeNameOf(any)} is not supported`, remedy));
    }
  }
  const priorityFrequency = readPriority(policy, env, `${path}.retry_priority`);
  const isPlain = !avoidsTried && rejects.length === 0 && priorityFrequency === 0;
  if (isPlain) return DEFAULT_HOSTS;
  const picksMax = Number(policy.hostSelectionRetryMaxAttempts);
  return {
    avoidsTried,
    rejects: rejects.length === 0 ? null : (endpoint) => rejects.some((rejectsIt) => rejectsIt(endpoint)),
    picksMax: picksMax > 0 ? Math.min(picksMax, PICKS_MAX) : 1,
    priorityFrequency,
  };
}

/** No policy picks more often: an endpoint that none of so many picks avoids is the only one. */
const PICKS_MAX = 1000;

function readPriority({ retryPriority }: RetryPolicy, env: CompileEnv, path: string): number {
  if (retryPriority === undefined) return 0;
  const any = retryPriority.configType.case === 'typedConfig' ? retryPriority.configType.value : null;
  const config = any === null ? null : unpack(any, PreviousPrioritiesConfigSchema);
  if (config === null) {
    const name = any === null ? retryPriority.name : typeNameOf(any);
    env.problems.push(error(path, `${name} is not supported`, 'use previous_priorities'));
    return 0;
  }
  if (config.updateFrequency > 0) return config.updateFrequency;
  env.problems.push(error(`${path}.update_frequency`, 'must be more than 0', 'write 2'));
  return 1;
}

function isCanary(endpoint: Endpoint): boolean {
  return endpoint.metadata.get('canary') === 'true';
}

/** True when the endpoint has every value of `wanted` under `envoy.lb`. */
function hasMetadata(wanted: Readonly<Record<string, JsonValue>>): Rejects {
  const entries = Object.entries(wanted).map(
    ([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)] as const,
  );
  if (entries.length === 0) return () => false;
  return (endpoint) => entries.every(([key, value]) => endpoint.metadata.get(key) === value);
}
