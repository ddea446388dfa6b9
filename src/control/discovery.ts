// The xDS server of the control service: ADS over gRPC, state-of-the-world and delta. It opens a view per
// stream, pushes what differs in make-before-break order, and keeps every ACK and NACK for status and
// metrics. It computes no configuration, and resources reach it encoded. Its own port is plaintext, where nobody has an
// identity; `serve` puts the same service on a server that finds out first who calls.
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { fromBinary } from '@bufbuild/protobuf';

import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, SECRET_TYPE } from '../xds/type-url.ts';
import type { TypeUrl } from '../xds/type-url.ts';
import type { Variant } from '../xds/update.ts';
import { AdsStream, type AdsCall, type AdsRequest, type Answer, type Synced } from './ads-stream.ts';
import { answerOf, statusOf, type Refusal } from './authentication/refusal.ts';
import type { DiscoveryEndpoint, SyncStatus, ViewSource } from './flow.ts';
import { PushBudget } from './push-budget.ts';
import { LOAD_SERVICE, type LoadCall, type RateReports } from './rate-reports.ts';
import type { VerifiedPeer } from './verified-peer.ts';

export interface DiscoveryServerOptions {
  readonly source: ViewSource;
  readonly log: Log;
  readonly clock: Clock;
  /** `host:port`; `127.0.0.1:15010` by default. Port 0 picks one. */
  readonly address?: string;
  /** Plaintext by default. */
  readonly credentials?: ServerCredentials;
  /** `ControlPlane.identifier` of every response; `outrigger` by default. */
  readonly identifier?: string;
  /** A stream whose client leaves a response unanswered for longer is ended; 25 s by default. */
  readonly answerMsMax?: number;
  /** Listeners and routes wait at most this long for the ACK of new clusters; 1 s by default. */
  readonly holdMsMax?: number;
  /** A connection is asked to come again after this time, give or take a tenth; 0, the default, never. */
  readonly connectionAgeMsMax?: number;
  /** Silence after which a client is pinged, and how long it has to answer; 10 s and 10 s by default. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  readonly onAnswer?: (answer: Answer) => void;
  readonly onSynced?: (synced: Synced) => void;
  /** Somebody was refused something; the address is where they called from. */
  /** Takes the reports of divided rate limits; absent: there are none. */
  readonly reports?: RateReports;
  readonly onRefused?: (refused: Refusal, fields: { readonly address: string; readonly node: string }) => void;
}

/** Somebody who was let in. */
export interface Admitted {
  readonly kind: 'admitted';
  readonly peer: VerifiedPeer;
  /** Why they would not be let in now; null: they would. */
  readonly recheck: () => Refusal | null;
}

/** Finds out who calls. Never rejects. */
export type Admission<Call = AdsCall | LoadCall> = (call: Call) => Promise<Admitted | Refusal>;

const TIMER_MS_MAX = 2 ** 31 - 1;

