// How localities divide the traffic of a cluster, from its two spellings: CommonLbConfig and the
// LocalityLbConfig of a load balancing policy. Runtime keys are Envoy's.
// Source: Envoy Cluster.CommonLbConfig and extensions.load_balancing_policies.common.v3.LocalityLbConfig.
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { ZoneAware } from './locality-build.ts';

export interface LocalityChoice {
  readonly weighsLocalities: boolean;
  readonly zoneAware: ZoneAware | null;
}

interface ZoneAwareFields {
  readonly routingEnabled?: { readonly value: number } | undefined;
  readonly minClusterSize?: bigint | undefined;
  readonly failTrafficOnPanic: boolean;
}

export interface LocalityFields {
  readonly localityConfigSpecifier:
    | { readonly case: 'zoneAwareLbConfig'; readonly value: ZoneAwareFields }
    | { readonly case: 'localityWeightedLbConfig' }
    | { readonly case: undefined };
}

export const ANYWHERE: LocalityChoice = Object.freeze({ weighsLocalities: false, zoneAware: null });

const SIZE_MIN = 6;

export function compileLocality(config: LocalityFields | undefined, env: CompileEnv, path: string): LocalityChoice {
  const specifier = config?.localityConfigSpecifier;
  if (specifier?.case === 'localityWeightedLbConfig') return { weighsLocalities: true, zoneAware: null };
  if (specifier?.case !== 'zoneAwareLbConfig') return ANYWHERE;
  const { routingEnabled, minClusterSize, failTrafficOnPanic } = specifier.value;
  const wanted = routingEnabled?.value ?? 100;
  if (wanted < 0 || wanted > 100) {
    const at = `${path}.zone_aware_lb_config.routing_enabled`;
    env.problems.push(error(at, `${wanted} is not a percentage`, 'write a value from 0 to 100'));
  }
  const zoneAware = {
    enabledPercent: env.runtimeNumber('upstream.zone_routing.enabled', Math.floor(wanted)),
    sizeMin: env.runtimeNumber('upstream.zone_routing.min_cluster_size', Number(minClusterSize ?? SIZE_MIN)),
    failsOnPanic: failTrafficOnPanic,
  };
  return { weighsLocalities: false, zoneAware: Object.freeze(zoneAware) };
}
