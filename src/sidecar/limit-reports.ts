// Tells the control service what this process was asked for of the limits that it shares with others, and takes its part of
// each (control/rate-reports.ts): by Envoy's load reporting protocol, on the connection of the discovery client. Nothing is
// open while no limit is shared. While the control service is away the last parts stay.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Clock } from '../base/clock.ts';
import type { LimitShare } from '../base/limit-share.ts';
import type { Limits } from '../base/shared-limits.ts';
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { LoadStatsRequestSchema, LoadStatsResponseSchema } from '../xds/gen/envoy/service/load_stats/v3/lrs_pb.js';
import type { GrpcConnection, GrpcMetadata, GrpcStream } from './grpc-client.ts';

const PATH = '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats';
const REPORT_MS = 500;
const HELD = 'outrigger.share';
/** gRPC: whoever answers there does not know the service. */
const UNIMPLEMENTED = 12;

export interface LimitReportsOptions {
  readonly limits: Limits;
  readonly node: Node;
  readonly clock: Clock;
}

export class LimitReports {
  readonly #options: LimitReportsOptions;
  /** What was asked of each limit when it was reported last. */
  readonly #told = new Map<string, number>();
  #connection: GrpcConnection | null = null;
  #metadata: GrpcMetadata = {};
  #stream: GrpcStream | null = null;
  #timer: NodeJS.Timeout | null = null;
  #reportedMs = 0;
  #isUnknown = false;

  constructor(options: LimitReportsOptions) {
    this.#options = options;
  }

  /** The discovery client has a new connection. */
  connected(connection: GrpcConnection, metadata: GrpcMetadata): void {
    this.#connection = connection;
    this.#metadata = metadata;
    this.#stream = null;
    this.#isUnknown = false;
    this.begin();
  }

  /** There may be limits now that there were not before. */
  begin(): void {
    if (this.#options.limits.shares.size === 0) return;
    this.#timer ??= setInterval(() => this.#report(), REPORT_MS).unref();
    if (this.#stream === null || this.#hasUntold()) this.#report();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#stream?.cancel();
    this.#stream = null;
    this.#connection = null;
  }

  #hasUntold(): boolean {
    return [...this.#options.limits.shares.keys()].some((name) => !this.#told.has(name));
  }

  #report(): void {
    const stream = this.#opened();
    if (stream === null) return;
    const nowMs = this.#options.clock.now();
    const passedMs = Math.max(1, nowMs - this.#reportedMs);
    const loadReportInterval = {
      seconds: BigInt(Math.floor(passedMs / 1000)),
      nanos: Math.floor((passedMs % 1000) * 1e6),
    };
    const clusterStats = [...this.#options.limits.shares].map(([clusterName, share]) => ({
      clusterName,
      loadReportInterval,
      upstreamLocalityStats: [
        {
          totalIssuedRequests: BigInt(this.#asked(clusterName, share)),
          loadMetricStats: [{ metricName: HELD, numRequestsFinishedWithMetric: 1n, totalMetricValue: heldOf(share) }],
        },
      ],
    }));
    this.#reportedMs = nowMs;
    stream.write(toBinary(LoadStatsRequestSchema, create(LoadStatsRequestSchema, { clusterStats })));
  }

  #asked(name: string, share: LimitShare): number {
    const { demand } = share;
    const before = this.#told.get(name) ?? demand;
    this.#told.set(name, demand);
    return (demand - before) >>> 0;
  }

  #opened(): GrpcStream | null {
    if (this.#stream !== null) return this.#stream;
    const connection = this.#connection;
    if (connection === null || connection.isClosed || this.#isUnknown) return null;
    const stream = connection.stream(PATH, this.#metadata, {
      onMessage: (bytes) => this.#take(bytes),
      onEnd: ({ code }) => {
        if (this.#stream === stream) this.#stream = null;
        this.#isUnknown = code === UNIMPLEMENTED;
      },
    });
    this.#stream = stream;
    const { node, clock } = this.#options;
    this.#reportedMs = clock.now() - REPORT_MS;
    stream.write(toBinary(LoadStatsRequestSchema, create(LoadStatsRequestSchema, { node })));
    return stream;
  }

  /** Parts stand as `NAME=FRACTION`. What was heard is said at once. */
  #take(bytes: Uint8Array): void {
    let isChanged = false;
    for (const entry of partsIn(bytes)) {
      const at = entry.lastIndexOf('=');
      const share = this.#options.limits.shares.get(entry.slice(0, at));
      const fraction = Number(entry.slice(at + 1));
      if (at < 0 || share === undefined || !(fraction >= 0 && fraction <= 1)) continue;
      share.set(fraction);
      isChanged = true;
    }
    if (isChanged) this.#report();
  }
}

function partsIn(bytes: Uint8Array): readonly string[] {
  try {
    return fromBinary(LoadStatsResponseSchema, bytes).clusters;
  } catch {
    // Bytes that are no message say nothing; the parts stay as they are.
    return [];
  }
}

/** Nothing before somebody has said so. */
function heldOf(share: LimitShare): number {
  return share.version === 0 ? 0 : share.fraction;
}
