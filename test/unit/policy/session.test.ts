// Sessions that stay with an endpoint: what is read from a request, what the response is given, and what is
// refused. The cookie's bytes and the texts are Envoy 1.40's; what a cluster does with the wish is elsewhere.
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { clusterId } from '../../../src/base/brand.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef, Endpoint } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import type { FilterScope, HttpFilter } from '../../../src/plan/http-filter.ts';
import type { CompileEnv, PlanPart } from '../../../src/plan/plan.ts';
import { runThrough } from '../../../src/plan/run.ts';
import { compileSession } from '../../../src/policy/session-compile.ts';
import { encodeSession } from '../../../src/policy/session.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../../../src/xds/gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js';
import { NO_REMOTE } from '../../support/no-remote.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.http.stateful_session';
const ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute';
const NOW_SECONDS = 1_700_000_000;
const SET_COOKIE = internHeader('set-cookie');
const HEADER = internHeader('x-session');

const byCookie = (cookie: JsonObject): JsonObject => ({
  session_state: { name: 'c', typed_config: { '@type': `${TYPE}.cookie.v3.CookieBasedSessionState`, cookie } },
});
const byHeader = (name: string): JsonObject => ({
  session_state: { name: 'h', typed_config: { '@type': `${TYPE}.header.v3.HeaderBasedSessionState`, name } },
});

function scopeOf(): FilterScope {
  const env: CompileEnv = {
    problems: [],
    clusterRef: (name) => new ClusterRef(clusterId(name)),
    random: () => 0,
    runtimeNumber: (_key, fallback) => fallback,
  };
  return {
    env,
    path: 's',
    name: 's',
    bit: 1,
    statPrefix: 'main',
    place: 'in',
    serviceCluster: 'web',
    isInbound: false,
    isMesh: false,
    routeMatch: () => null,
    clock: { now: () => 0, wall: () => NOW_SECONDS * 1000 },
    limits: new LocalLimits(),
    remote: NO_REMOTE,
    tally: (_name, stats) => new FilterTally(stats),
  };
}

function compile(json: JsonObject) {
  const scope = scopeOf();
  const message = fromJson(StatefulSessionSchema, json, { registry: extensions });
  const typeUrl = `type.googleapis.com/${StatefulSessionSchema.typeName}`;
  const filter = compileSession(create(AnySchema, { typeUrl, value: toBinary(StatefulSessionSchema, message) }), scope);
  return { filter, problems: scope.env.problems.map(({ path, message: text }) => `${path}: ${text}`), scope };
}

function perRoute(json: JsonObject): Any {
  const message = fromJson(StatefulSessionPerRouteSchema, json, { registry: extensions });
  return create(AnySchema, { typeUrl: ROUTE, value: toBinary(StatefulSessionPerRouteSchema, message) });
}

function partOf(filter: HttpFilter | null): PlanPart {
  if (filter === null) throw new Error('refused');
  return filter.part;
}

interface Asked {
  readonly cookie?: string;
  readonly header?: string;
  readonly path?: string;
}

