// The channel of divided rate limits: sidecars report by Envoy's load reporting protocol (LRS) what they were asked for and
// which part of a limit they have; the answer names their parts. Names of limits stand where LRS has names of clusters. A
// sidecar reports at once when its part changes, so that what it gave up is free. An Envoy that reports load is let be.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import {
  LoadStatsRequestSchema,
  LoadStatsResponseSchema,
  type LoadStatsRequest,
} from '../xds/gen/envoy/service/load_stats/v3/lrs_pb.js';
import { RateDivision } from './rate-division.ts';
import type { Snapshot } from './snapshot.ts';
import type { VerifiedPeer } from './verified-peer.ts';

export type LoadCall = ServerDuplexStream<LoadStatsRequest, Uint8Array>;

export interface RateReportsOptions {
  readonly snapshot: () => Snapshot;
  readonly clock: Clock;
  readonly graceMs: number;
  /** Whether who has no identity has a part in anything. */
  readonly trustsAnybody: () => boolean;
}

const TURN_MS = 500;
const GROUPS_MAX = 256;
const NAME_CHARACTERS_MAX = 512;
/** Names the metric by which a sidecar says which part it has. */
const HELD = 'outrigger.share';

export const LOAD_SERVICE = {
  StreamLoadStats: {
    path: '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats',
    requestStream: true,
    responseStream: true,
    requestSerialize: (request: LoadStatsRequest) => Buffer.from(toBinary(LoadStatsRequestSchema, request)),
    requestDeserialize: (bytes: Buffer) => fromBinary(LoadStatsRequestSchema, bytes),
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    responseDeserialize: (bytes: Buffer): Uint8Array => bytes,
  },
} as const;

interface Reporter {
  readonly call: LoadCall;
  /** By group. */
  readonly parts: Map<string, number>;
  isTold: boolean;
}

export class RateReports {
  readonly #options: RateReportsOptions;
  readonly #division: RateDivision;
  readonly #reporters = new Map<string, Reporter>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: RateReportsOptions) {
    this.#options = options;
    this.#division = new RateDivision({
      rateOf: (group) => rateOf(options.snapshot(), group),
      tell: ({ member, group, fraction }) => this.#tell(member, group, fraction),
      graceMs: options.graceMs,
    });
  }

  accept(call: LoadCall, peer: VerifiedPeer | null): void {
    if (peer === null && !this.#options.trustsAnybody()) {
      call.end();
      return;
    }
    let member = '';
    call.on('data', (request: LoadStatsRequest) => {
      if (member === '') {
        member = request.node?.id ?? '';
        if (member === '') {
          call.end();
          return;
        }
        this.#join(member, call);
      }
      if (this.#reporters.get(member)?.call === call) this.#read(member, request, peer);
    });
    call.on('end', () => call.end());
    // Whatever went wrong with the stream ends it.
    call.on('error', () => undefined);
    const leave = (): void => this.#leave(member, call);
    call.on('close', leave);
    call.on('cancelled', leave);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const { call } of this.#reporters.values()) call.end();
    this.#reporters.clear();
  }

  #join(member: string, call: LoadCall): void {
    this.#reporters.get(member)?.call.end();
    this.#reporters.set(member, { call, parts: new Map(), isTold: true });
    this.#timer ??= setInterval(() => this.#division.turn(this.#options.clock.now()), TURN_MS).unref();
    send(call, []);
  }

  #leave(member: string, call: LoadCall): void {
    if (this.#reporters.get(member)?.call !== call) return;
    this.#reporters.delete(member);
    this.#division.leave(member, this.#options.clock.now());
  }

  #read(member: string, { clusterStats }: LoadStatsRequest, peer: VerifiedPeer | null): void {
    for (const { clusterName, upstreamLocalityStats, loadReportInterval } of clusterStats.slice(0, GROUPS_MAX)) {
      if (clusterName.length > NAME_CHARACTERS_MAX) continue;
      // Nobody has a part in the limits of another namespace.
      if (peer !== null && !clusterName.startsWith(`${peer.id.namespace}/`)) continue;
      const stats = upstreamLocalityStats[0];
      const held = stats?.loadMetricStats.find(({ metricName }) => metricName === HELD)?.totalMetricValue ?? 0;
      const seconds = Number(loadReportInterval?.seconds ?? 0n) + (loadReportInterval?.nanos ?? 0) / 1e9;
      const asked = Number(stats?.totalIssuedRequests ?? 0n);
      if (!(held >= 0 && held <= 1) || !(seconds >= 0)) continue;
      this.#division.report(clusterName, member, { asked, seconds, held });
    }
  }

  /** Several parts that change in one turn are told in one message. */
  #tell(member: string, group: string, fraction: number): void {
    const reporter = this.#reporters.get(member);
    if (reporter === undefined) return;
    reporter.parts.set(group, fraction);
    if (!reporter.isTold) return;
    reporter.isTold = false;
    queueMicrotask(() => {
      reporter.isTold = true;
      send(
        reporter.call,
        [...reporter.parts].map(([name, part]) => `${name}=${part.toFixed(6)}`),
      );
      reporter.parts.clear();
    });
  }
}

function send(call: LoadCall, clusters: string[]): void {
  if (call.destroyed || call.writableEnded) return;
  const loadReportingInterval = { seconds: 0n, nanos: TURN_MS * 1e6 };
  call.write(toBinary(LoadStatsResponseSchema, create(LoadStatsResponseSchema, { clusters, loadReportingInterval })));
}

/** The limit behind `NAMESPACE/POLICY/LIMIT[/SERVICE]`, in requests per second. */
function rateOf({ rateLimits }: Snapshot, group: string): number | null {
  const [namespace, policyName, limitName] = group.split('/');
  const policy = rateLimits.find(({ meta }) => meta.namespace === namespace && meta.name === policyName);
  const limit = policy?.spec.limits.find(({ name, scope }) => name === limitName && scope === 'service');
  return limit === undefined ? null : (limit.requests * 1000) / limit.perMs;
}
