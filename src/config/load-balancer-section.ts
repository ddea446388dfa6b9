// The section `loadBalancer` of a ResiliencePolicy: what a DestinationRule's cannot say. Peak EWMA; a hash of a part of
// the path, and a bound on what one instance takes of it. It replaces the balancer of the DestinationRule.
import type { Fields } from './fields.ts';
import { readHashKey, readHashTable, type ConsistentHash } from './load-balancer.ts';

export interface PeakEwma {
  /** Null: 10 s, 30 ms and 5 s. */
  readonly decayMs: number | null;
  readonly defaultLatencyMs: number | null;
  readonly failurePenaltyMs: number | null;
}

export interface LoadBalancerSection {
  readonly kind: 'loadBalancer';
  /** Exactly one of the two. */
  readonly peakEwma: PeakEwma | null;
  readonly hash: ConsistentHash | null;
  /** What an instance takes at most of the average, in percent, at least 100; null is no bound. */
  readonly boundPercent: number | null;
}

export function readLoadBalancerSection(fields: Fields): LoadBalancerSection {
  fields.exclusive('peakEwma', 'consistentHash');
  let boundPercent: number | null = null;
  const hash = fields.object('consistentHash', (own): ConsistentHash => {
    own.refuseUnknown();
    own.exclusive('pathRegex', 'httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName');
    boundPercent = own.integer('boundPercent', { min: 100, max: 100_000 });
    const table = readHashTable(own);
    if (!own.has('pathRegex')) return { key: readHashKey(own), table };
    const regex = own.regex('pathRegex');
    if (regex !== '' && !regex.includes('('))
      own.error('pathRegex', 'has no capture group', 'put the part to hash in parentheses');
    return { key: { kind: 'path-regex', regex }, table };
  });
  const peakEwma = fields.object('peakEwma', (own) => {
    own.refuseUnknown();
    return {
      decayMs: time(own, 'decay'),
      defaultLatencyMs: time(own, 'defaultLatency'),
      failurePenaltyMs: time(own, 'failurePenalty'),
    };
  });
  if (!fields.has('peakEwma') && !fields.has('consistentHash'))
    fields.error('', 'names no balancer', 'add peakEwma: {} or consistentHash: { pathRegex: "^/users/([^/]+)" }');
  return { kind: 'loadBalancer', peakEwma, hash, boundPercent };
}

function time(fields: Fields, name: string): number | null {
  const ms = fields.durationMs(name);
  if (ms !== null && ms < 1) fields.error(name, 'is shorter than 1ms', 'write a time such as 30ms');
  return ms;
}
