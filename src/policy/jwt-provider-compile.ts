// Compiles Envoy's JwtProvider. A local key set is read now; one without a usable key is refused, as in Envoy 1.40, and
// so are providers without keys, headers whose names are none, and times that are below zero. A provider's cache lives as long as its filter: new keys or settings begin with an empty one.
// Source: Envoy JwtProvider and RemoteJwks.
import type { Duration } from '@bufbuild/protobuf/wkt';
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import { isVitalHeader } from '../base/vital-header.ts';
import { UNKNOWN, internHeader } from '../http/header-name.ts';
import { readDataSource } from '../plan/data-source.ts';
import type { FilterTally } from '../plan/filter-tally.ts';
import { JwtChecks } from './jwt-checks.ts';
import type { FilterScope } from '../plan/http-filter.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import { parseKeySet } from '../base/key-set.ts';
import type {
  JwtProvider as ProviderConfig,
  RemoteJwks,
} from '../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { ENTRIES_MAX, JwtCache } from './jwt-cache.ts';
import { fixedKeys, type JwtKeySource } from './jwt-key-source.ts';
import { plainAudience, type JwtProvider } from './jwt-provider.ts';
import type { JwtProviders } from './jwt-requirement.ts';
import { remoteKeys, type RemoteKeysSettings } from './jwt-remote-keys.ts';
import { FAILURES } from './jwt-signature.ts';

export interface ProviderScope extends Pick<FilterScope, 'clock' | 'path' | 'env' | 'remote'> {
  readonly problems: Problem[];
  readonly tally: FilterTally;
}

const CLOCK_SKEW_SECONDS = 60;
const RETRIES_MAX = 10;
/** Envoy's size of a cache that is asked for without one; ours is larger, and always there. */
const CACHE_SIZE_MAX = 100_000;

export function compileProviders(
  configs: Readonly<Record<string, ProviderConfig>>,
  scope: ProviderScope,
): JwtProviders {
  const all: JwtProvider[] = [];
  const byIssuer = new Map<string, JwtProvider>();
  let anonymous: JwtProvider | null = null;
  for (const [name, config] of Object.entries(configs)) {
    const provider = compileProvider(name, config, scope, `${scope.path}.providers[${JSON.stringify(name)}]`);
    if (provider === null) continue;
    all.push(provider);
    if (provider.issuer === '') anonymous ??= provider;
    else if (!byIssuer.has(provider.issuer)) byIssuer.set(provider.issuer, provider);
  }
  return Object.freeze({ all, byIssuer, anonymous, clock: scope.clock, tally: scope.tally, checks: new JwtChecks() });
}

function compileProvider(name: string, config: ProviderConfig, scope: ProviderScope, path: string): JwtProvider | null {
  const { problems } = scope;
  const before = problems.length;
  const keys = compileKeys(config, scope, path);
  const subjects =
    config.subjects === undefined ? null : compileStringMatch(config.subjects, problems, `${path}.subjects`);
  const claimHeaders = config.claimToHeaders.map(({ headerName, claimName }, index) => {
    const at = `${path}.claim_to_headers[${index}]`;
    if (claimName === '') problems.push(error(`${at}.claim_name`, 'must not be empty', 'name a claim'));
    return { header: headerOf(headerName, problems, `${at}.header_name`), claim: claimName.split('.') };
  });
  for (const [index, header] of config.fromHeaders.entries()) {
    headerOf(header.name, problems, `${path}.from_headers[${index}].name`);
  }
  const payloadHeader =
    config.forwardPayloadHeader === ''
      ? UNKNOWN
      : headerOf(config.forwardPayloadHeader, problems, `${path}.forward_payload_header`);
  const lifetime = config.maxLifetime;
  if (lifetime !== undefined && lifetime.seconds < 0n) {
    problems.push(error(`${path}.max_lifetime`, 'must not be negative', 'write for example 86400s'));
  }
  if (keys === null || problems.slice(before).some(({ severity }) => severity === 'error')) return null;
  return Object.freeze({
    name,
    issuer: config.issuer,
    audiences: new Set(config.audiences.map(plainAudience)),
    subjects,
    requiresExpiration: config.requireExpiration,
    lifetimeSecondsMax: lifetime === undefined ? -1 : Number(lifetime.seconds),
    clockSkewSeconds: config.clockSkewSeconds === 0 ? CLOCK_SKEW_SECONDS : config.clockSkewSeconds,
    keys: keys.source,
    cache: keys.cache,
    isForwarded: config.forward,
    payloadHeader,
    isPayloadPadded: config.padForwardPayloadHeader,
    claimHeaders,
    payloadKey: config.payloadInMetadata,
    headerKey: config.headerInMetadata,
    failureKey: config.failedStatusInMetadata,
    spacedClaims: config.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    clearsRoute: config.clearRouteCache,
  });
}

