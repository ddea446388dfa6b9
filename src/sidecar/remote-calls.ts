// The calls that policies make of other services while requests wait (plan/remote-call.ts): to clusters of the
// configuration, over their balancers, limits, TLS and Unix paths. Each cluster has a breaker of its own, and at most
// so many calls at a time; what is more fails at once. A call counts among the requests of its endpoint.
import type { WheelTimer } from '../base/timer-wheel.ts';
import { WheelTimer as Timer } from '../base/timer-wheel.ts';
import type { ProxyStats, Numbers } from '../observe/proxy-stats.ts';
import { limitsOf, OUTCOME, type Cluster, type ClusterRef, type Endpoint } from '../plan/cluster.ts';
import type {
  RemoteCall,
  RemoteCalls,
  RemoteGrpcOptions,
  RemoteGrpcResult,
  RemoteHttpRequest,
  RemoteHttpResult,
  RemoteOptions,
} from '../plan/remote-call.ts';
import { memberOf } from './cluster-choice.ts';
import { enterEndpoint, leaveEndpoint } from './endpoint-load.ts';
import type { Engine } from './engine.ts';
import { DEADLINE_EXCEEDED, INTERNAL, RESOURCE_EXHAUSTED, UNAVAILABLE } from './grpc-status.ts';
import { RemoteAnswer, requestFields } from './remote-answer.ts';
import { RemoteBreaker } from './remote-breaker.ts';
import { RemoteConnections } from './remote-connections.ts';

/** To one cluster at a time. */
const CALLS_MAX = 1024;
const BYTES_MAX = 1024 * 1024;
const PROBE_MS = 1000;

export interface RemoteCallsOptions {
  readonly engine: Engine;
  readonly clusterRef: (name: string) => ClusterRef;
  readonly stats: ProxyStats;
}

export class SidecarRemoteCalls implements RemoteCalls {
  readonly #options: RemoteCallsOptions;
  readonly #clusters = new Map<string, RemoteCluster>();

  constructor(options: RemoteCallsOptions) {
    this.#options = options;
  }

