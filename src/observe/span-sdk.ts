// OpenTelemetry's part in our spans: one NodeSDK runs per process, without auto-instrumentation,
// detectors, metrics or logs, and gives the resource that every span belongs to, as its environment
// variables (OTEL_RESOURCE_ATTRIBUTES) and conventions have it. Spans themselves are made after the fact
// and written by span-encoder.ts: the SDK's own Tracer takes many times as long for each.
import { trace } from '@opentelemetry/api';
import type { NodeSDKConfiguration } from '@opentelemetry/sdk-node';
import type { SpanAttributes } from './span-shape.ts';

export interface Sdk {
  /** Attributes of the resource of a service; those that are no text and no number are left out. */
  resourceOf(serviceName: string): SpanAttributes;
  stop(): Promise<void>;
}

type Processor = NonNullable<NodeSDKConfiguration['spanProcessors']>[number];
type ReadableSpan = Parameters<Processor['onEnd']>[0];

/** Keeps the one span that the SDK's own Tracer makes: it shows the resource. */
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
let shared: Promise<NodeSdkResources> | null = null;
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

async function load(serviceName: string): Promise<NodeSdkResources> {
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
  trace.getTracer('outrigger').startSpan('model').end();
  const model = catcher.caught;
  if (model === null) throw new Error('OpenTelemetry is switched off by an OTEL_ variable of the environment');
  return new NodeSdkResources(model.resource.attributes, () => sdk.shutdown());
}

class NodeSdkResources implements Sdk {
  readonly #attributes: SpanAttributes = {};
  readonly #shutdown: () => Promise<void>;

  constructor(attributes: Readonly<Record<string, unknown>>, shutdown: () => Promise<void>) {
    this.#shutdown = shutdown;
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === 'string' || typeof value === 'number') this.#attributes[name] = value;
    }
  }

  resourceOf(serviceName: string): SpanAttributes {
    return { ...this.#attributes, 'service.name': serviceName };
  }

  stop(): Promise<void> {
    return stopSdk(this.#shutdown);
  }
}
