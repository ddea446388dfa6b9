// The sections `hedge` and `retryBackOff` of a ResiliencePolicy in a route. They refine the retries that the route has;
// hedging brings a policy of its own where there is none, with nothing to retry but slowness.
import { create } from '@bufbuild/protobuf';
import type { HedgeSection } from '../../config/hedge-section.ts';
import type { RetryBackOffSection } from '../../config/retry-back-off-section.ts';
import {
  HedgePolicySchema,
  RetryPolicySchema,
  RetryPolicy_RateLimitedRetryBackOffSchema,
  RetryPolicy_ResetHeaderFormat,
  RetryPolicy_RetryBackOffSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Route, RouteAction } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { writeMetadata } from './own-metadata.ts';
import { duration } from './proto.ts';

/** A list of status codes that is empty: retries are on, and nothing that is answered is retried. */
const NOTHING = 'retriable-status-codes';
/** Envoy's base interval, and how many times longer the longest wait is. */
const BASE_MS = 25;
const TIMES_MAX = 10;

export function applyHedge(action: RouteAction, { afterMs, attempts }: HedgeSection): void {
  action.hedgePolicy = create(HedgePolicySchema, { hedgeOnPerTryTimeout: true });
  action.retryPolicy ??= create(RetryPolicySchema, { retryOn: NOTHING, numRetries: 1 });
  if (afterMs !== null) action.retryPolicy.perTryTimeout = duration(afterMs);
  if (attempts !== null) action.retryPolicy.numRetries = attempts;
}

export function applyRetryBackOff(route: Route, action: RouteAction, section: RetryBackOffSection): void {
  const { retryPolicy } = action;
  if (retryPolicy === undefined) return;
  const { baseMs, maxMs, isMinimum, rateLimited } = section;
  if (baseMs !== null || maxMs !== null) {
    const written = retryPolicy.retryBackOff?.baseInterval;
    const ofRouteMs = written === undefined ? BASE_MS : Number(written.seconds) * 1000 + written.nanos / 1_000_000;
    const base = baseMs ?? ofRouteMs;
    retryPolicy.retryBackOff = create(RetryPolicy_RetryBackOffSchema, {
      baseInterval: duration(base),
      maxInterval: duration(Math.max(base, maxMs ?? base * TIMES_MAX)),
    });
  }
  if (isMinimum !== null) writeMetadata(route, { retry: { backoff: isMinimum ? 'minimum' : 'full' } });
  if (rateLimited === null) return;
  retryPolicy.rateLimitedRetryBackOff = create(RetryPolicy_RateLimitedRetryBackOffSchema, {
    resetHeaders: rateLimited.headers.map(({ name, format }) => ({
      name,
      format:
        format === 'Seconds' ? RetryPolicy_ResetHeaderFormat.SECONDS : RetryPolicy_ResetHeaderFormat.UNIX_TIMESTAMP,
    })),
    ...(rateLimited.maxMs === null ? {} : { maxInterval: duration(rateLimited.maxMs) }),
  });
}
