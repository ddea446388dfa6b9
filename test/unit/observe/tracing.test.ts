// Tracing as compiled: the decision to sample, what the next hop is told, the shape of the spans by
// the OpenTelemetry HTTP conventions, Problems, and a Collector that swallows everything.
// A real Collector is met in test/peer/collector.test.ts.
import { createServer, type Server, type Socket } from 'node:net';
import { create, createRegistry, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { H, internHeader } from '../../../src/http/header-name.ts';
import { compileCustomTags } from '../../../src/observe/custom-tags.ts';
import { HopTrace } from '../../../src/observe/hop-trace.ts';
import type { Exchange } from '../../../src/plan/exchange.ts';
import { NO_IDENTITY } from '../../../src/observe/node-identity.ts';
import { Registry } from '../../../src/observe/registry.ts';
import { SpanPipeline } from '../../../src/observe/span-pipeline.ts';
import { SpanShape, type SpanRecord, type SpanShapeInit } from '../../../src/observe/span-shape.ts';
import { compileTracing } from '../../../src/observe/tracing.ts';
import type { PlanPart } from '../../../src/plan/plan.ts';
import { TracingSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_components_pb.js';
import { OpenTelemetryConfigSchema } from '../../../src/xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import {
  HttpConnectionManager_TracingSchema,
  type HttpConnectionManager_Tracing,
} from '../../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { CustomTagSchema } from '../../../src/xds/gen/envoy/type/tracing/v3/custom_tag_pb.js';
import { aCluster, anEndpoint, anEnv, anExchange, runPhase, type TestEnv } from './exchange-builder.ts';

const registry = createRegistry(HttpConnectionManager_TracingSchema, OpenTelemetryConfigSchema);
const NODE = { ...NO_IDENTITY, id: 'n', namespace: 'books', canonicalService: 'reviews', meshId: 'm' };
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

function aConfig(init: JsonObject = {}, provider: JsonObject = {}): HttpConnectionManager_Tracing {
  const typedConfig = { '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig', ...provider };
  return fromJson(
    HttpConnectionManager_TracingSchema,
    { provider: { name: 'envoy.tracers.opentelemetry', typedConfig }, ...init },
    { registry },
  );
}

interface Compiled {
  readonly part: PlanPart | null;
  readonly env: TestEnv;
  readonly pipeline: SpanPipeline;
  readonly registry: Registry;
}

function compiled(
  config: HttpConnectionManager_Tracing,
  random?: () => number,
  route: Parameters<typeof compileTracing>[2]['route'] = null,
): Compiled {
  const env = anEnv(random);
  const metrics = new Registry();
  const pipeline = new SpanPipeline({ registry: metrics });
  const part = compileTracing(config, env, { node: NODE, pipeline, isInbound: false, path: 'tracing', route });
  return { part, env, pipeline, registry: metrics };
}

const percent = (value: number): JsonObject => ({ value });

const value = (metrics: Registry, name: string): number => metrics.get(metrics.counter(name, ''));

const dropped = (metrics: Registry): number => {
  const family = metrics.families.get('outrigger_spans_dropped_total');
  return ['queue-full', 'export-failed'].reduce((sum, reason) => sum + metrics.get(family?.slot([reason]) ?? 0), 0);
};

describe('the way in', () => {
  test('a new trace gets ids and tells the next hop', () => {
    const { part } = compiled(aConfig());
    const x = anExchange();
    runPhase(x, part, 'onRequest');
    const trace = x.trace;
    expect(trace).toMatchObject({ parentSpanId: '', isSampled: true, state: '' });
    expect(trace?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set([trace?.serverSpanId, trace?.clientSpanId]).size).toBe(2);
    expect(x.request.get(H.traceparent)).toBe(`00-${trace?.traceId}-${trace?.clientSpanId}-01`);
    expect(x.request.has(internHeader('b3'))).toBe(false);
  });

  test('a hop continues the trace that came, in the words it came in', () => {
    const { part } = compiled(aConfig());
    const x = anExchange({
      headers: [
        ['traceparent', `00-${TRACE}-${SPAN}-01`],
        ['tracestate', 'a=1'],
        ['b3', '0'],
      ],
    });
    runPhase(x, part, 'onRequest');
    expect(x.trace).toMatchObject({ traceId: TRACE, parentSpanId: SPAN, isSampled: true, state: 'a=1' });
    expect(x.request.get(H.tracestate)).toBe('a=1');
    expect(x.request.get(internHeader('b3'))).toBe(`${TRACE}-${x.trace?.clientSpanId}-1-${x.trace?.serverSpanId}`);
  });

  test.each<[string, JsonObject, readonly (readonly [string, string])[], boolean]>([
    ['random below', { randomSampling: percent(51) }, [], true],
    ['random above', { randomSampling: percent(50) }, [], false],
    [
      '0 %, but the parent is sampled',
      { randomSampling: percent(0) },
      [['traceparent', `00-${TRACE}-${SPAN}-01`]],
      true,
    ],
    ['100 %, but the parent is not', {}, [['traceparent', `00-${TRACE}-${SPAN}-00`]], false],
    ['100 %, but b3: 0', {}, [['b3', '0']], false],
    ['0 %, but debug', { randomSampling: percent(0) }, [['b3', 'd']], true],
    ['0 %, the parent deferred', { randomSampling: percent(0) }, [['b3', `${TRACE}-${SPAN}`]], false],
    ['0 %, the client asks', { randomSampling: percent(0) }, [['x-client-trace-id', 'a']], true],
    [
      '0 %, the client asks but may not',
      { randomSampling: percent(0), clientSampling: percent(0) },
      [['x-client-trace-id', 'a']],
      false,
    ],
    ['overall caps the rest', { overallSampling: percent(50) }, [['x-client-trace-id', 'a']], false],
  ])('sampling: %s', (_name, init, headers, expected) => {
    const { part } = compiled(aConfig(init), () => 0.5);
    const x = anExchange({ headers });
    runPhase(x, part, 'onRequest');
    expect(x.trace?.isSampled).toBe(expected);
    expect(x.request.get(H.traceparent)?.endsWith(expected ? '-01' : '-00')).toBe(true);
  });

  test('a route’s own sampling replaces the manager’s', () => {
    const tracing = fromJson(TracingSchema, { randomSampling: { numerator: 1, denominator: 'MILLION' } });
    const { part } = compiled(aConfig(), () => 0.5, { tracing, operation: '' });
    const x = anExchange();
    runPhase(x, part, 'onRequest');
    expect(x.trace?.isSampled).toBe(false);
  });

  test('a further try has a client span of its own', () => {
    const { part } = compiled(aConfig());
    const x = anExchange({ endpoint: anEndpoint() });
    runPhase(x, part, 'onRequest');
    const first = x.trace?.clientSpanId;
    runPhase(x, part, 'onAttempt');
    expect(x.trace?.clientSpanId).toBe(first);
    x.upstreamStartMs += 3;
    runPhase(x, part, 'onAttempt');
    expect(x.trace?.clientSpanId).not.toBe(first);
    expect(x.request.get(H.traceparent)).toBe(`00-${x.trace?.traceId}-${x.trace?.clientSpanId}-01`);
  });

  test('without a provider nothing is compiled', () => {
    expect(compiled(create(HttpConnectionManager_TracingSchema, {})).part).toEqual({});
  });
});

describe('tracing problems', () => {
  test.each<[string, HttpConnectionManager_Tracing, string]>([
    [
      'another tracer',
      create(HttpConnectionManager_TracingSchema, {
        provider: {
          name: 'envoy.tracers.zipkin',
          configType: {
            case: 'typedConfig',
            value: { typeUrl: 'type.googleapis.com/envoy.config.trace.v3.ZipkinConfig' },
          },
        },
      }),
      'tracing.provider: tracer type.googleapis.com/envoy.config.trace.v3.ZipkinConfig is not supported; use envoy.tracers.opentelemetry with a Collector',
    ],
    [
      'a metadata tag',
      aConfig({ customTags: [{ tag: 't', metadata: {} }] }),
      'tracing.custom_tags[0].metadata: custom tag t is of metadata that is not there; write kind: { request: {} } and a metadata_key with a path',
    ],
    [
      'a bad URI',
      aConfig({}, { httpService: { httpUri: { uri: 'nonsense', cluster: 'c', timeout: '1s' } } }),
      'tracing.provider.typed_config.http_service.http_uri.uri: is not a URI; write http://HOST:PORT/v1/traces',
    ],
    [
      'a URI that asks for TLS',
      aConfig({}, { httpService: { httpUri: { uri: 'https://c:4318/v1/traces', cluster: 'c', timeout: '1s' } } }),
      'tracing.provider.typed_config.http_service.http_uri.uri: TLS to a Collector is not supported yet; write http://HOST:PORT/v1/traces',
    ],
    [
      'no target',
      aConfig({}, { grpcService: {} }),
      'tracing.provider.typed_config.grpc_service: no target; set envoy_grpc.cluster_name',
    ],
  ])('%s is refused with its place', (_name, config, expected) => {
    const { part, env } = compiled(config);
    expect(part).toBe(null);
    expect(env.problems.map(formatProblem)).toEqual([expected]);
  });
});

describe('spans', () => {
  const ids = { traceId: TRACE, serverSpanId: '1111111111111111', clientSpanId: '2222222222222222', isSampled: true };
  const incoming = {
    traceId: TRACE,
    spanId: SPAN,
    decision: 'sampled',
    state: 'a=1',
    hasB3Single: false,
    hasB3Multi: false,
    isShort: false,
  } as const;
  const shapeInit: SpanShapeInit = {
    node: NODE,
    isInbound: false,
    tags: [],
    operation: '',
    pathLengthMax: 256,
    isSingle: false,
  };
  const endpoint = anEndpoint(9080);
  const cluster = aCluster('outbound|9080||reviews', [endpoint]);
  const aHop = (
    init: Parameters<typeof anExchange>[0],
    shape = shapeInit,
    change: (trace: HopTrace, x: Exchange) => void = () => {},
  ): SpanRecord[] => {
    const x = anExchange(init);
    const trace = new HopTrace(x, incoming, ids);
    change(trace, x);
    return new SpanShape(shape).spansOf(x, trace);
  };

  test('a hop is a server span and a client span below it, by the HTTP conventions', () => {
    const headers = [
      ['user-agent', 'curl/8'],
      ['x-request-id', 'r1'],
      ['x-forwarded-for', '1.2.3.4, 10.0.0.1'],
    ] as const;
    const common = {
      component: 'proxy',
      node_id: 'n',
      'istio.canonical_service': 'reviews',
      'istio.mesh_id': 'm',
      'istio.namespace': 'books',
      'http.request.method': 'GET',
      'server.address': 'reviews',
      'server.port': 9080,
      'http.response.status_code': 200,
      'user_agent.original': 'curl/8',
      'guid:x-request-id': 'r1',
      upstream_cluster: 'outbound|9080||reviews',
      response_flags: '-',
      request_size: 20,
      response_size: 600,
    };
    expect(aHop({ path: '/reviews/1?a=b', headers, endpoint, cluster })).toEqual([
      {
        kind: 'server',
        name: 'GET',
        traceId: TRACE,
        spanId: '1111111111111111',
        parentSpanId: SPAN,
        isParentRemote: true,
        state: 'a=1',
        startMs: 1_700_000_000_000,
        endMs: 1_700_000_000_007,
        isError: false,
        attributes: {
          ...common,
          'url.scheme': 'http',
          'url.path': '/reviews/1',
          'url.query': 'a=b',
          'client.address': '1.2.3.4',
          'network.peer.address': '10.0.0.1',
          'network.peer.port': 40_000,
          'network.protocol.version': '1.1',
        },
        events: [],
      },
      {
        kind: 'client',
        name: 'GET',
        traceId: TRACE,
        spanId: '2222222222222222',
        parentSpanId: '1111111111111111',
        isParentRemote: false,
        state: 'a=1',
        startMs: 1_700_000_000_001,
        endMs: 1_700_000_000_007,
        isError: false,
        attributes: {
          ...common,
          'url.full': 'http://reviews:9080/reviews/1?a=b',
          'network.peer.address': '10.0.0.7',
          'network.peer.port': 9080,
          upstream_address: '10.0.0.7:9080',
        },
        events: [],
      },
    ]);
  });

  test.each([
    { status: 200, server: [false, undefined], client: [false, undefined] },
    { status: 404, server: [false, undefined], client: [true, '404'] },
    { status: 503, server: [true, '503'], client: [true, '503'] },
    { status: 0, server: [true, '_OTHER'], client: [true, '_OTHER'] },
  ])('status $status is an error to the server: $server, to the client: $client', (expected) => {
    const outcomes = aHop({ status: expected.status, endpoint, cluster }).map((record) => [
      record.isError,
      record.attributes['error.type'],
    ]);
    expect(outcomes).toEqual([expected.server, expected.client]);
  });

  test('an answer of our own without a try has no client span', () => {
    expect(aHop({ status: 404 }).map(({ kind }) => kind)).toEqual(['server']);
  });

  test('an unknown method is _OTHER', () => {
    const [server] = aHop({ method: 'BREW' });
    expect([
      server?.name,
      server?.attributes['http.request.method'],
      server?.attributes['http.request.method_original'],
    ]).toEqual(['HTTP', '_OTHER', 'BREW']);
  });

  test('long paths are cut', () => {
    const [server] = aHop({ path: `/${'x'.repeat(300)}` });
    expect(String(server?.attributes['url.path']).length).toBe(256);
  });

  test.each([
    [true, 'server', '1111111111111111'],
    [false, 'client', '2222222222222222'],
  ])('one span for the whole hop, inbound %s, is a %s span', (isInbound, kind, spanId) => {
    const records = aHop({ endpoint, cluster }, { ...shapeInit, isInbound, isSingle: true, operation: 'op' });
    expect(records.map((record) => [record.kind, record.name, record.spanId, record.parentSpanId])).toEqual([
      [kind, 'op', spanId, SPAN],
    ]);
  });

  test('each try is a client span', () => {
    const earlier = {
      spanId: '3333333333333333',
      startMs: 1001,
      endMs: 1003,
      errorType: 'reset-before-response',
      status: 0,
      address: '10.0.0.8',
      port: 80,
    };
    const records = aHop({ endpoint, cluster }, shapeInit, (trace) => {
      trace.earlier = [earlier];
    });
    expect(
      records.map(({ spanId, parentSpanId, isError, startMs, endMs, attributes }) => [
        spanId,
        parentSpanId,
        isError,
        startMs - 1.7e12,
        endMs - 1.7e12,
        attributes['error.type'],
        attributes['http.request.resend_count'],
      ]),
    ).toEqual([
      ['1111111111111111', SPAN, false, 0, 7, undefined, undefined],
      ['3333333333333333', '1111111111111111', true, 1, 3, 'reset-before-response', undefined],
      ['2222222222222222', '1111111111111111', false, 1, 7, undefined, 1],
    ]);
  });

  test.each([
    { name: 'the client span tells what happened on the way', init: { endpoint, cluster }, told: [[], ['retry']] },
    { name: 'without a try the server span does', init: { status: 503 }, told: [['retry']] },
  ])('$name', ({ init, told }) => {
    const records = aHop(init, shapeInit, (_trace, x) => x.note(1003.5, 'retry', 'status 503'));
    expect(records.map(({ events }) => events.map(({ name }) => name))).toEqual(told);
    expect(records.at(-1)?.events).toEqual([{ timeMs: 1_700_000_000_003.5, name: 'retry', detail: 'status 503' }]);
  });

  test('custom tags come from literals, the environment and request headers, later ones first', () => {
    process.env['OUTRIGGER_TEST_TAG'] = 'from-env';
    const tags = compileCustomTags(
      [
        { tag: 'a', literal: { value: 'old' } },
        { tag: 'a', literal: { value: 'new' } },
        { tag: 'b', environment: { name: 'OUTRIGGER_TEST_TAG' } },
        { tag: 'c', environment: { name: 'OUTRIGGER_TEST_NONE', defaultValue: 'd' } },
        { tag: 'e', environment: { name: 'OUTRIGGER_TEST_NONE' } },
        { tag: 'f', requestHeader: { name: 'X-User', defaultValue: 'nobody' } },
        { tag: 'g', requestHeader: { name: 'x-none' } },
      ].map((tag) => fromJson(CustomTagSchema, tag as JsonObject)),
      anEnv(),
      'tracing',
    );
    const [server] = aHop({ headers: [['x-user', 'ann']] }, { ...shapeInit, tags: tags ?? [] });
    const { attributes } = server ?? { attributes: {} };
    expect(['a', 'b', 'c', 'e', 'f', 'g'].map((name) => attributes[name as keyof typeof attributes])).toEqual([
      'new',
      'from-env',
      'd',
      undefined,
      'ann',
      undefined,
    ]);
  });
});

describe('a Collector in trouble', () => {
  test('a black hole neither blocks nor grows: what does not fit is dropped and counted', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
    const port = await listen(server);
    const config = aConfig(
      {},
      {
        grpcService: { googleGrpc: { targetUri: `127.0.0.1:${port}`, statPrefix: 's' }, timeout: '0.2s' },
        serviceName: 's',
      },
    );
    const { part, pipeline, registry: metrics } = compiled(config);
    const endpoint = anEndpoint();
    let slowestMs = 0;
    for (let i = 0; i < 10_000; i++) {
      const x = anExchange({ endpoint });
      const begin = performance.now();
      runPhase(x, part, 'onRequest');
      runPhase(x, part, 'onEnd');
      slowestMs = Math.max(slowestMs, performance.now() - begin);
    }
    expect(dropped(metrics)).toBeGreaterThan(17_000);
    expect(slowestMs).toBeLessThan(250);
    await pipeline.close(500);
    for (const socket of sockets) socket.destroy();
    server.close();
    expect(value(metrics, 'outrigger_spans_exported_total')).toBe(0);
  });
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
