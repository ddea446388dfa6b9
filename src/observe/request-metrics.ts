// @hot
// Istio's HTTP metrics, counted in one onEnd step. The label set of a request depends only on the
// endpoint, the status, the flags, the protocol and who asked, so its slots are resolved once and
// then found by looking down a short chain of maps: no string is made for a request.
//
//   endpoint ─► Destination ─► (principal ─► flags, when there are any) ─► status ─► Slots
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, type CompileEnv, type PlanPart, type Verdict } from '../plan/plan.ts';
import { flagLetters } from '../plan/response-flags.ts';
import { step } from '../plan/step.ts';
import { H } from '../http/header-name.ts';
import type { NodeIdentity } from './node-identity.ts';
import { ProxyStats } from './proxy-stats.ts';
import type { ClusterTally, HttpTally } from './proxy-tally.ts';
import { BYTE_BOUNDS, DURATION_BOUNDS_MS, type Family, type Registry } from './registry.ts';
import { HTTP_LABELS, labelsOf, principalsOf } from './standard-labels.ts';

export interface MetricsOptions {
  readonly registry: Registry;
  /** Envoy's own counters (`cluster.NAME.upstream_rq_2xx` and so on) are kept here; by default nowhere. */
  readonly stats?: ProxyStats;
  readonly node: NodeIdentity;
  /** `destination` on inbound listeners, `source` on all others. */
  readonly reporter: 'source' | 'destination';
  /** HttpConnectionManager.stat_prefix, for `http.PREFIX.downstream_rq_*`. */
  readonly statPrefix: string;
}

/** Label sets remembered for one endpoint; past it they are looked up in the registry each time. */
const REMEMBERED_MAX = 1024;

/** Where one label set counts. */
interface Slots {
  readonly requests: number;
  readonly duration: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** What is remembered of one endpoint, valid for as long as it belongs to the same Cluster. */
class Destination {
  readonly cluster: Cluster | null;
  readonly endpoint: Endpoint | null;
  readonly tally: ClusterTally | null;
  /** By status, for requests with no flags from a peer without a principal. */
  readonly plain = new Map<number, Slots>();
  /** By principal, then flags, then status. */
  readonly special = new Map<string, Map<number, Map<number, Slots>>>();
  remembered = 0;

  constructor(cluster: Cluster | null, endpoint: Endpoint | null, tally: ClusterTally | null) {
    this.cluster = cluster;
    this.endpoint = endpoint;
    this.tally = tally;
  }
}

class RequestMetrics {
  readonly reporter: 'source' | 'destination';
  readonly #registry: Registry;
  readonly #stats: ProxyStats;
  readonly #node: NodeIdentity;
  readonly #http: HttpTally;
  readonly #requests: Family;
  readonly #duration: Family;
  readonly #requestBytes: Family;
  readonly #responseBytes: Family;
  readonly #byEndpoint = new WeakMap<Endpoint, Destination>();
  readonly #byCluster = new WeakMap<Cluster, Destination>();
  readonly #nowhere = new Destination(null, null, null);
  #last: Destination = this.#nowhere;

