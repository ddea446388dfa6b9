// Compiles HttpConnectionManager.Tracing. On the way in a step reads the caller's context, decides
// whether this trace is sampled (the parent's decision stands) and tells the next hop; each further
// try gets a client span of its own; at the end a sampled hop leaves its spans with the pipeline.
// Without a provider nothing is compiled and headers pass untouched, as in Envoy.
import { anyIs, anyUnpack } from '@bufbuild/protobuf/wkt';
import { error, warning } from '../base/problem.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, type CompileEnv, type PlanPart, type Verdict } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import type { Tracing as RouteTracing } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { OpenTelemetryConfigSchema } from '../xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import type { HttpConnectionManager_Tracing } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { FractionalPercent_DenominatorType, type FractionalPercent } from '../xds/gen/envoy/type/v3/percent_pb.js';
import { compileCustomTags } from './custom-tags.ts';
import { HopTrace } from './hop-trace.ts';
import type { NodeIdentity } from './node-identity.ts';
import { compileTarget } from './span-exporter.ts';
import type { SpanPipeline, SpanTarget } from './span-pipeline.ts';
import { SpanShape } from './span-shape.ts';
import { readTrace, writeTrace } from './trace-context.ts';
import { newSpanId, newTraceId } from './trace-id.ts';
import { internHeader } from '../http/header-name.ts';

export interface TracingDependencies {
  readonly node: NodeIdentity;
  /** The process's span pipeline; it loads OpenTelemetry when the first tracer is compiled. */
  readonly pipeline: SpanPipeline;
  readonly isInbound: boolean;
  /** Field path of the configuration, for Problems. */
  readonly path: string;
  /** Route.tracing and Route.decorator.operation of the route whose Plan this is; null for none. */
  readonly route: { readonly tracing: RouteTracing | null; readonly operation: string } | null;
}

const CLIENT_TRACE_ID = internHeader('x-client-trace-id');
const PATH_LENGTH_MAX = 256;

/** Chances in [0, 1]. */
interface Sampling {
  readonly client: number;
  readonly random: number;
  readonly overall: number;
}

class Tracer {
  readonly sampling: Sampling;
  readonly shape: SpanShape;
  readonly target: SpanTarget;
  readonly random: () => number;

  constructor(sampling: Sampling, shape: SpanShape, target: SpanTarget, random: () => number) {
    this.sampling = sampling;
    this.shape = shape;
    this.target = target;
    this.random = random;
  }

  toJSON(): unknown {
    return { sampling: this.sampling, to: this.target.name };
  }
}

/** Null when refused; an empty part when no provider is configured. */
export function compileTracing(
  config: HttpConnectionManager_Tracing,
  env: CompileEnv,
  dependencies: TracingDependencies,
): PlanPart | null {
  const { path, route, pipeline, node, isInbound } = dependencies;
  const packed = config.provider?.configType.value;
  if (config.provider === undefined) return {};
  if (packed === undefined || !anyIs(packed, OpenTelemetryConfigSchema)) {
    const what = packed === undefined ? config.provider.name : packed.typeUrl;
    env.problems.push(
      error(`${path}.provider`, `tracer ${what} is not supported`, 'use envoy.tracers.opentelemetry with a Collector'),
    );
    return null;
  }
  const provider = anyUnpack(packed, OpenTelemetryConfigSchema);
  if (provider === undefined) return null;
  const providerPath = `${path}.provider.typed_config`;
  if (provider.sampler !== undefined) {
    env.problems.push(error(`${providerPath}.sampler`, 'samplers are not supported', 'use random_sampling'));
    return null;
  }
  if (provider.resourceDetectors.length > 0) {
    env.problems.push(warning(`${providerPath}.resource_detectors`, 'has no effect', 'leave it out'));
  }
  const spec = compileTarget(provider, env, providerPath, node);
  const tags = compileCustomTags([...config.customTags, ...(route?.tracing?.customTags ?? [])], env, path);
  if (tags === null || spec === 'refused') return null;
  const shape = new SpanShape({
    node,
    isInbound,
    tags,
    operation: route?.operation ?? '',
    pathLengthMax: config.maxPathTagLength ?? PATH_LENGTH_MAX,
    isSingle: config.spawnUpstreamSpan === false,
  });
  const tracer = new Tracer(compileSampling(config, route?.tracing ?? null), shape, pipeline.target(spec), env.random);
  return {
    onRequest: [step('trace', '', beginTrace, tracer)],
    onAttempt: [step('trace-attempt', '', beginAttempt, tracer)],
    onEnd: [step('trace', '', endTrace, tracer)],
  };
}

