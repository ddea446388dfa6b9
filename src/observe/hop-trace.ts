// The trace of one hop: the context as Exchange.trace shows it, and what a sampled hop must remember
// until its spans are made. Made once per request, only where tracing is configured.
import type { Exchange, TraceContext } from '../plan/exchange.ts';
import type { IncomingTrace } from './trace-context.ts';

/** An earlier try of the same request, closed when the next one began. */
export interface EarlierAttempt {
  readonly spanId: string;
  readonly startMs: number;
  readonly endMs: number;
  /** What it failed of; empty when it got a response. */
  readonly errorType: string;
  readonly status: number;
  readonly address: string;
  readonly port: number;
}

export class HopTrace implements TraceContext {
  readonly incoming: IncomingTrace;
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly serverSpanId: string;
  clientSpanId: string;
  readonly isSampled: boolean;
  readonly state: string;
  /** Path and host before any rewrite; empty unless sampled. */
  readonly path: string;
  readonly authority: string;
  /** The tries before the last; null while there is only one. */
  earlier: EarlierAttempt[] | null = null;
  /** `upstreamStartMs` and the endpoint of the try that is under way. */
  attemptStartMs = 0;
  attemptAddress = '';
  attemptPort = 0;

  constructor(x: Exchange, incoming: IncomingTrace, ids: HopIds) {
    this.incoming = incoming;
    this.traceId = ids.traceId;
    this.parentSpanId = incoming.spanId;
    this.serverSpanId = ids.serverSpanId;
    this.clientSpanId = ids.clientSpanId;
    this.isSampled = ids.isSampled;
    this.state = incoming.state;
    this.path = ids.isSampled ? x.request.path : '';
    this.authority = ids.isSampled ? x.request.authority : '';
  }
}

export interface HopIds {
  readonly traceId: string;
  readonly serverSpanId: string;
  readonly clientSpanId: string;
  readonly isSampled: boolean;
}