/** What the request asks for, and what the response is given when 10.0.0.1:80 answered. */
function through(part: PlanPart, { cookie, header, path = '/' }: Asked) {
  const x = new Exchange();
  x.request.path = path;
  if (cookie !== undefined) x.request.add(internHeader('cookie'), cookie);
  if (header !== undefined) x.request.add(HEADER, header);
  runThrough(x, part.onRequest ?? []);
  x.endpoint = new Endpoint({
    address: '10.0.0.1',
    port: 80,
    hostname: '',
    locality: { region: '', zone: '', subZone: '' },
    priority: 0,
    metadata: new Map(),
    weight: 1,
  });
  runThrough(x, part.onResponse ?? []);
  return {
    asks: x.sessionEndpoint,
    isStrict: x.isSessionStrict,
    gets: x.response.get(SET_COOKIE) ?? x.response.get(HEADER),
  };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('a session in a cookie', () => {
  it.each<{
    readonly says: string;
    readonly cookie: JsonObject;
    readonly asked: Asked;
    readonly asks: string;
    readonly gets: string | null;
  }>([
    {
      says: 'begins with the endpoint that answered',
      cookie: {},
      asked: {},
      asks: '',
      gets: 's="CgsxMC4wLjAuMTo4MA=="; HttpOnly',
    },
    {
      says: 'has a path and an end where those are given',
      cookie: { path: '/a', ttl: '120s' },
      asked: { path: '/a/b' },
      asks: '',
      gets: `s="${encodeSession('10.0.0.1:80', NOW_SECONDS + 120)}"; Max-Age=120; Path=/a; HttpOnly`,
    },
    {
      says: 'says nothing while it stays',
      cookie: {},
      asked: { cookie: 's="CgsxMC4wLjAuMTo4MA=="' },
      asks: '10.0.0.1:80',
      gets: null,
    },
    {
      says: 'reads Envoy 1.40',
      cookie: { ttl: '1s' },
      asked: { cookie: 's=Cg8xMjcuMC4wLjE6MTkxMDIQ8oGO2AY=' },
      asks: '127.0.0.1:19102',
      gets: expect.stringContaining('Max-Age=1'),
    },
    {
      says: 'is over when its time is',
      cookie: {},
      asked: { cookie: `s=${encodeSession('10.0.0.2:80', NOW_SECONDS - 1)}` },
      asks: '',
      gets: expect.stringContaining('s='),
    },
    {
      says: 'lasts until its time is over',
      cookie: {},
      asked: { cookie: `s=${encodeSession('10.0.0.2:80', NOW_SECONDS)}` },
      asks: '10.0.0.2:80',
      gets: expect.stringContaining('s='),
    },
    {
      says: 'reads a bare address',
      cookie: {},
      asked: { cookie: `s=${base64('10.0.0.2:80')}` },
      asks: '10.0.0.2:80',
      gets: expect.stringContaining('s='),
    },
    {
      says: 'reads what is no base64 as nothing',
      cookie: {},
      asked: { cookie: 's=!!!!' },
      asks: '',
      gets: expect.stringContaining('s='),
    },
    {
      says: 'is for its path only',
      cookie: { path: '/a' },
      asked: { path: '/ab', cookie: `s=${base64('10.0.0.2:80')}` },
      asks: '',
      gets: null,
    },
    {
      says: 'is for its path with a query',
      cookie: { path: '/a' },
      asked: { path: '/a?q', cookie: `s=${base64('10.0.0.1:80')}` },
      asks: '10.0.0.1:80',
      gets: null,
    },
  ])('$says', ({ cookie, asked, asks, gets }) => {
    const { filter } = compile(byCookie({ name: 's', ...cookie }));
    expect(through(partOf(filter), asked)).toEqual({ asks, isStrict: false, gets });
  });
});

describe('a session in a header', () => {
  const part = partOf(compile({ ...byHeader('x-session'), strict: true }).filter);

  it.each<{ readonly says: string; readonly asked: Asked; readonly found: object }>([
    {
      says: 'begins with the endpoint that answered',
      asked: {},
      found: { asks: '', isStrict: false, gets: base64('10.0.0.1:80') },
    },
    {
      says: 'says nothing while it stays',
      asked: { header: base64('10.0.0.1:80') },
      found: { asks: '10.0.0.1:80', isStrict: true, gets: null },
    },
    {
      says: 'says when it moves',
      asked: { header: base64('10.0.0.2:80') },
      found: { asks: '10.0.0.2:80', isStrict: true, gets: base64('10.0.0.1:80') },
    },
    {
      says: 'reads what is no base64 as nothing',
      asked: { header: '!bad' },
      found: { asks: '', isStrict: false, gets: base64('10.0.0.1:80') },
    },
  ])('$says', ({ asked, found }) => {
    expect(through(part, asked)).toEqual(found);
  });
});

describe('the settings of a route', () => {
  it('replace those of the filter, or switch it off', () => {
    const { filter, scope } = compile({});
    const read = (json: JsonObject) => filter?.withSettings(perRoute(json), scope.env, 'r') ?? null;
    expect(through(partOf(filter), {}).gets).toBeNull();
    expect(read({ disabled: true })).toEqual({});
    expect(through(read({ stateful_session: byHeader('x-session') }) ?? {}, {}).gets).toBe(base64('10.0.0.1:80'));
    expect(read({})).toBeNull();
  });
});

it.each<{ readonly given: JsonObject; readonly problem: string }>([
  { given: byCookie({}), problem: 's.session_state.typed_config.cookie.name: must be set' },
  {
    given: byCookie({ name: 's', ttl: '-1s' }),
    problem: 's.session_state.typed_config.cookie.ttl: must not be negative',
  },
  { given: byHeader(''), problem: 's.session_state.typed_config.name: must be set' },
])('refuses: $problem', ({ given, problem }) => {
  expect(compile(given).problems).toEqual([problem]);
});
