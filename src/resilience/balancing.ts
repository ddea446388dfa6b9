// Chooses the balancer of a cluster from its two spellings: `lb_policy` with `*_lb_config`, and the
// extension point `load_balancing_policy`, which wins where both are there and of which the first policy that
// is known counts. Balancers that are known and not supported are passed over by name.
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { anyIs, anyUnpack, type Any } from '@bufbuild/protobuf/wkt';
import { error, warning } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  Cluster_RingHashLbConfig_HashFunction as OldHashFunction,
  type Cluster,
  type LoadBalancingPolicy,
  type LoadBalancingPolicy_Policy,
} from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  LeastRequestSchema,
  LeastRequest_SelectionMethod,
} from '../xds/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { MaglevSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.js';
import { PickFirstSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/pick_first/v3/pick_first_pb.js';
import { RandomSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.js';
import {
  RingHashSchema,
  RingHash_HashFunction,
} from '../xds/gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.js';
import { RoundRobinSchema } from '../xds/gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.js';
import { WrrLocalitySchema } from '../xds/gen/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.js';
import type { Balancing } from './cluster-settings.ts';
import { compileMaglev, compileRingHash } from './hash-balancing.ts';
import { ANYWHERE, compileLocality, type LocalityChoice, type LocalityFields } from './locality-settings.ts';
import { compilePeakEwma } from './peak-ewma-compile.ts';
import { compileSlowStart, type SlowStartFields } from './slow-start.ts';

export interface BalancingChoice extends LocalityChoice {
  readonly balancing: Balancing;
}

interface SlowStartHolder {
  readonly slowStartConfig?: SlowStartFields | undefined;
}

interface LeastRequestFields extends SlowStartHolder {
  readonly choiceCount?: number | undefined;
  readonly activeRequestBias?: { readonly defaultValue: number; readonly runtimeKey: string } | undefined;
}

const ROUND_ROBIN: Balancing = Object.freeze({ kind: 'round-robin' });
const PICK_FIRST: Balancing = Object.freeze({ kind: 'pick-first' });
const RANDOM: Balancing = Object.freeze({ kind: 'random' });

/** Envoy's balancers that are not supported, by their types. */
const UNSUPPORTED = new Map([
  [
    'envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin',
    'client-side weighted round robin',
  ],
  ['envoy.extensions.load_balancing_policies.random_subsetting.v3.RandomSubsetting', 'random subsetting'],
]);

export function compileBalancing(cluster: Cluster, env: CompileEnv, path: string): BalancingChoice {
  if (cluster.loadBalancingPolicy !== undefined) {
    return compilePolicy(cluster.loadBalancingPolicy, env, `${path}.load_balancing_policy`);
  }
  const locality = compileLocality(cluster.commonLbConfig, env, `${path}.common_lb_config`);
  return { balancing: compileLbPolicy(cluster, env, path), ...locality };
}

function compileLbPolicy(cluster: Cluster, env: CompileEnv, path: string): Balancing {
  switch (cluster.lbPolicy) {
    case Cluster_LbPolicy.ROUND_ROBIN:
      if (cluster.lbConfig.case !== 'roundRobinLbConfig') return ROUND_ROBIN;
      return roundRobin(cluster.lbConfig.value, env, `${path}.round_robin_lb_config`);
    case Cluster_LbPolicy.LEAST_REQUEST: {
      const at = `${path}.least_request_lb_config`;
      if (cluster.lbConfig.case !== 'leastRequestLbConfig') return leastRequest({}, false, env, at);
      return leastRequest(cluster.lbConfig.value, false, env, at);
    }
    case Cluster_LbPolicy.RANDOM:
      return RANDOM;
    case Cluster_LbPolicy.RING_HASH:
      return oldRingHash(cluster, env, path);
    case Cluster_LbPolicy.MAGLEV: {
      const config = cluster.lbConfig.case === 'maglevLbConfig' ? cluster.lbConfig.value : undefined;
      return compileMaglev(config, cluster.commonLbConfig?.consistentHashingLbConfig, env, `${path}.maglev_lb_config`);
    }
    case Cluster_LbPolicy.CLUSTER_PROVIDED:
      // The picker of such a cluster asks no balancer.
      if (cluster.clusterDiscoveryType.case === 'clusterType') return ROUND_ROBIN;
      if (cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.ORIGINAL_DST) return ROUND_ROBIN;
      env.problems.push(error(`${path}.lb_policy`, 'CLUSTER_PROVIDED needs a cluster type that provides a balancer'));
      return ROUND_ROBIN;
    case Cluster_LbPolicy.LOAD_BALANCING_POLICY_CONFIG: {
      const message = 'LOAD_BALANCING_POLICY_CONFIG without load_balancing_policy';
      env.problems.push(error(`${path}.lb_policy`, message, 'add load_balancing_policy, or name a policy here'));
      return ROUND_ROBIN;
    }
    default:
      env.problems.push(error(`${path}.lb_policy`, `unknown policy ${String(cluster.lbPolicy)}`));
      return ROUND_ROBIN;
  }
}

/** The first policy of the list that is known, as Envoy chooses. */
function compilePolicy(config: LoadBalancingPolicy, env: CompileEnv, path: string): BalancingChoice {
  for (const [index, policy] of config.policies.entries()) {
    const choice = compileExtension(policy, env, `${path}.policies[${index}].typed_extension_config`);
    if (choice !== null) return choice;
  }
  const names = config.policies.map((policy) => policy.typedExtensionConfig?.name ?? '(unnamed)').join(', ');
  const message = names === '' ? 'no policy is given' : `none of the policies is known: ${names}`;
  env.problems.push(
    error(`${path}.policies`, message, 'use round_robin, least_request, random, ring_hash, maglev or wrr_locality'),
  );
  return { balancing: ROUND_ROBIN, ...ANYWHERE };
}

function compileExtension(policy: LoadBalancingPolicy_Policy, env: CompileEnv, path: string): BalancingChoice | null {
  const any = policy.typedExtensionConfig?.typedConfig;
  if (any === undefined) return null;
  const at = `${path}.typed_config`;
  const localityOf = (config: { readonly localityLbConfig?: LocalityFields | undefined } | undefined): LocalityChoice =>
    compileLocality(config?.localityLbConfig, env, `${at}.locality_lb_config`);
  const unpack = <Desc extends DescMessage>(schema: Desc): MessageShape<Desc> | undefined => anyUnpack(any, schema);
  if (anyIs(any, RoundRobinSchema)) {
    const config = unpack(RoundRobinSchema);
    return { balancing: roundRobin(config ?? {}, env, at), ...localityOf(config) };
  }
  if (anyIs(any, LeastRequestSchema)) {
    const config = unpack(LeastRequestSchema);
    const scansAll = config?.selectionMethod === LeastRequest_SelectionMethod.FULL_SCAN;
    const balancing = leastRequest(config ?? {}, scansAll, env, at);
    return { balancing, ...localityOf(config) };
  }
  if (anyIs(any, RandomSchema)) {
    return { balancing: RANDOM, ...localityOf(unpack(RandomSchema)) };
  }
  if (anyIs(any, RingHashSchema) || anyIs(any, MaglevSchema)) return compileHashing(any, env, at);
  if (anyIs(any, PickFirstSchema)) return { balancing: PICK_FIRST, ...ANYWHERE };
  if (anyIs(any, WrrLocalitySchema)) {
    const inner = unpack(WrrLocalitySchema)?.endpointPickingPolicy;
    if (inner === undefined) {
      env.problems.push(error(`${at}.endpoint_picking_policy`, 'the policy inside wrr_locality is missing'));
      return { balancing: ROUND_ROBIN, ...ANYWHERE, weighsLocalities: true };
    }
    return { ...compilePolicy(inner, env, `${at}.endpoint_picking_policy`), zoneAware: null, weighsLocalities: true };
  }
  const peakEwma = compilePeakEwma(any, env, at);
  if (peakEwma !== null) return { balancing: peakEwma, ...ANYWHERE };
  const name = UNSUPPORTED.get(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1));
  if (name !== undefined) env.problems.push(warning(at, `${name} is not supported`, 'the next policy is used'));
  return null;
}

function compileHashing(any: Any, env: CompileEnv, at: string): BalancingChoice {
  const ring = anyUnpack(any, RingHashSchema);
  const config = ring ?? anyUnpack(any, MaglevSchema);
  const locality = { zoneAware: null, weighsLocalities: config?.localityWeightedLbConfig !== undefined };
  const consistent = config?.consistentHashingLbConfig;
  if (ring === undefined)
    return { balancing: compileMaglev(anyUnpack(any, MaglevSchema), consistent, env, at), ...locality };
  const usesMurmur = ring.hashFunction === RingHash_HashFunction.MURMUR_HASH_2;
  return { balancing: compileRingHash({ ...ring, usesMurmur }, consistent ?? ring, env, at), ...locality };
}

function oldRingHash(cluster: Cluster, env: CompileEnv, path: string): Balancing {
  const config = cluster.lbConfig.case === 'ringHashLbConfig' ? cluster.lbConfig.value : undefined;
  const usesMurmur = config?.hashFunction === OldHashFunction.MURMUR_HASH_2;
  const fields = { minimumRingSize: config?.minimumRingSize, maximumRingSize: config?.maximumRingSize, usesMurmur };
  const consistent = cluster.commonLbConfig?.consistentHashingLbConfig;
  return compileRingHash(fields, consistent, env, `${path}.ring_hash_lb_config`);
}

function roundRobin(config: SlowStartHolder, env: CompileEnv, path: string): Balancing {
  const slowStart = compileSlowStart(config.slowStartConfig, env, path);
  return slowStart === null ? ROUND_ROBIN : Object.freeze({ kind: 'round-robin', slowStart });
}

function leastRequest(config: LeastRequestFields, scansAll: boolean, env: CompileEnv, path: string): Balancing {
  const choiceCount = config.choiceCount ?? 2;
  if (choiceCount < 2)
    env.problems.push(error(`${path}.choice_count`, `${choiceCount} is too few`, 'write at least 2'));
  const bias = config.activeRequestBias;
  const wanted = bias === undefined ? 1 : env.runtimeNumber(bias.runtimeKey, bias.defaultValue);
  const activeRequestBias = wanted >= 0 ? wanted : 1;
  if (wanted !== activeRequestBias) {
    env.problems.push(warning(`${path}.active_request_bias`, `${wanted} is negative`, '1.0 is used, as in Envoy'));
  }
  const slowStart = compileSlowStart(config.slowStartConfig, env, path);
  const balancing: Balancing = { kind: 'least-request', choiceCount, activeRequestBias, scansAll };
  return Object.freeze(slowStart === null ? balancing : { ...balancing, slowStart });
}
