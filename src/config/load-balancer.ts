// The loadBalancer section of a traffic policy: a simple balancer, or a consistent hash of one thing
// of the request, with slow start.
import type { Fields } from './fields.ts';
import { checkHeaderText } from './header-text.ts';
import { readPositiveMs } from './positive-duration.ts';
import { readLocalitySetting, type LocalitySetting } from './locality-setting.ts';

export type HashKey =
  | { readonly kind: 'header'; readonly name: string }
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      readonly ttlMs: number | null;
      readonly attributes: readonly CookieAttribute[];
    }
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'query'; readonly name: string }
  /** The first capture group of the expression, over the path; without a match the whole path. */
  | { readonly kind: 'path-regex'; readonly regex: string };

/** Of a cookie that is made, as in `SameSite=Strict`; an empty value stands for the name alone. */
export interface CookieAttribute {
  readonly name: string;
  readonly value: string;
}

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
  readonly locality: LocalitySetting | null;
}

const SIMPLE = ['UNSPECIFIED', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN'] as const;

export function readLoadBalancer(fields: Fields): LoadBalancer {
  fields.exclusive('simple', 'consistentHash');
  fields.later('zoneAwareLbSetting');
  const simple = fields.choice('simple', SIMPLE);
  const seconds = readPositiveMs(fields, 'warmupDurationSecs');
  const warmup = fields.object('warmup', (warmup) => {
    const durationMs = readPositiveMs(warmup, 'duration');
    if (!warmup.has('duration')) warmup.error('duration', 'duration is missing', 'add duration: 30s or the like');
    return {
      durationMs: durationMs ?? 1,
      minimumPercent: warmup.decimal('minimumPercent', { min: 0, max: 100 }),
      aggression: warmup.decimal('aggression', { min: 1 }),
    };
  });
  return {
    simple: simple === null || simple === 'UNSPECIFIED' ? null : simple === 'LEAST_CONN' ? 'LEAST_REQUEST' : simple,
    hash: fields.object('consistentHash', readHash),
    locality: fields.object('localityLbSetting', readLocalitySetting),
    warmup: warmup ?? (seconds === null ? null : { durationMs: seconds, minimumPercent: null, aggression: null }),
  };
}

function readHash(fields: Fields): ConsistentHash {
  fields.exclusive('httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName');
  const table = readHashTable(fields);
  return { key: readHashKey(fields), table };
}

export function readHashTable(fields: Fields): ConsistentHash['table'] {
  fields.exclusive('ringHash', 'maglev');
  const ringSize = fields.object('ringHash', (ring) => ring.integer('minimumRingSize', { min: 0, max: 8_388_608 }));
  const maglevSize = fields.object('maglev', readTableSize);
  const oldSize = fields.integer('minimumRingSize', { min: 0, max: 8_388_608 });
  return fields.has('maglev')
    ? { kind: 'maglev', size: maglevSize }
    : { kind: 'ring', size: ringSize || oldSize || null };
}

/** Envoy refuses a Maglev table whose size is not prime. */
function readTableSize(fields: Fields): number | null {
  const size = fields.integer('tableSize', { min: 0, max: 5_000_011 });
  if (size === null || size === 0) return null;
  if (!isPrime(size)) fields.error('tableSize', `${size} is not a prime number`, 'write 65537 or another prime');
  return size;
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor += 1) if (value % divisor === 0) return false;
  return value > 1;
}

export function readHashKey(fields: Fields): HashKey {
  const cookie = fields.object('httpCookie', (cookie): HashKey => {
    return {
      kind: 'cookie',
      name: cookie.requiredText('name'),
      path: cookie.text('path'),
      ttlMs: cookie.durationMs('ttl'),
      attributes: cookie.list('attributes', (attribute) => ({
        name: attribute.requiredText('name', 'add name: SameSite or the like'),
        value: checkHeaderText(attribute, 'value'),
      })),
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
