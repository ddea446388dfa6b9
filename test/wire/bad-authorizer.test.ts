// A service that decides about requests, or counts them, and answers badly in every way: each request ends in time with
// what the failure mode says, it is counted, memory stays bounded, and requests that need no answer go on meanwhile.
import { create, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { CheckResponseSchema } from '../../src/xds/gen/envoy/service/auth/v3/external_auth_pb.js';
import {
  RateLimitResponseSchema,
  RateLimitResponse_Code,
} from '../../src/xds/gen/envoy/service/ratelimit/v3/rls_pb.js';
import {
  BAD_GRPC,
  BAD_HTTP,
  frameOf,
  respond,
  startBadGrpc,
  startBadHttp,
  type BadService,
} from '../support/bad-service.ts';
import { aBootstrap, aClusterJson, aListenerJson, aManager, ROUTER } from '../unit/sidecar/manager-builders.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const TIMEOUT_S = '0.15s';
/** The time limit, and what a busy machine takes. */
const END_MS = 5000;
const TYPES = 'type.googleapis.com/envoy.extensions.filters.http';
const EXT_AUTHZ = 'envoy.filters.http.ext_authz';

function authz(service: JsonObject, more: JsonObject): JsonObject {
  return {
    name: EXT_AUTHZ,
    typed_config: {
      '@type': `${TYPES}.ext_authz.v3.ExtAuthz`,
      status_on_error: { code: 'ServiceUnavailable' },
      ...service,
      ...more,
    },
  };
}

const overHttp = { http_service: { server_uri: { uri: 'http://auth', cluster: 'auth', timeout: TIMEOUT_S } } };
const overGrpc = { grpc_service: { envoy_grpc: { cluster_name: 'auth' }, timeout: TIMEOUT_S } };
const limit = (more: JsonObject): JsonObject => ({
  name: 'envoy.filters.http.ratelimit',
  typed_config: {
    '@type': `${TYPES}.ratelimit.v3.RateLimit`,
    domain: 'd',
    timeout: TIMEOUT_S,
    rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: 'auth' } }, transport_api_version: 'V3' },
    ...more,
  },
});

const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
/** Well made, and of nobody. */
const TOKEN = `${base64({ alg: 'RS256', kid: 'a' })}.${base64({ iss: 'i' })}.${'A'.repeat(342)}`;

interface Guarded {
  readonly get: (path: string) => Promise<number>;
  readonly stat: (name: string) => number;
}

/** `/free` is asked about by nobody. */
async function guarded(filter: JsonObject, servicePort: number, isGrpc: boolean): Promise<Guarded> {
  const app: Server = createServer((_request, response) => response.end('app'));
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  closers.push(
    () => app.close(),
    () => app.closeAllConnections(),
  );
  const address = app.address();
  const appPort = typeof address === 'object' && address !== null ? address.port : 0;
  const off = { [EXT_AUTHZ]: { '@type': `${TYPES}.ext_authz.v3.ExtAuthzPerRoute`, disabled: true } };
  const counted = { rate_limits: [{ actions: [{ remote_address: {} }] }] };
  const isLimit = filter['name'] !== EXT_AUTHZ;
  const routes = [
    { match: { prefix: '/free' }, route: { cluster: 'app' }, ...(isLimit ? {} : { typed_per_filter_config: off }) },
    { match: { prefix: '/' }, route: { cluster: 'app', ...(isLimit ? counted : {}) } },
  ];
  const route_config = { name: 'routes', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] };
  const h2 = isGrpc ? { http2_protocol_options: {} } : {};
  const circuit_breakers = { thresholds: [{ max_requests: 4096, max_pending_requests: 4096, max_connections: 4096 }] };
  const static_resources = {
    listeners: [aListenerJson([aManager({ route_config, http_filters: [filter, ROUTER] })])],
    clusters: [
      aClusterJson('app', appPort),
      { ...aClusterJson('auth', servicePort), connect_timeout: '0.5s', ...h2, circuit_breakers },
    ],
  };
  const proxy = new Proxy({ bootstrap: aBootstrap({ static_resources }), log: silentLog, drainSeconds: 0 });
  await proxy.start();
  closers.push(() => proxy.stop(0));
  const port = proxy.listeners.live()[0]?.[1].boundAddress?.port ?? 0;
  const get = async (path: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { 'x-token': TOKEN } });
    await response.arrayBuffer();
    return response.status;
  };
  const stat = (name: string): number => proxy.stats.list().find((one) => one.name === name)?.value ?? 0;
  return { get, stat };
}