interface Keys {
  readonly source: JwtKeySource;
  readonly cache: JwtProvider['cache'];
}

function compileKeys(config: ProviderConfig, scope: ProviderScope, path: string): Keys | null {
  const { problems } = scope;
  const { jwksSourceSpecifier: specifier, jwtCacheConfig } = config;
  const size = jwtCacheConfig?.jwtCacheSize ?? 0;
  const cache: JwtProvider['cache'] = new JwtCache(Math.min(size === 0 ? ENTRIES_MAX : size, CACHE_SIZE_MAX));
  switch (specifier.case) {
    case 'localJwks': {
      const bytes = readDataSource(specifier.value, problems, `${path}.local_jwks`);
      if (bytes === null) return null;
      const set = parseKeySet(bytes.toString('utf8'));
      if (set.failure === null) return { source: fixedKeys(set), cache };
      problems.push(
        error(`${path}.local_jwks`, `is invalid: ${FAILURES[set.failure].text}`, 'write a JWKS with a public key'),
      );
      return null;
    }
    case 'remoteJwks': {
      const settings = compileRemote(specifier.value, problems, `${path}.remote_jwks`);
      const { remote, clock, env, tally } = scope;
      return settings === null
        ? null
        : { source: remoteKeys(settings, { remote, clock, random: env.random, tally }), cache };
    }
    case undefined:
      problems.push(error(path, 'has no keys', 'write remote_jwks or local_jwks'));
      return null;
    default:
      return assertNever(specifier);
  }
}

const AGE_MS = 10 * 60_000;
const FAILED_PAUSE_MS = 1_000;
const RETRY_MS = 1_000;

/** Null after reporting why the keys cannot be fetched. */
function compileRemote(config: RemoteJwks, problems: Problem[], path: string): RemoteKeysSettings | null {
  const { httpUri, cacheDuration, asyncFetch, retryPolicy } = config;
  const cluster = httpUri?.httpUpstreamType.case === 'cluster' ? httpUri.httpUpstreamType.value : '';
  const url = httpUri !== undefined && URL.canParse(httpUri.uri) ? new URL(httpUri.uri) : null;
  if (cluster === '') problems.push(error(`${path}.http_uri.cluster`, 'must not be empty', 'name a cluster'));
  if (url === null) {
    problems.push(error(`${path}.http_uri.uri`, 'is no address', 'write http://HOST/PATH or https://HOST/PATH'));
  }
  const timeoutMs = millisecondsOf(httpUri?.timeout) ?? 0;
  if (timeoutMs <= 0) problems.push(error(`${path}.http_uri.timeout`, 'must be above zero', 'write for example 5s'));
  const ageMs = millisecondsOf(cacheDuration) ?? AGE_MS;
  if (ageMs < 1) problems.push(error(`${path}.cache_duration`, 'must be at least 1ms', 'write for example 600s'));
  if (cluster === '' || url === null || timeoutMs <= 0 || ageMs < 1) return null;
  const retryMs = millisecondsOf(retryPolicy?.retryBackOff?.baseInterval) ?? RETRY_MS;
  return {
    cluster,
    authority: url.host,
    path: `${url.pathname}${url.search}`,
    timeoutMs,
    ageMs,
    pauseMs: millisecondsOf(asyncFetch?.failedRefetchDuration) ?? FAILED_PAUSE_MS,
    retries: retryPolicy === undefined ? 0 : Math.min(retryPolicy.numRetries ?? 1, RETRIES_MAX),
    retryMs,
    retryMsMax: millisecondsOf(retryPolicy?.retryBackOff?.maxInterval) ?? retryMs * 10,
  };
}

function millisecondsOf(duration: Duration | undefined): number | null {
  return duration === undefined ? null : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** RFC 9110 section 5.1: a token. */
function headerOf(name: string, problems: Problem[], path: string): ReturnType<typeof internHeader> {
  if (isVitalHeader(name)) {
    const message = `'${name}' says where requests end, where they go or who calls`;
    problems.push(error(path, message, 'name a header of your own'));
    return UNKNOWN;
  }
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return internHeader(name);
  problems.push(
    error(path, name === '' ? 'must not be empty' : `'${name}' is not the name of a header`, 'name a header'),
  );
  return UNKNOWN;
}