function compileSampling(config: HttpConnectionManager_Tracing, route: RouteTracing | null): Sampling {
  if (route === null) {
    return {
      client: percent(config.clientSampling),
      random: percent(config.randomSampling),
      overall: percent(config.overallSampling),
    };
  }
  return {
    client: fraction(route.clientSampling),
    random: fraction(route.randomSampling),
    overall: fraction(route.overallSampling),
  };
}

/** Envoy's default is 100 %. */
function percent(value: { readonly value: number } | undefined): number {
  return value === undefined ? 1 : value.value / 100;
}

function fraction(value: FractionalPercent | undefined): number {
  if (value === undefined) return 1;
  switch (value.denominator) {
    case FractionalPercent_DenominatorType.TEN_THOUSAND:
      return value.numerator / 10_000;
    case FractionalPercent_DenominatorType.MILLION:
      return value.numerator / 1_000_000;
    default:
      return value.numerator / 100;
  }
}

function beginTrace(x: Exchange, tracer: Tracer): Verdict {
  const incoming = readTrace(x.request);
  const isSampled = decide(x, tracer, incoming.decision);
  const serverSpanId = newSpanId();
  const trace = new HopTrace(x, incoming, {
    traceId: incoming.traceId === '' ? newTraceId() : incoming.traceId,
    serverSpanId,
    clientSpanId: tracer.shape.isSingle ? serverSpanId : newSpanId(),
    isSampled,
  });
  x.trace = trace;
  tellNextHop(x, trace, tracer);
  return CONTINUE;
}

function decide(x: Exchange, tracer: Tracer, decision: string): boolean {
  if (decision === 'sampled' || decision === 'debug') return true;
  if (decision === 'not-sampled') return false;
  const { sampling, random } = tracer;
  const isAsked = sampling.client > 0 && x.request.has(CLIENT_TRACE_ID) && random() < sampling.client;
  return (isAsked || random() < sampling.random) && random() < sampling.overall;
}

function tellNextHop(x: Exchange, trace: HopTrace, tracer: Tracer): void {
  const { incoming } = trace;
  writeTrace(x.request, {
    traceId: trace.traceId,
    spanId: trace.clientSpanId,
    parentSpanId: tracer.shape.isSingle ? trace.parentSpanId : trace.serverSpanId,
    isSampled: trace.isSampled,
    isDebug: incoming.decision === 'debug',
    state: trace.state,
    writesB3Single: incoming.hasB3Single,
    writesB3Multi: incoming.hasB3Multi,
    isShort: incoming.isShort,
  });
}

/** A try after the first closes the one before it and takes a fresh client span. */
function beginAttempt(x: Exchange, tracer: Tracer): Verdict {
  const { trace } = x;
  if (!(trace instanceof HopTrace) || !trace.isSampled) return CONTINUE;
  const nowMs = x.upstreamStartMs;
  if (trace.attemptStartMs !== 0 && !tracer.shape.isSingle) {
    trace.earlier ??= [];
    trace.earlier.push({
      spanId: trace.clientSpanId,
      startMs: trace.attemptStartMs,
      endMs: nowMs,
      errorType: x.failure === null ? '' : x.failure.kind,
      status: x.failure === null ? x.response.status : 0,
      address: trace.attemptAddress,
      port: trace.attemptPort,
    });
    trace.clientSpanId = newSpanId();
    tellNextHop(x, trace, tracer);
  }
  trace.attemptStartMs = nowMs;
  trace.attemptAddress = x.endpoint === null ? '' : x.endpoint.address;
  trace.attemptPort = x.endpoint === null ? 0 : x.endpoint.port;
  return CONTINUE;
}

function endTrace(x: Exchange, tracer: Tracer): Verdict {
  const { trace } = x;
  if (trace instanceof HopTrace && trace.isSampled && tracer.target.admits(tracer.shape.isSingle ? 1 : 2)) {
    tracer.target.record(tracer.shape.spansOf(x, trace));
  }
  return CONTINUE;
}
