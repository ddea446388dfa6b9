// The xDS server of the control service: ADS over gRPC, state-of-the-world and delta. It opens a view per
// stream, pushes what differs in make-before-break order, and keeps every ACK and NACK for status and
// metrics. It computes no configuration, and resources reach it encoded.
import { Server, ServerCredentials } from '@grpc/grpc-js';
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
import type { DiscoveryEndpoint, SyncStatus, ViewSource } from './flow.ts';

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
}

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
  readonly #counters = new Map<string, number>([
    ['pilot_xds_pushes', 0],
    ['pilot_total_xds_rejects', 0],
    ['pilot_xds_expired_nonce', 0],
  ]);
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
    this.#server.addService(
      {
        StreamAggregatedResources: method('StreamAggregatedResources', (bytes) =>
          fromBinary(DiscoveryRequestSchema, bytes),
        ),
        DeltaAggregatedResources: method('DeltaAggregatedResources', (bytes) =>
          fromBinary(DeltaDiscoveryRequestSchema, bytes),
        ),
      },
      {
        StreamAggregatedResources: (call: AdsCall) => this.#accept(call, 'sotw'),
        DeltaAggregatedResources: (call: AdsCall) => this.#accept(call, 'delta'),
      },
    );
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

  #accept(call: AdsCall, variant: Variant): void {
    const { source, log, clock, identifier = 'outrigger', answerMsMax = 25_000, holdMsMax = 1000 } = this.#options;
    const stream = new AdsStream(call, variant, `c${++this.#connections}`, {
      source,
      log,
      clock,
      identifier,
      answerMsMax,
      holdMsMax,
      onSent: () => this.#count('pilot_xds_pushes'),
      onStale: () => this.#count('pilot_xds_expired_nonce'),
      onAnswer: (answer) => this.#answered(answer),
      onSynced: (synced) => this.#options.onSynced?.(synced),
      onClosed: () => this.#streams.delete(stream),
    });
    this.#streams.add(stream);
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
