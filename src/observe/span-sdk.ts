// Makes OpenTelemetry spans of finished records. One NodeSDK runs per process, without
// auto-instrumentation, detectors, metrics or logs. A span of ours is made after the fact, with ids and
// times that the record says, so it is built as the plain object that exporters read: the SDK's own
// Tracer takes 20 microseconds for it, this takes one. Resource and scope are the SDK's.
import { SpanKind, SpanStatusCode, TraceFlags, createTraceState, trace } from '@opentelemetry/api';
import type { HrTime, SpanContext } from '@opentelemetry/api';
import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node';
import type { ReadableSpan } from './span-exporter.ts';
import type { SpanRecord } from './span-shape.ts';

export interface Sdk {
  /** The span of `record`, with `serviceName` in its resource. */
  make(record: SpanRecord, serviceName: string): ReadableSpan;
  stop(): Promise<void>;
}

type Resource = ReadableSpan['resource'];
type Processor = NonNullable<NodeSDKConfiguration['spanProcessors']>[number];

const KIND = { server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;
const UNSET = Object.freeze({ code: SpanStatusCode.UNSET });
const FAILED = Object.freeze({ code: SpanStatusCode.ERROR });
const SCOPE = 'outrigger';

/** Keeps the one span that the SDK's own Tracer makes: it shows the resource and the scope. */
class Catcher implements Processor {
  caught: ReadableSpan | null = null;
  onStart(): void {}
  onEnd(span: ReadableSpan): void {
    this.caught = span;
  }
  forceFlush(): Promise<void> {
    return Promise.resolve();
  }
  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** The SDK registers itself process-wide, so all pipelines of a process share one; the last to stop ends it. */
let shared: Promise<NodeSdkSpans> | null = null;
let users = 0;

/** Loads the SDK, or joins the one that runs. `serviceName` becomes the `service.name` of a new one's resource. */
export function startSdk(serviceName: string): Promise<Sdk> {
  users++;
  shared ??= load(serviceName);
  return shared;
}

async function stopSdk(shutdown: () => Promise<void>): Promise<void> {
  users--;
  if (users > 0) return;
  shared = null;
  trace.disable();
  await shutdown();
}

async function load(serviceName: string): Promise<NodeSdkSpans> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const catcher = new Catcher();
  const sdk = new NodeSDK({
    serviceName,
    autoDetectResources: false,
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    textMapPropagator: null,
    spanProcessors: [catcher],
  });
  sdk.start();
  trace.getTracer(SCOPE).startSpan('model').end();
  const model = catcher.caught;
  if (model === null) throw new Error('OpenTelemetry is switched off by an OTEL_ variable of the environment');
  return new NodeSdkSpans(serviceName, model, () => sdk.shutdown());
}

class NodeSdkSpans implements Sdk {
  readonly #model: ReadableSpan;
  readonly #shutdown: () => Promise<void>;
  readonly #resources = new Map<string, Resource>();

  constructor(serviceName: string, model: ReadableSpan, shutdown: () => Promise<void>) {
    this.#model = model;
    this.#shutdown = shutdown;
    this.#resources.set(serviceName, model.resource);
  }

  make(record: SpanRecord, serviceName: string): ReadableSpan {
    const startTime = hrTime(record.startMs);
    const endTime = hrTime(Math.max(record.endMs, record.startMs));
    const context = contextOf(record, record.spanId, false);
    return {
      name: record.name,
      kind: KIND[record.kind],
      spanContext: () => context,
      ...(record.parentSpanId === ''
        ? {}
        : { parentSpanContext: contextOf(record, record.parentSpanId, record.isParentRemote) }),
      startTime,
      endTime,
      duration: hrTime(Math.max(0, record.endMs - record.startMs)),
      status: record.isError ? FAILED : UNSET,
      attributes: record.attributes,
      links: [],
      events: [],
      ended: true,
      resource: this.#resource(serviceName),
      instrumentationScope: this.#model.instrumentationScope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }

  stop(): Promise<void> {
    return stopSdk(this.#shutdown);
  }

  #resource(serviceName: string): Resource {
    const known = this.#resources.get(serviceName);
    if (known !== undefined) return known;
    const resource = makeResource({ ...this.#model.resource.attributes, 'service.name': serviceName });
    this.#resources.set(serviceName, resource);
    return resource;
  }
}

function contextOf(record: SpanRecord, spanId: string, isRemote: boolean): SpanContext {
  return {
    traceId: record.traceId,
    spanId,
    traceFlags: TraceFlags.SAMPLED,
    isRemote,
    ...(record.state === '' ? {} : { traceState: createTraceState(record.state) }),
  };
}

function makeResource(attributes: Resource['attributes']): Resource {
  const resource: Resource = {
    attributes,
    merge: (other) => (other === null ? resource : makeResource({ ...attributes, ...other.attributes })),
    getRawAttributes: () => Object.entries(attributes),
  };
  return resource;
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
