// The channel of divided rate limits: sidecars report by Envoy's load reporting protocol (LRS) what they were asked for and
// which part of a limit they have; the answer names their parts. Names of limits stand where LRS has names of clusters. A
// sidecar reports at once when its part changes, so that what it gave up is free. An Envoy that reports load is let be.
// Who has an identity has a part in the limits of its own namespace, and in those of routes that it is given.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import {
  LoadStatsRequestSchema,
  LoadStatsResponseSchema,
  type LoadStatsRequest,
} from '../xds/gen/envoy/service/load_stats/v3/lrs_pb.js';
import { RateDivision } from './rate-division.ts';
import type { RateLimitPolicy } from '../config/resource.ts';
import { GivenRoutes } from './given-routes.ts';
import type { MeshNode } from './mesh-node.ts';
import { routeOfLimit } from './route-limit-index.ts';
import type { Snapshot } from './snapshot.ts';
import { accountOf, type VerifiedPeer } from './verified-peer.ts';

export type LoadCall = ServerDuplexStream<LoadStatsRequest, Uint8Array>;

export interface RateReportsOptions {
  readonly snapshot: () => Snapshot;
  /** Who has a stream of configuration; the id is the node's. */
  readonly nodesOf: (id: string) => readonly MeshNode[];
  readonly clock: Clock;
  readonly graceMs: number;
  /** Whether who has no identity has a part in anything. */
  readonly trustsAnybody: () => boolean;
}

const TURN_MS = 500;
const GROUPS_MAX = 256;
/** Longer than any name of a limit: two namespaced names, a limit's, a kind's and a rule's. */
const NAME_CHARACTERS_MAX = 1024;
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
  readonly id: string;
  readonly peer: VerifiedPeer | null;
  /** Made from that snapshot. */
  given: { readonly snapshot: Snapshot; readonly routes: readonly GivenRoutes[] } | null;
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
        const id = request.node?.id ?? '';
        if (id === '') {
          call.end();
          return;
        }
        // Nobody takes the place of another by calling itself like them.
        member = peer === null ? id : `${accountOf(peer.id)} ${id}`;
        this.#join(member, { call, id, peer, given: null, parts: new Map(), isTold: true });
      }
      const reporter = this.#reporters.get(member);
      if (reporter?.call === call) this.#read(member, request, reporter);
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

  #join(member: string, reporter: Reporter): void {
    this.#reporters.get(member)?.call.end();
    this.#reporters.set(member, reporter);
    this.#timer ??= setInterval(() => this.#division.turn(this.#options.clock.now()), TURN_MS).unref();
    send(reporter.call, []);
  }

  #leave(member: string, call: LoadCall): void {
    if (this.#reporters.get(member)?.call !== call) return;
    this.#reporters.delete(member);
    this.#division.leave(member, this.#options.clock.now());
  }

  #read(member: string, { clusterStats }: LoadStatsRequest, reporter: Reporter): void {
    for (const { clusterName, upstreamLocalityStats, loadReportInterval } of clusterStats.slice(0, GROUPS_MAX)) {
      if (clusterName.length > NAME_CHARACTERS_MAX) continue;
      if (!this.#mayHave(reporter, clusterName)) continue;
      const stats = upstreamLocalityStats[0];
      const held = stats?.loadMetricStats.find(({ metricName }) => metricName === HELD)?.totalMetricValue ?? 0;
      const seconds = Number(loadReportInterval?.seconds ?? 0n) + (loadReportInterval?.nanos ?? 0) / 1e9;
      const asked = Number(stats?.totalIssuedRequests ?? 0n);
      if (!(held >= 0 && held <= 1) || !(seconds >= 0)) continue;
      this.#division.report(clusterName, member, { asked, seconds, held });
    }
  }

  #mayHave(reporter: Reporter, group: string): boolean {
    const { peer } = reporter;
    if (peer === null) return true;
    const target = routeOfLimit(group);
    if (target === null) return group.startsWith(`${peer.id.namespace}/`);
    return this.#givenTo(reporter, peer).some((routes) => routes.has(target));
  }

  #givenTo(reporter: Reporter, { id: { namespace, serviceAccount } }: VerifiedPeer): readonly GivenRoutes[] {
    const snapshot = this.#options.snapshot();
    if (reporter.given?.snapshot === snapshot) return reporter.given.routes;
    const nodes = this.#options
      .nodesOf(reporter.id)
      .filter(({ identity }) => identity?.namespace === namespace && identity.serviceAccount === serviceAccount);
    const routes = nodes.map((node) => new GivenRoutes(snapshot, node));
    // A node that is not known yet may be so at its next report.
    reporter.given = routes.length === 0 ? null : { snapshot, routes };
    return routes;
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
        // Rounded down, so that many parts are no more than the limit either.
        [...reporter.parts].map(([name, part]) => `${name}=${(Math.floor(part * 1e6) / 1e6).toFixed(6)}`),
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

/** The limit behind `NAMESPACE/POLICY/LIMIT`, `…/SERVICE` or `…/KIND/ROUTE[/RULE]`, in requests per second. */
function rateOf({ rateLimits }: Snapshot, group: string): number | null {
  const [namespace, policyName, limitName] = group.split('/');
  const policy = rateLimits.find(({ meta }) => meta.namespace === namespace && meta.name === policyName);
  const limit = policy?.spec.limits.find(({ name, scope }) => name === limitName && scope === 'service');
  return policy === undefined || limit === undefined || !isTarget(policy, group)
    ? null
    : (limit.requests * 1000) / limit.perMs;
}

/** Whether the policy still names the route. */
function isTarget({ spec }: RateLimitPolicy, group: string): boolean {
  const route = routeOfLimit(group);
  return (
    route === null ||
    spec.targets.some(
      ({ kind, name, sectionName }) => kind === route.kind && name === route.name && sectionName === route.sectionName,
    )
  );
}
