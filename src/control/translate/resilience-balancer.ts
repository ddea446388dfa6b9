// The sections `loadBalancer` and `stickySplit` of ResiliencePolicies in clusters and routes. Peak EWMA goes as the
// first of a list of policies, which a real Envoy passes over for the next; a hash is put into the traffic policy, from
// which the cluster gets its table and the route its hash policy.
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { EffectivePolicy } from '../../config/destination-rule.ts';
import type { LoadBalancerSection, PeakEwma } from '../../config/load-balancer-section.ts';
import type { StickySplitSection } from '../../config/sticky-split-section.ts';
import {
  Cluster_CommonLbConfigSchema,
  Cluster_CommonLbConfig_ConsistentHashingLbConfigSchema,
  LoadBalancingPolicySchema,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Route } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { LeastRequestSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { TypedStructSchema } from '../../xds/gen/xds/type/v3/typed_struct_pb.js';
import type { Scope } from '../scope.ts';
import { writeMetadata } from './own-metadata.ts';

const PEAK_EWMA = 'type.googleapis.com/envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma';

export function applyLoadBalancer(cluster: Cluster, { peakEwma, boundPercent }: LoadBalancerSection): void {
  if (peakEwma !== null) cluster.loadBalancingPolicy = peakEwmaPolicy(peakEwma);
  if (boundPercent === null) return;
  cluster.commonLbConfig ??= create(Cluster_CommonLbConfigSchema);
  cluster.commonLbConfig.consistentHashingLbConfig = create(Cluster_CommonLbConfig_ConsistentHashingLbConfigSchema, {
    hashBalanceFactor: boundPercent,
  });
}

export function applyStickySplit(route: Route, { header, cookie, isIdentity }: StickySplitSection): void {
  if (isIdentity) writeMetadata(route, { sticky_split: { identity: true } });
  else if (cookie === null) writeMetadata(route, { sticky_split: { header } });
  else {
    const { name, path, ttlMs } = cookie;
    const age = ttlMs === null ? {} : { ttl_seconds: Math.floor(ttlMs / 1000) };
    const where = path === '' ? {} : { path };
    writeMetadata(route, { sticky_split: { cookie: { name, ...age, ...where } } });
  }
}

/** The policy with the hash of the service's section, when it has one. */
export function withSectionHash(
  policy: EffectivePolicy | null,
  { snapshot }: Scope,
  host: string,
  portNumber: number,
): EffectivePolicy | null {
  const service = snapshot.services.get(host);
  const port = service?.ports.find(({ number }) => number === portNumber);
  if (service === undefined || port === undefined) return policy;
  const sections = snapshot.resilience.ofService(service, port);
  const hash = sections.find((section) => section.kind === 'loadBalancer')?.hash ?? null;
  if (hash === null) return policy;
  const before = policy?.loadBalancer ?? null;
  const loadBalancer = { simple: null, warmup: null, locality: before?.locality ?? null, hash };
  const nothing = { connectionPool: null, outlier: null, tls: null, retryBudget: null, proxyProtocol: null };
  return { ...nothing, ...policy, loadBalancer };
}

function peakEwmaPolicy({ decayMs, defaultLatencyMs, failurePenaltyMs }: PeakEwma) {
  const value = {
    ...(decayMs === null ? {} : { decay_time: `${decayMs / 1000}s` }),
    ...(defaultLatencyMs === null ? {} : { default_rtt: `${defaultLatencyMs / 1000}s` }),
    ...(failurePenaltyMs === null ? {} : { penalty_value: failurePenaltyMs }),
  };
  const struct = anyPack(TypedStructSchema, create(TypedStructSchema, { typeUrl: PEAK_EWMA, value }));
  const next = anyPack(LeastRequestSchema, create(LeastRequestSchema));
  return create(LoadBalancingPolicySchema, {
    policies: [
      { typedExtensionConfig: { name: 'peak_ewma', typedConfig: struct } },
      { typedExtensionConfig: { name: 'least_request', typedConfig: next } },
    ],
  });
}
