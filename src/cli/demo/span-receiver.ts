// A small stand-in for an OpenTelemetry Collector, used when none listens: takes OTLP over gRPC and keeps
// the newest spans in memory, by trace. It forgets the oldest traces, answers every export with success
// and never looks at anything but spans.
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { decodeSpans, type Span } from './span.ts';

const TRACES_KEPT = 400;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const same = (bytes: Buffer): Buffer => bytes;

const TRACE_SERVICE = {
  Export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const;

export class SpanReceiver {
  readonly #server = new Server({ 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });
  readonly #traces = new Map<string, Span[]>();
  #received = 0;

  constructor() {
    this.#server.addService(TRACE_SERVICE, {
      Export: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        this.#take(decodeSpans(call.request));
        done(null, Buffer.alloc(0));
      },
    });
  }

  /** Spans received so far. */
  get received(): number {
    return this.#received;
  }

  /** Listens on 127.0.0.1; 0 takes any free port. Resolves to the port, rejects when it is taken. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
  }

  /** The spans of one trace as far as they have come; empty when it is unknown. */
  trace(traceId: string): readonly Span[] {
    return this.#traces.get(traceId) ?? [];
  }

  /** The newest trace that `accepts` likes, or null. */
  newest(accepts: (spans: readonly Span[]) => boolean): readonly Span[] | null {
    return [...this.#traces.values()].findLast(accepts) ?? null;
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #take(spans: readonly Span[]): void {
    this.#received += spans.length;
    for (const span of spans) {
      const known = this.#traces.get(span.traceId);
      if (known === undefined) this.#traces.set(span.traceId, [span]);
      else known.push(span);
    }
    for (const traceId of this.#traces.keys()) {
      if (this.#traces.size <= TRACES_KEPT) break;
      this.#traces.delete(traceId);
    }
  }
}