/** What a request may carry: far above any list of names, far below harm. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024;

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

const SHORT_NAMES: ReadonlyMap<TypeUrl, string> = new Map([
  [CLUSTER_TYPE, 'cds'],
  [ENDPOINT_TYPE, 'eds'],
  [LISTENER_TYPE, 'lds'],
  [ROUTE_TYPE, 'rds'],
  [SECRET_TYPE, 'sds'],
]);

export class DiscoveryServer implements DiscoveryEndpoint {
  readonly #options: DiscoveryServerOptions;
  readonly #server: Server;
  readonly #streams = new Set<AdsStream>();
  /** Of those who were let in by something that ends. */
  readonly #admitted = new Map<AdsStream, { readonly admitted: Admitted; timer: NodeJS.Timeout | null }>();
  readonly #counters = new Map<string, number>([
    ['pilot_xds_pushes', 0],
    ['pilot_total_xds_rejects', 0],
    ['pilot_xds_expired_nonce', 0],
  ]);
  readonly #budget = new PushBudget();
  #connections = 0;

  constructor(options: DiscoveryServerOptions) {
    this.#options = options;
    const { connectionAgeMsMax = 0, keepaliveMs = 10_000, keepaliveTimeoutMs = 10_000 } = options;
    this.#server = new Server({
      'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
      'grpc.max_send_message_length': -1,
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
      ...(connectionAgeMsMax > 0 ? { 'grpc.max_connection_age_ms': connectionAgeMsMax } : {}),
    });
    this.serve(this.#server, null);
  }

  /** Adds the service to a server. Without an admission nobody who calls has an identity. */
  serve(server: Server, admission: Admission | null): void {
    const accept = (variant: Variant) => (call: AdsCall) => {
      if (admission === null) this.#accept(call, variant, null);
      else void this.#admit(call, variant, admission);
    };
    const { reports } = this.#options;
    if (reports !== undefined) {
      const report = (call: LoadCall): void => {
        if (admission === null) reports.accept(call, null);
        else void this.#admitReport(call, reports, admission);
      };
      server.addService(LOAD_SERVICE, { StreamLoadStats: report });
    }
    server.addService(
      {
        StreamAggregatedResources: method('StreamAggregatedResources', (bytes) =>
          fromBinary(DiscoveryRequestSchema, bytes),
        ),
        DeltaAggregatedResources: method('DeltaAggregatedResources', (bytes) =>
          fromBinary(DeltaDiscoveryRequestSchema, bytes),
        ),
      },
      { StreamAggregatedResources: accept('sotw'), DeltaAggregatedResources: accept('delta') },
    );
  }

  /** Ends the streams of those who would not be let in now: their certificate, or what signed it, is good no more. */
  recheck(): void {
    for (const stream of this.#admitted.keys()) this.#recheck(stream);
  }

  /** Rejects when the address cannot be bound. */
  start(): Promise<string> {
    const { address = '127.0.0.1:15010', credentials = ServerCredentials.createInsecure() } = this.#options;
    const host = address.slice(0, address.lastIndexOf(':'));
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (cause, port) => {
        if (cause !== null) reject(new Error(`discovery: cannot listen on ${address}`, { cause }));
        else resolve(`${host}:${port}`);
      });
    });
  }

  stop(): Promise<void> {
    for (const stream of this.#streams) stream.close(null);
    return new Promise((resolve) => {
      // Streams that were ended get a moment to say so; then the sockets go too.
      const force = setTimeout(() => this.#server.forceShutdown(), 500);
      this.#server.tryShutdown(() => {
        clearTimeout(force);
        resolve();
      });
    });
  }

  syncStatus(): readonly SyncStatus[] {
    return [...this.#streams].map((stream) => stream.status());
  }

  counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }

  /** Streams that are open now. */
  get connected(): number {
    return this.#streams.size;
  }

  async #admitReport(call: LoadCall, reports: RateReports, admission: Admission<LoadCall>): Promise<void> {
    const admitted = await admission(call);
    if (call.cancelled || call.destroyed) return;
    if (admitted.kind === 'admitted') reports.accept(call, admitted.peer);
    else call.emit('error', { code: statusOf(admitted.reason), details: answerOf(admitted.reason) });
  }

  async #admit(call: AdsCall, variant: Variant, admission: Admission): Promise<void> {
    const address = call.getPeer();
    const admitted = await admission(call);
    if (call.cancelled || call.destroyed) return;
    if (admitted.kind === 'admitted') {
      this.#accept(call, variant, admitted);
      return;
    }
    this.#options.onRefused?.(admitted, { address, node: '' });
    call.emit('error', { code: statusOf(admitted.reason), details: answerOf(admitted.reason) });
  }

  #accept(call: AdsCall, variant: Variant, admitted: Admitted | null): void {
    const { source, log, clock, identifier = 'outrigger', answerMsMax = 25_000, holdMsMax = 1000 } = this.#options;
    const address = call.getPeer();
    const stream = new AdsStream(call, variant, `c${++this.#connections}`, {
      source,
      log,
      clock,
      identifier,
      peer: admitted?.peer ?? null,
      answerMsMax,
      holdMsMax,
      budget: this.#budget,
      onSent: () => this.#count('pilot_xds_pushes'),
      onStale: () => this.#count('pilot_xds_expired_nonce'),
      onAnswer: (answer) => this.#answered(answer),
      onSynced: (synced) => this.#options.onSynced?.(synced),
      onRefused: (refused, node) => this.#options.onRefused?.(refused, { address, node }),
      onClosed: () => this.#forget(stream),
    });
    this.#streams.add(stream);
    if (admitted === null) return;
    this.#admitted.set(stream, { admitted, timer: null });
    this.#awaitEnd(stream);
  }

  #forget(stream: AdsStream): void {
    this.#streams.delete(stream);
    const timer = this.#admitted.get(stream)?.timer ?? null;
    if (timer !== null) clearTimeout(timer);
    this.#admitted.delete(stream);
  }

  /** Looks again when what let the client in ends. */
  #awaitEnd(stream: AdsStream): void {
    const entry = this.#admitted.get(stream);
    if (entry === undefined || entry.admitted.peer.untilMs === Infinity) return;
    const dueMs = entry.admitted.peer.untilMs - this.#options.clock.wall();
    entry.timer = setTimeout(() => this.#recheck(stream), Math.min(Math.max(1, dueMs), TIMER_MS_MAX)).unref();
  }

  #recheck(stream: AdsStream): void {
    const entry = this.#admitted.get(stream);
    if (entry === undefined) return;
    const refused = entry.admitted.recheck();
    if (entry.timer !== null) clearTimeout(entry.timer);
    if (refused === null) {
      this.#awaitEnd(stream);
      return;
    }
    this.#options.onRefused?.(refused, { address: stream.address, node: stream.status().nodeId });
    stream.close({
      code: status.UNAUTHENTICATED,
      details: 'the credentials of this stream are good no more: call again',
    });
  }

  #answered(answer: Answer): void {
    if (answer.kind === 'nacked') {
      this.#count('pilot_total_xds_rejects');
      const short = SHORT_NAMES.get(answer.typeUrl);
      if (short !== undefined) this.#count(`pilot_xds_${short}_reject`);
    }
    this.#options.onAnswer?.(answer);
  }

  #count(name: string): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + 1);
  }
}

function method(name: string, decode: (bytes: Uint8Array) => AdsRequest) {
  return {
    path: `${SERVICE}/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: unused,
    requestDeserialize: decode,
    // The bytes are final: this only tells grpc-js that they are a Buffer, without a copy.
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    responseDeserialize: (bytes: Buffer): Uint8Array => bytes,
  };
}

/** A server never sends requests; the service definition of grpc-js wants this all the same. */
function unused(): Buffer {
  return Buffer.alloc(0);
}
