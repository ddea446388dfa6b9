// The loadBalancer section of a traffic policy: a simple balancer, or a consistent hash of one thing
// of the request, with slow start.
import type { Fields } from './fields.ts';

export type HashKey =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string; readonly path: string; readonly ttlMs: number | null }
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'query'; readonly name: string };

export interface Warmup {
  readonly durationMs: number;
  readonly minimumPercent: number | null;
  readonly aggression: number | null;
}

export interface ConsistentHash {
  readonly key: HashKey;
  readonly table: { readonly kind: 'ring' | 'maglev'; readonly size: number | null };
}

export interface LoadBalancer {
  readonly simple: 'LEAST_REQUEST' | 'RANDOM' | 'ROUND_ROBIN' | 'PASSTHROUGH' | null;
  readonly hash: ConsistentHash | null;
  readonly warmup: Warmup | null;
}

const SIMPLE = ['UNSPECIFIED', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN'] as const;

export function readLoadBalancer(fields: Fields): LoadBalancer {
  fields.exclusive('simple', 'consistentHash');
  fields.later('localityLbSetting');
  fields.forEnvoyOnly('consistentHash', 'warmup', 'warmupDurationSecs');
  const simple = fields.choice('simple', SIMPLE);
  if (simple === 'PASSTHROUGH')
    fields.warning(
      'simple',
      'PASSTHROUGH needs the traffic redirect and is taken for LEAST_REQUEST',
      'write LEAST_REQUEST',
    );
  const seconds = fields.durationMs('warmupDurationSecs');
  const warmup = fields.object('warmup', (warmup) => {
    const durationMs = warmup.durationMs('duration');
    if (!warmup.has('duration')) warmup.error('duration', 'duration is missing', 'add duration: 30s or the like');
    return {
      durationMs: durationMs ?? 0,
      minimumPercent: warmup.decimal('minimumPercent', { min: 0, max: 100 }),
      aggression: warmup.decimal('aggression', { min: 1 }),
    };
  });
  return {
    simple: simple === null || simple === 'UNSPECIFIED' ? null : simple === 'LEAST_CONN' ? 'LEAST_REQUEST' : simple,
    hash: fields.object('consistentHash', readHash),
    warmup: warmup ?? (seconds === null ? null : { durationMs: seconds, minimumPercent: null, aggression: null }),
  };
}

function readHash(fields: Fields): ConsistentHash {
  fields.exclusive('httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName');
  fields.exclusive('ringHash', 'maglev');
  const ringSize = fields.object('ringHash', (ring) => ring.integer('minimumRingSize', { min: 1, max: 8_388_608 }));
  const maglevSize = fields.object('maglev', (maglev) => maglev.integer('tableSize', { min: 2, max: 5_000_011 }));
  const oldSize = fields.integer('minimumRingSize', { min: 0, max: 8_388_608 });
  return {
    key: readKey(fields),
    table: fields.has('maglev')
      ? { kind: 'maglev', size: maglevSize }
      : { kind: 'ring', size: ringSize ?? (oldSize === 0 ? null : oldSize) },
  };
}

function readKey(fields: Fields): HashKey {
  const cookie = fields.object('httpCookie', (cookie): HashKey => {
    cookie.later('attributes');
    return {
      kind: 'cookie',
      name: cookie.requiredText('name'),
      path: cookie.text('path'),
      ttlMs: cookie.durationMs('ttl'),
    };
  });
  if (cookie !== null) return cookie;
  const header = fields.text('httpHeaderName');
  const query = fields.text('httpQueryParameterName');
  if (header !== '') return { kind: 'header', name: header };
  if (query !== '') return { kind: 'query', name: query };
  if (fields.flag('useSourceIp') !== true)
    fields.error(
      '',
      'consistentHash names nothing to hash',
      'add httpHeaderName, httpCookie, httpQueryParameterName or useSourceIp: true',
    );
  return { kind: 'source-ip' };
}
