// Makes OpenTelemetry spans of finished records. One NodeSDK runs per process, without
// auto-instrumentation, detectors, metrics or logs; spans are made after the fact with the ids and
// times that the record says, and come back through a processor that only catches them.
import {
  ROOT_CONTEXT,
  SamplingDecision,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  createTraceState,
  trace,
} from '@opentelemetry/api';
import type { HrTime, SpanContext, Tracer } from '@opentelemetry/api';
import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node';
import type { ReadableSpan } from './span-exporter.ts';
import type { SpanRecord } from './span-shape.ts';

export interface Sdk {
  make(record: SpanRecord): ReadableSpan | null;
  /** `span`, with a resource of its own when `serviceName` is not the SDK's. */
  withServiceName(span: ReadableSpan, serviceName: string): ReadableSpan;
  stop(): Promise<void>;
}

type Resource = ReadableSpan['resource'];
type Processor = NonNullable<NodeSDKConfiguration['spanProcessors']>[number];

const KIND = { server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;
const SCOPE = 'outrigger';

/** Gives out the ids of the record that is being made. */
class GivenIds {
  traceId = '';
  spanId = '';
  generateTraceId = (): string => this.traceId;
  generateSpanId = (): string => this.spanId;
}

/** Keeps the span that ended last: ending is synchronous. */
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
export async function startSdk(serviceName: string): Promise<Sdk> {
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
  const ids = new GivenIds();
  const catcher = new Catcher();
  const sdk = new NodeSDK({
    serviceName,
    autoDetectResources: false,
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    textMapPropagator: null,
    idGenerator: ids,
    // Only sampled hops leave records: the decision was made when the request came.
    // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- The API's enum and the SDK's are one in value.
    sampler: { shouldSample: () => ({ decision: SamplingDecision.RECORD_AND_SAMPLED }), toString: () => 'decided' },
    spanProcessors: [catcher],
  });
  sdk.start();
  return new NodeSdkSpans({
    serviceName,
    ids,
    catcher,
    tracer: trace.getTracer(SCOPE),
    shutdown: () => sdk.shutdown(),
  });
}

interface Parts {
  readonly serviceName: string;
  readonly ids: GivenIds;
  readonly catcher: Catcher;
  readonly tracer: Tracer;
  readonly shutdown: () => Promise<void>;
}

class NodeSdkSpans implements Sdk {
  readonly #parts: Parts;
  readonly #resources = new Map<string, Resource>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Null when the SDK is switched off (OTEL_SDK_DISABLED). */
  make(record: SpanRecord): ReadableSpan | null {
    const { ids, catcher, tracer } = this.#parts;
    ids.traceId = record.traceId;
    ids.spanId = record.spanId;
    catcher.caught = null;
    const { name, attributes } = record;
    const startTime = hrTime(record.startMs);
    const span = tracer.startSpan(name, { kind: KIND[record.kind], startTime, attributes }, contextOf(record));
    if (record.isError) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(hrTime(Math.max(record.endMs, record.startMs)));
    return catcher.caught;
  }

  withServiceName(span: ReadableSpan, serviceName: string): ReadableSpan {
    if (serviceName === this.#parts.serviceName) return span;
    let resource = this.#resources.get(serviceName);
    if (resource === undefined) {
      const { attributes } = span.resource;
      resource = makeResource({ ...attributes, 'service.name': serviceName });
      this.#resources.set(serviceName, resource);
    }
    const copy: ReadableSpan = Object.create(span, { resource: { value: resource, enumerable: true } });
    return copy;
  }

  stop(): Promise<void> {
    return stopSdk(this.#parts.shutdown);
  }
}

function contextOf(record: SpanRecord): typeof ROOT_CONTEXT {
  if (record.parentSpanId === '') return ROOT_CONTEXT;
  const parent: SpanContext = {
    traceId: record.traceId,
    spanId: record.parentSpanId,
    traceFlags: TraceFlags.SAMPLED,
    isRemote: record.isParentRemote,
    ...(record.state === '' ? {} : { traceState: createTraceState(record.state) }),
  };
  return trace.setSpanContext(ROOT_CONTEXT, parent);
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