  constructor(options: MetricsOptions) {
    const { registry } = options;
    this.reporter = options.reporter;
    this.#registry = registry;
    this.#stats = options.stats ?? new ProxyStats();
    this.#node = options.node;
    this.#http = this.#stats.http(options.statPrefix);
    this.#requests = registry.family({
      name: 'istio_requests_total',
      help: 'Requests that this proxy handled.',
      kind: 'counter',
      labelNames: HTTP_LABELS,
    });
    this.#duration = histogram(
      registry,
      'istio_request_duration_milliseconds',
      'Time from the head of the request to the end of the response.',
      DURATION_BOUNDS_MS,
    );
    this.#requestBytes = histogram(registry, 'istio_request_bytes', 'Bytes of requests, heads included.', BYTE_BOUNDS);
    this.#responseBytes = histogram(
      registry,
      'istio_response_bytes',
      'Bytes of responses, heads included.',
      BYTE_BOUNDS,
    );
  }

  toJSON(): unknown {
    return { reporter: this.reporter };
  }

  count(x: Exchange): void {
    const { status } = x.response;
    const destination = this.#destination(x);
    const statusClass = status >= 100 && status < 600 ? (status / 100) | 0 : 0;
    this.#http.count(statusClass);
    // What a filter answers is nothing of the cluster, but where Envoy counts it so.
    const charged = x.stoppedBy === null ? statusClass : (x.chargedStatus / 100) | 0;
    if (destination.tally !== null && (charged > 0 || x.stoppedBy === null)) destination.tally.count(charged);
    const slots = this.#slots(x, destination, status);
    const registry = this.#registry;
    const durationMs = x.endMs > x.startMs ? x.endMs - x.startMs : 0;
    registry.add(slots.requests, 1);
    registry.observe(slots.duration, DURATION_BOUNDS_MS, durationMs);
    registry.observe(slots.requestBytes, BYTE_BOUNDS, x.requestHeadBytes + x.requestBytes);
    registry.observe(slots.responseBytes, BYTE_BOUNDS, x.responseHeadBytes + x.responseBytes);
  }

  #destination(x: Exchange): Destination {
    const cluster = x.cluster === null ? null : x.cluster.cluster;
    const { endpoint } = x;
    const last = this.#last;
    if (last.endpoint === endpoint && last.cluster === cluster) return last;
    let found: Destination | undefined;
    if (endpoint !== null) found = this.#byEndpoint.get(endpoint);
    else if (cluster !== null) found = this.#byCluster.get(cluster);
    else found = this.#nowhere;
    if (found === undefined || found.cluster !== cluster) found = this.#meet(cluster, endpoint);
    this.#last = found;
    return found;
  }

  #meet(cluster: Cluster | null, endpoint: Endpoint | null): Destination {
    const tally = cluster === null ? null : this.#stats.cluster(cluster.name);
    const destination = new Destination(cluster, endpoint, tally);
    if (endpoint !== null) this.#byEndpoint.set(endpoint, destination);
    else if (cluster !== null) this.#byCluster.set(cluster, destination);
    return destination;
  }

  #slots(x: Exchange, destination: Destination, status: number): Slots {
    const peerPrincipal = this.#peerOf(x);
    const isGrpc = isGrpcRequest(x);
    // A gRPC status is one more dimension; over HTTP/1.1 it is rare enough to take the long way.
    if (isGrpc) return this.#resolve(x, destination, status, true);
    if (x.flags === 0 && peerPrincipal === '') {
      const known = destination.plain.get(status);
      return (
        known ?? this.#remember(destination.plain, destination, status, this.#resolve(x, destination, status, false))
      );
    }
    let byFlags = destination.special.get(peerPrincipal);
    if (byFlags === undefined) {
      if (destination.remembered >= REMEMBERED_MAX) return this.#resolve(x, destination, status, false);
      byFlags = new Map();
      destination.special.set(peerPrincipal, byFlags);
    }
    let byStatus = byFlags.get(x.flags);
    if (byStatus === undefined) {
      if (destination.remembered >= REMEMBERED_MAX) return this.#resolve(x, destination, status, false);
      byStatus = new Map();
      byFlags.set(x.flags, byStatus);
    }
    const known = byStatus.get(status);
    return known ?? this.#remember(byStatus, destination, status, this.#resolve(x, destination, status, false));
  }

  #remember(map: Map<number, Slots>, destination: Destination, key: number, slots: Slots): Slots {
    if (destination.remembered < REMEMBERED_MAX) {
      destination.remembered++;
      map.set(key, slots);
    }
    return slots;
  }

  /** Who is at the other end of what we report, by its certificate; empty: nobody knows. */
  #peerOf(x: Exchange): string {
    if (this.reporter === 'destination') return x.connection.peerPrincipal;
    return x.upstreamTls === null ? '' : x.upstreamTls.principal;
  }

  #resolve(x: Exchange, destination: Destination, status: number, isGrpc: boolean): Slots {
    const isInbound = this.reporter === 'destination';
    const { own, peer } = principalsOf(isInbound ? x.connection.tls : x.upstreamTls);
    const labels = labelsOf({
      reporter: this.reporter,
      node: this.#node,
      sourcePrincipal: isInbound ? peer : own,
      destinationPrincipal: isInbound ? own : peer,
      cluster: destination.cluster,
      endpoint: destination.endpoint,
      protocol: isGrpc ? 'grpc' : 'http',
      flagLetters: flagLetters(x.flags),
    });
    labels.push(String(status), isGrpc ? grpcStatus(x) : '');
    return {
      requests: this.#requests.slot(labels),
      duration: this.#duration.slot(labels),
      requestBytes: this.#requestBytes.slot(labels),
      responseBytes: this.#responseBytes.slot(labels),
    };
  }
}

/** The metrics of one HTTP connection manager: an onEnd step that every one of its Plans carries. */
export function compileMetrics(options: MetricsOptions, _env: CompileEnv): PlanPart {
  return { onEnd: [step('metrics', '', countRequest, new RequestMetrics(options))] };
}

function countRequest(x: Exchange, metrics: RequestMetrics): Verdict {
  metrics.count(x);
  return CONTINUE;
}

function histogram(registry: Registry, name: string, help: string, bounds: readonly number[]): Family {
  return registry.family({ name, help, kind: 'histogram', labelNames: HTTP_LABELS, bounds });
}

function isGrpcRequest(x: Exchange): boolean {
  const at = x.request.find(H.contentType);
  return at !== -1 && x.request.valueAt(at).startsWith('application/grpc');
}

/** The status of a response without a body, the only one that stands in a head; empty when unknown. */
function grpcStatus(x: Exchange): string {
  const value = x.response.get(H.grpcStatus);
  return value === null || value.length > 2 || Number.isNaN(Number(value)) ? '' : value;
}