  http(cluster: string, request: RemoteHttpRequest, options: RemoteOptions<RemoteHttpResult>): RemoteCall {
    const call = new Call(this.#options, options.timeoutMs, (reason) => options.done({ kind: 'failed', reason }));
    call.start(this.#cluster(cluster), (connections) => runHttp(call, connections, request, options));
    return call;
  }

  grpc(cluster: string, path: string, message: Uint8Array, options: RemoteGrpcOptions): RemoteCall {
    const call = new Call(this.#options, options.timeoutMs, (reason) =>
      options.done({ kind: 'failed', status: reason === TIMEOUT ? DEADLINE_EXCEEDED : UNAVAILABLE, reason }),
    );
    const unary: Unary = { path, message, options, authority: options.authority ?? cluster };
    call.start(this.#cluster(cluster), (connections) => runGrpc(call, connections, unary));
    return call;
  }

  /** The statistics `cluster.NAME.remote_*`; empty for a cluster that nobody called. */
  numbersOf(name: string): Numbers {
    const cluster = this.#clusters.get(name);
    if (cluster === undefined) return [];
    return [
      ['remote_breaker_open', 'gauge', Number(cluster.breaker.isOpen)],
      ['remote_breaker_refused', 'counter', cluster.refused],
      ['remote_calls_active', 'gauge', cluster.active],
      ['remote_calls_overflow', 'counter', cluster.overflow],
    ];
  }

  close(): void {
    for (const cluster of this.#clusters.values()) cluster.close();
    this.#clusters.clear();
  }

  #cluster(name: string): RemoteCluster {
    const known = this.#clusters.get(name);
    if (known !== undefined) return known;
    const made = new RemoteCluster(this.#options, name);
    this.#clusters.set(name, made);
    return made;
  }
}

const TIMEOUT = 'timeout';

/** What is kept of one cluster between calls. */
class RemoteCluster {
  readonly breaker = new RemoteBreaker();
  readonly ref: ClusterRef;
  active = 0;
  refused = 0;
  overflow = 0;
  readonly #options: RemoteCallsOptions;
  readonly #connections = new Map<Endpoint, RemoteConnections>();
  #endpoints: readonly Endpoint[] = [];

  constructor(options: RemoteCallsOptions, name: string) {
    this.#options = options;
    this.ref = options.clusterRef(name);
  }

  /** To `endpoint`, as the cluster is configured now. */
  connectionsTo(cluster: Cluster, endpoint: Endpoint): RemoteConnections {
    if (cluster.endpoints !== this.#endpoints) this.#forgetOthers(cluster);
    const { engine } = this.#options;
    const secure = engine.pools.secureTarget(cluster, endpoint, { serverName: '', client: null, isHigh: false });
    const known = this.#connections.get(endpoint);
    if (known !== undefined && (known.target.secure?.tls ?? null) === (secure?.tls ?? null)) return known;
    known?.close();
    const made = new RemoteConnections({ cluster, endpoint, secure });
    this.#connections.set(endpoint, made);
    return made;
  }

  #forgetOthers(cluster: Cluster): void {
    this.#endpoints = cluster.endpoints;
    for (const [endpoint, connections] of this.#connections) {
      if (cluster.endpoints.includes(endpoint)) continue;
      this.#connections.delete(endpoint);
      connections.close();
    }
  }

  close(): void {
    this.breaker.close();
    for (const connections of this.#connections.values()) connections.close();
    this.#connections.clear();
  }
}

/** One call from its start to its end, whatever it speaks. */
class Call implements RemoteCall {
  readonly #options: RemoteCallsOptions;
  readonly #fail: (reason: string) => void;
  readonly #timeoutMs: number;
  readonly #timer: WheelTimer;
  #cluster: RemoteCluster | null = null;
  #isOver = false;
  #hasTimedOut = false;
  #settle: ((isAnswered: boolean) => void) | null = null;
  #endpoint: Endpoint | null = null;
  #release: (() => void) | null = null;
  #tally: string = '';
  #startMs = 0;
  /** Ends what the transport does for it. */
  leave: (() => void) | null = null;

  constructor(options: RemoteCallsOptions, timeoutMs: number, fail: (reason: string) => void) {
    this.#options = options;
    this.#fail = fail;
    this.#timeoutMs = timeoutMs;
    this.#timer = new Timer(() => {
      this.#hasTimedOut = true;
      this.fail(TIMEOUT, OUTCOME.TIMEOUT);
    });
  }

  get hasTimedOut(): boolean {
    return this.#hasTimedOut;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** `run` is called with connections to an endpoint, and calls answer() or fail() in the end. */
  start(cluster: RemoteCluster, run: (connections: RemoteConnections) => void): void {
    if (cluster.active >= CALLS_MAX) {
      cluster.overflow++;
      queueMicrotask(() => this.fail('too many calls', OUTCOME.NONE));
      return;
    }
    cluster.active++;
    this.#cluster = cluster;
    if (this.#timeoutMs > 0) this.#options.engine.wheel.arm(this.#timer, this.#timeoutMs);
    cluster.breaker.fire(
      (settle) => {
        if (this.#isOver) return settle(true);
        this.#settle = settle;
        this.#run(cluster, run);
      },
      () => {
        if (!this.#isOver) cluster.refused++;
        this.fail('breaker open', OUTCOME.NONE);
      },
    );
  }

  #run(remote: RemoteCluster, run: (connections: RemoteConnections) => void): void {
    const own = remote.ref.cluster;
    const cluster = own?.aggregate == null ? own : (memberOf(own)?.cluster ?? null);
    if (cluster === null) return this.fail('no such cluster', OUTCOME.NONE);
    const limits = limitsOf(cluster, false);
    if (limits !== null && cluster.limits != null) {
      if (!limits.requests.acquire()) {
        cluster.limits.tally.requestOverflow++;
        return this.fail('overflow', OUTCOME.NONE);
      }
      this.#release = () => limits.requests.release();
    }
    const endpoint = cluster.picker.pick(null);
    if (endpoint === null) return this.fail('no healthy upstream', OUTCOME.NONE);
    this.#endpoint = endpoint;
    this.#tally = cluster.name;
    this.#startMs = this.#options.engine.clock.now();
    enterEndpoint(endpoint);
    run(remote.connectionsTo(cluster, endpoint));
  }

  /** False when nobody waits any more. `status`: the HTTP status that statistics count it by. */
  answer(status: number): boolean {
    return this.#end(true, status);
  }

  /** `outcome`: what the endpoint is told. */
  fail(reason: string, outcome: number): void {
    if (this.#end(outcome === OUTCOME.NONE, outcome)) this.#fail(reason);
  }

  cancel(): void {
    this.#end(true, OUTCOME.NONE);
  }

  #end(isAnswered: boolean, outcome: number): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    const { engine, stats } = this.#options;
    engine.wheel.disarm(this.#timer);
    this.leave?.();
    if (this.#cluster !== null) this.#cluster.active--;
    this.#release?.();
    if (this.#endpoint !== null) {
      const latencyMs = outcome > 0 ? engine.clock.now() - this.#startMs : -1;
      leaveEndpoint(this.#endpoint, outcome, latencyMs, null);
      stats.cluster(this.#tally).count(outcome > 0 ? Math.min(Math.floor(outcome / 100), 5) : 0);
    }
    this.#settle?.(isAnswered);
    return true;
  }
}

function runHttp(
  call: Call,
  connections: RemoteConnections,
  request: RemoteHttpRequest,
  options: RemoteOptions<RemoteHttpResult>,
): void {
  const attempt = async (mayRepeat: boolean): Promise<void> => {
    const pool = await connections.http();
    if (call.isOver) return;
    const answer = new RemoteAnswer(options.bytesMax ?? BYTES_MAX, connections.budget, (response, reason, isStale) => {
      if (response !== null) {
        if (call.answer(response.status)) options.done({ kind: 'answered', response });
      } else if (isStale && mayRepeat && !call.isOver) void attempt(false);
      else call.fail(reason, OUTCOME.RESET);
    });
    call.leave = () => answer.leave();
    const { method, path, body } = request;
    pool.dispatch({ method, path, headers: requestFields(request), body: body === null ? null : body }, answer);
  };
  attempt(true).catch((thrown: unknown) => call.fail(messageOf(thrown), OUTCOME.RESET));
}

interface Unary {
  readonly path: string;
  readonly message: Uint8Array;
  readonly options: RemoteGrpcOptions;
  readonly authority: string;
}

const TOO_MUCH: RemoteGrpcResult = {
  kind: 'failed',
  status: RESOURCE_EXHAUSTED,
  reason: 'the responses under way are too large',
};

function runGrpc(call: Call, connections: RemoteConnections, { path, message, options, authority }: Unary): void {
  const { metadata = {}, timeoutMs, bytesMax = BYTES_MAX, done } = options;
  const run = async (): Promise<void> => {
    const connection = await connections.grpc();
    if (call.isOver) return;
    let reply: Uint8Array | null = null;
    let held = 0;
    const deadline = timeoutMs > 0 ? { 'grpc-timeout': `${Math.ceil(timeoutMs)}m` } : {};
    const stream = connection.stream(
      path,
      { ...metadata, ...deadline, ':authority': authority },
      {
        onMessage: (bytes) => {
          // One that goes on is cut off: a call has one answer.
          if (reply !== null) finish({ kind: 'failed', status: INTERNAL, reason: 'more than one message' }, 502);
          else if (!connections.budget.take(bytes.length)) finish(TOO_MUCH, 502);
          else {
            held = bytes.length;
            reply = bytes;
          }
        },
        onEnd: ({ code, message: reason }) => {
          if (code === 0 && reply !== null && reply.length > bytesMax) {
            finish({ kind: 'failed', status: RESOURCE_EXHAUSTED, reason: 'the response is too large' }, 502);
          } else if (code === 0 && reply !== null) finish({ kind: 'answered', message: reply }, 200);
          else if (code === UNAVAILABLE || code === DEADLINE_EXCEEDED) call.fail(reason, OUTCOME.RESET);
          else finish({ kind: 'failed', status: code === 0 ? INTERNAL : code, reason }, code === 0 ? 502 : 200);
        },
      },
    );
    const finish = (result: RemoteGrpcResult, status: number): void => {
      if (call.answer(status)) done(result);
    };
    call.leave = () => {
      connections.budget.give(held);
      held = 0;
      stream.cancel();
      // Who is gone without a word must not fail calls for long; who is only slow answers this.
      if (call.hasTimedOut) connection.probe(PROBE_MS);
    };
    stream.write(message);
    stream.end();
  };
  run().catch((thrown: unknown) => call.fail(messageOf(thrown), OUTCOME.CONNECT_FAILED));
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
