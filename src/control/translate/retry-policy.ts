// Retries: Istio's defaults and its reading of `retryOn` (pilot/pkg/networking/core/route/retry). A 503
// that an app sends is not retried by default; a refused connection is.
import { create } from '@bufbuild/protobuf';
import type { RouteRetry } from '../../config/http-route.ts';
import type { Retries } from '../../config/http-retries.ts';
import type { MeshConfigSpec } from '../../config/mesh-config.ts';
import {
  RetryPolicySchema,
  RetryPolicy_RetryBackOffSchema,
  RetryPolicy_RetryHostPredicateSchema,
  RetryPolicy_RetryPrioritySchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RetryPolicy } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '../../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { duration, pack } from './proto.ts';

const DEFAULT_RETRY_ON = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';
/** Istio's, and what the Gateway API adds: whenever there is a stanza, no response at all is retried too. */
const GATEWAY_RETRY_ON = 'connect-failure,refused-stream,reset,unavailable,cancelled';
const DEFAULT_RETRIES = 2;
/** After so many attempts the priorities that they had are left out (Istio: retryRemoteLocalities). */
const PRIORITY_FREQUENCY = 2;

/** `retries` of a VirtualService rule or of the mesh; null is Istio's default, and 0 attempts switches retries off. */
export function retryPolicy(retries: Retries | null, isHashed: boolean): RetryPolicy | null {
  if (retries === null)
    return policy({ retryOn: DEFAULT_RETRY_ON, codes: [], attempts: DEFAULT_RETRIES, avoidsPreviousHosts: !isHashed });
  if (retries.attempts <= 0) return null;
  const { words, codes } = splitRetryOn(retries.retryOn);
  const made = policy({
    retryOn: words,
    codes,
    attempts: retries.attempts,
    avoidsPreviousHosts: retries.avoidsPreviousHosts && !isHashed,
  });
  if (retries.usesOtherLocalities) made.retryPriority = previousPriorities();
  if (retries.perTryTimeoutMs !== null && retries.perTryTimeoutMs > 0)
    made.perTryTimeout = duration(retries.perTryTimeoutMs);
  if (retries.backoffMs !== null && retries.backoffMs > 0)
    made.retryBackOff = create(RetryPolicy_RetryBackOffSchema, { baseInterval: duration(retries.backoffMs) });
  return made;
}

/** The Gateway API's `retry`, as Istio reads it: connection failures always, the given codes besides. */
export function gatewayRetryPolicy(
  retry: RouteRetry | null,
  backendTimeoutMs: number | null,
  mesh: MeshConfigSpec,
): RetryPolicy | null {
  if (retry === null) return retryPolicy(mesh.defaultRetries, false);
  if (retry.attempts === 0) return null;
  const retryOn = retry.codes.length === 0 ? GATEWAY_RETRY_ON : `${GATEWAY_RETRY_ON},retriable-status-codes`;
  const made = policy({
    retryOn,
    codes: retry.codes,
    attempts: retry.attempts ?? DEFAULT_RETRIES,
    avoidsPreviousHosts: true,
  });
  if (backendTimeoutMs !== null && backendTimeoutMs > 0) made.perTryTimeout = duration(backendTimeoutMs);
  if (retry.backoffMs !== null && retry.backoffMs > 0)
    made.retryBackOff = create(RetryPolicy_RetryBackOffSchema, { baseInterval: duration(retry.backoffMs) });
  return made;
}

/** A retry may have the endpoint of an earlier attempt again. */
export function keepHosts(made: RetryPolicy): void {
  made.retryHostPredicate = [];
  made.hostSelectionRetryMaxAttempts = 0n;
}

/** From a sidecar to its own app: only what the app cannot have begun to handle. Never for gRPC. */
export function inboundRetryPolicy(configured: Retries | null): RetryPolicy | null {
  if (configured !== null) return retryPolicy(configured, true);
  return create(RetryPolicySchema, { retryOn: 'reset-before-request', numRetries: DEFAULT_RETRIES });
}

function previousPriorities() {
  const config = create(PreviousPrioritiesConfigSchema, { updateFrequency: PRIORITY_FREQUENCY });
  return create(RetryPolicy_RetryPrioritySchema, {
    name: 'envoy.retry_priorities.previous_priorities',
    configType: { case: 'typedConfig', value: pack(PreviousPrioritiesConfigSchema, config) },
  });
}

interface PolicyParts {
  readonly retryOn: string;
  readonly codes: readonly number[];
  readonly attempts: number;
  readonly avoidsPreviousHosts: boolean;
}

function policy({ retryOn, codes, attempts, avoidsPreviousHosts }: PolicyParts): RetryPolicy {
  const previousHosts = create(RetryPolicy_RetryHostPredicateSchema, {
    name: 'envoy.retry_host_predicates.previous_hosts',
    configType: {
      case: 'typedConfig',
      value: pack(PreviousHostsPredicateSchema, create(PreviousHostsPredicateSchema)),
    },
  });
  return create(RetryPolicySchema, {
    retryOn,
    numRetries: attempts,
    retriableStatusCodes: [...codes],
    ...(avoidsPreviousHosts ? { retryHostPredicate: [previousHosts], hostSelectionRetryMaxAttempts: 5n } : {}),
  });
}

/** Numbers in `retryOn` are status codes and bring `retriable-status-codes` with them. */
function splitRetryOn(retryOn: string): { readonly words: string; readonly codes: readonly number[] } {
  if (retryOn.trim() === '') return { words: DEFAULT_RETRY_ON, codes: [] };
  const words: string[] = [];
  const codes: number[] = [];
  for (const part of retryOn.split(',').map((word) => word.trim())) {
    if (/^\d+$/.test(part)) codes.push(Number(part));
    else if (part !== '') words.push(part);
  }
  if (codes.length > 0 && !words.includes('retriable-status-codes')) words.push('retriable-status-codes');
  return { words: words.join(','), codes };
}
