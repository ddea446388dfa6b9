// The statistics `http.PREFIX.jwt_authn.*`, under Envoy's names. Refuses nothing; whoever counts names the index.
// Hits and misses are those of our own cache, which is always there; Envoy's is asked for with jwt_cache_config.

export const JWT_STATS = [
  { name: 'allowed', kind: 'counter' },
  { name: 'cors_preflight_bypassed', kind: 'counter' },
  { name: 'denied', kind: 'counter' },
  { name: 'jwks_fetch_failed', kind: 'counter' },
  { name: 'jwks_fetch_success', kind: 'counter' },
  { name: 'jwt_cache_hit', kind: 'counter' },
  { name: 'jwt_cache_miss', kind: 'counter' },
] as const;

/** Indices of JWT_STATS. */
export const STAT = {
  allowed: 0,
  bypassed: 1,
  denied: 2,
  fetchFailed: 3,
  fetchSuccess: 4,
  cacheHit: 5,
  cacheMiss: 6,
} as const;
