// Spans of the sidecar's own steps arrive in a real Collector, with the right parents, over OTLP/gRPC
// and OTLP/HTTP, and again after the Collector was killed and started anew.
import { createRegistry, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { H } from '../../src/http/header-name.ts';
import { NO_IDENTITY } from '../../src/observe/node-identity.ts';
import { Registry } from '../../src/observe/registry.ts';
import { SpanPipeline } from '../../src/observe/span-pipeline.ts';
import { compileTracing } from '../../src/observe/tracing.ts';
import { Endpoint } from '../../src/plan/cluster.ts';
import type { Exchange } from '../../src/plan/exchange.ts';
import type { PlanPart } from '../../src/plan/plan.ts';
import { OpenTelemetryConfigSchema } from '../../src/xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import { HttpConnectionManager_TracingSchema } from '../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { aCluster, anEndpoint, anEnv, anExchange, runPhase, type TestEnv } from '../unit/observe/exchange-builder.ts';
import { OtelCollector, type SeenSpan } from './otel-collector.ts';

const registry = createRegistry(HttpConnectionManager_TracingSchema, OpenTelemetryConfigSchema);
let collector: OtelCollector;
beforeAll(async () => {
  collector = await OtelCollector.start();
});
afterAll(() => collector.stop());

interface Hop {
  readonly part: PlanPart | null;
  readonly env: TestEnv;
}

function aHop(pipeline: SpanPipeline, service: string, isInbound: boolean, exporter: JsonObject): Hop {
  const typedConfig = {
    '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
    serviceName: service,
    ...exporter,
  };
  const config = fromJson(
    HttpConnectionManager_TracingSchema,
    { provider: { name: 'envoy.tracers.opentelemetry', typedConfig } },
    { registry },
  );
  const env = anEnv();
  const node = { ...NO_IDENTITY, canonicalService: service, namespace: 'books' };
  const part = compileTracing(config, env, { node, pipeline, isInbound, path: 'tracing', route: null });
  expect(env.problems).toEqual([]);
  return { part, env };
}

const byCluster: JsonObject = { grpcService: { envoyGrpc: { clusterName: 'collector' }, timeout: '1s' } };

function pointAt({ env }: Hop, port: number): void {
  const endpoint = new Endpoint({
    address: '127.0.0.1',
    port,
    hostname: '',
    locality: { region: '', zone: '', subZone: '' },
    priority: 0,
    metadata: new Map(),
    weight: 1,
  });
  env.clusterRef('collector').cluster = aCluster('collector', [endpoint]).cluster;
}

/** Sends a request through `hops` one after the other, as the headers say; returns the last exchange. */
function travel(hops: readonly Hop[], status = 200): Exchange {
  const passed: Exchange[] = [];
  let headers: readonly (readonly [string, string])[] = [['user-agent', 'test']];
  for (const { part } of hops) {
    const x = anExchange({ path: '/books/1', headers, endpoint: anEndpoint(), status });
    runPhase(x, part, 'onRequest');
    runPhase(x, part, 'onAttempt');
    headers = [['traceparent', x.request.get(H.traceparent) ?? '']];
    passed.push(x);
  }
  passed.toReversed().forEach((x, i) => runPhase(x, hops[hops.length - 1 - i]?.part ?? null, 'onEnd'));
  return passed[passed.length - 1] ?? anExchange();
}

const spansOf = (traceId: string | undefined): SeenSpan[] => collector.spans.filter((span) => span.traceId === traceId);

describe('a real Collector', () => {
  test('sees one trace of two hops: a server and a client span each, in one chain', async () => {
    const pipeline = new SpanPipeline({ registry: new Registry() });
    const outbound = aHop(pipeline, 'frontend', false, byCluster);
    const inbound = aHop(pipeline, 'reviews', true, byCluster);
    pointAt(outbound, collector.grpcPort);
    pointAt(inbound, collector.grpcPort);
    const x = travel([outbound, inbound], 503);
    await pipeline.close();
    const traceId = x.trace?.traceId;
    await expect.poll(() => spansOf(traceId).length).toBe(4);
    const chain: string[] = [];
    let parentId = '';
    for (let i = 0; i < 4; i++) {
      const span = spansOf(traceId).find((candidate) => candidate.parentId === parentId);
      chain.push(
        `${span?.service} ${span?.kind} ${span?.name} ${span?.status} ${span?.attributes['http.response.status_code']}`,
      );
      parentId = span?.spanId ?? 'none';
    }
    expect(chain).toEqual([
      'frontend Server GET Error 503',
      'frontend Client GET Error 503',
      'reviews Server GET Error 503',
      'reviews Client GET Error 503',
    ]);
  });

  test('takes OTLP over HTTP too', async () => {
    const pipeline = new SpanPipeline({ registry: new Registry() });
    const uri = `http://127.0.0.1:${collector.httpPort}/v1/traces`;
    const hop = aHop(pipeline, 'web', false, {
      httpService: { httpUri: { uri, cluster: 'collector', timeout: '1s' } },
    });
    pointAt(hop, collector.httpPort);
    const x = travel([hop]);
    await pipeline.close();
    await expect.poll(() => spansOf(x.trace?.traceId).length).toBe(2);
  });

  test('killed and started again under load: nothing waits, later spans arrive, losses are counted', async () => {
    const metrics = new Registry();
    const pipeline = new SpanPipeline({ registry: metrics });
    const hop = aHop(pipeline, 'frontend', false, byCluster);
    pointAt(hop, collector.grpcPort);
    const before = travel([hop]);
    await expect.poll(() => spansOf(before.trace?.traceId).length, { timeout: 5000 }).toBe(2);

    await collector.kill();
    let slowestMs = 0;
    for (let i = 0; i < 3000; i++) {
      const begin = performance.now();
      travel([hop]);
      slowestMs = Math.max(slowestMs, performance.now() - begin);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(slowestMs).toBeLessThan(250);
    // 6000 spans were made; the queue holds 2048 and a batch may be under way.
    await expect
      .poll(() => metrics.get(metrics.counter('outrigger_span_export_failures_total', '')), { timeout: 10_000 })
      .toBeGreaterThan(0);
    const dropped = metrics.families.get('outrigger_spans_dropped_total')?.slot(['queue-full']) ?? -1;
    expect(metrics.get(dropped)).toBeGreaterThanOrEqual(6000 - 2048 - 512);

    await collector.start();
    let after = travel([hop]);
    await expect
      .poll(
        () => {
          if (spansOf(after.trace?.traceId).length === 2) return true;
          after = travel([hop]);
          return false;
        },
        { timeout: 15_000, interval: 1500 },
      )
      .toBe(true);
    await pipeline.close();
  });

  test('that moved to another address is followed', async () => {
    const other = await OtelCollector.start();
    const pipeline = new SpanPipeline({ registry: new Registry() });
    const hop = aHop(pipeline, 'frontend', false, byCluster);
    pointAt(hop, collector.grpcPort);
    const here = travel([hop]);
    await pipeline.flush();
    pointAt(hop, other.grpcPort);
    const there = travel([hop]);
    await pipeline.close();
    await expect.poll(() => spansOf(here.trace?.traceId).length).toBe(2);
    await expect.poll(() => other.spans.filter((span) => span.traceId === there.trace?.traceId).length).toBe(2);
    await other.stop();
  });
});
