// The limits of a cluster before a DestinationRule sets any: Istio's breakers are open until one closes them.
import { create } from '@bufbuild/protobuf';
import { CircuitBreakersSchema } from '../../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import type { CircuitBreakers } from '../../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';

const UNLIMITED = 4_294_967_295;

export function unlimited(): CircuitBreakers {
  return create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: UNLIMITED,
        maxPendingRequests: UNLIMITED,
        maxRequests: UNLIMITED,
        maxRetries: UNLIMITED,
        trackRemaining: true,
      },
    ],
  });
}
