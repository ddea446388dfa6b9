// Makes OpenTelemetry spans of finished records. One NodeSDK runs per process, without
// auto-instrumentation, detectors, metrics or logs. A span of ours is made after the fact, with ids and
// times that the record says, so it is built as the plain object that exporters read, at a fraction
// of what the SDK's own Tracer takes. Resource and scope are the SDK's.
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

class FinishedSpan implements ReadableSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly duration: HrTime;
  readonly status: ReadableSpan['status'];
  readonly attributes: ReadableSpan['attributes'];
  readonly links: ReadableSpan['links'] = [];
  readonly events: ReadableSpan['events'] = [];
  readonly ended = true;
  readonly resource: Resource;
  readonly instrumentationScope: ReadableSpan['instrumentationScope'];
  readonly droppedAttributesCount = 0;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount = 0;
  readonly #context: SpanContext;

  constructor(record: SpanRecord, resource: Resource, scope: ReadableSpan['instrumentationScope']) {
    const endMs = Math.max(record.endMs, record.startMs);
    this.name = record.name;
    this.kind = KIND[record.kind];
    if (record.parentSpanId !== '') {
      this.parentSpanContext = contextOf(record, record.parentSpanId, record.isParentRemote);
    }
    this.startTime = hrTime(record.startMs);
    this.endTime = hrTime(endMs);
    this.duration = hrTime(endMs - record.startMs);
    this.status = record.isError ? FAILED : UNSET;
    this.attributes = record.attributes;
    this.resource = resource;
    this.instrumentationScope = scope;
    this.#context = contextOf(record, record.spanId, false);
  }

  spanContext(): SpanContext {
    return this.#context;
  }
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
    return new FinishedSpan(record, this.#resource(serviceName), this.#model.instrumentationScope);
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
  const { traceId, state } = record;
  if (state === '') return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote };
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote, traceState: createTraceState(state) };
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