/** Ten requests at a time that are asked about, with those that are not between them. */
async function tryOut({ get }: Guarded, status: number): Promise<void> {
  const startMs = performance.now();
  const asked = Promise.all(Array.from({ length: 10 }, (_, i) => get(`/asked/${i}`)));
  const free = Promise.all(Array.from({ length: 10 }, (_, i) => get(`/free/${i}`)));
  expect(await free).toEqual(Array.from({ length: 10 }, () => 200));
  expect(await asked).toEqual(Array.from({ length: 10 }, () => status));
  expect(performance.now() - startMs).toBeLessThan(END_MS);
}

const soundCheck = Buffer.from(toBinary(CheckResponseSchema, create(CheckResponseSchema, { status: { code: 0 } })));
const soundLimit = Buffer.from(
  toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, { overallCode: RateLimitResponse_Code.OK })),
);

async function badHttp(way: { current: string }): Promise<BadService> {
  const service = await startBadHttp(() => BAD_HTTP[way.current] ?? null);
  closers.push(() => service.close());
  return service;
}

async function badGrpc(way: { current: string }, sound: Buffer): Promise<BadService> {
  const service = await startBadGrpc(
    () => BAD_GRPC[way.current] ?? null,
    (stream) => respond(stream, frameOf(sound)),
  );
  closers.push(() => service.close());
  return service;
}

describe('an authorization service over HTTP that', () => {
  it.each(Object.keys(BAD_HTTP))(
    '%s: requests are refused, or pass where that is wanted, and it is counted',
    async (name) => {
      const way = { current: name };
      const { port } = await badHttp(way);
      const closed = await guarded(authz(overHttp, {}), port, false);
      await tryOut(closed, 503);
      expect([closed.stat('http.in.ext_authz.error'), closed.stat('http.in.ext_authz.ok')]).toEqual([10, 0]);
      const open = await guarded(authz(overHttp, { failure_mode_allow: true }), port, false);
      await tryOut(open, 200);
      expect(open.stat('http.in.ext_authz.failure_mode_allowed')).toBe(10);
      expect([closed, open].map(({ stat }) => stat('cluster.auth.remote_calls_active'))).toEqual([0, 0]);
      way.current = '';
      expect(await closed.get('/asked')).toBe(200);
    },
  );
});

describe('an authorization service over gRPC that', () => {
  it.each(Object.keys(BAD_GRPC))(
    '%s: requests are refused, or pass where that is wanted, and it is counted',
    async (name) => {
      const way = { current: name };
      const { port } = await badGrpc(way, soundCheck);
      const closed = await guarded(authz(overGrpc, {}), port, true);
      await tryOut(closed, 503);
      expect([closed.stat('http.in.ext_authz.error'), closed.stat('http.in.ext_authz.ok')]).toEqual([10, 0]);
      const open = await guarded(authz(overGrpc, { failure_mode_allow: true }), port, true);
      await tryOut(open, 200);
      expect(open.stat('http.in.ext_authz.failure_mode_allowed')).toBe(10);
      expect([closed, open].map(({ stat }) => stat('cluster.auth.remote_calls_active'))).toEqual([0, 0]);
      way.current = '';
      await expect.poll(() => closed.get('/asked'), { timeout: 5000, interval: 50 }).toBe(200);
    },
  );
});

describe('a server of keys for tokens that', () => {
  it.each(Object.keys(BAD_HTTP))('%s: what needs a key is refused in time', async (name) => {
    const { port } = await badHttp({ current: name });
    const http_uri = { uri: 'http://auth/keys', cluster: 'auth', timeout: TIMEOUT_S };
    const provider = { issuer: 'i', from_headers: [{ name: 'x-token' }], remote_jwks: { http_uri } };
    const rules = [{ match: { prefix: '/asked' }, requires: { provider_name: 'p' } }];
    const typed_config = { '@type': `${TYPES}.jwt_authn.v3.JwtAuthentication`, providers: { p: provider }, rules };
    const plane = await guarded({ name: 'envoy.filters.http.jwt_authn', typed_config }, port, false);
    await tryOut(plane, 401);
    expect(plane.stat('http.in.jwt_authn.jwks_fetch_failed')).toBeGreaterThan(0);
  });
});

describe('a rate limit service that', () => {
  it.each(Object.keys(BAD_GRPC))('%s: requests pass, or are refused where that is wanted', async (name) => {
    const way = { current: name };
    const { port } = await badGrpc(way, soundLimit);
    const open = await guarded(limit({}), port, true);
    await tryOut(open, 200);
    expect([open.stat('cluster.app.ratelimit.error'), open.stat('cluster.app.ratelimit.failure_mode_allowed')]).toEqual(
      [10, 10],
    );
    const closed = await guarded(
      limit({ failure_mode_deny: true, status_on_error: { code: 'ServiceUnavailable' } }),
      port,
      true,
    );
    await tryOut(closed, 503);
  });
});
