// Forwards one opaque TCP connection to an endpoint of a cluster (Envoy tcp_proxy): bytes both ways
// with back-pressure, half-close passed on, timeouts, and a reset on one side made a reset on the other.
// What the client sends before the upstream is there stays in the kernel, or in what was read ahead. It
// may also dial for a client that has said nothing (see arrival/arrival.ts): then it touches the
// downstream only once the connection is given to it, and leaves no trace when it is not.
//
//   start() ─► dialling ─► open ─► one side ended ─► both ended ─► closed
//   speculate() ─► dialling ─► connected ─► begin() ─► open
import { Hash64 } from '../base/hash64.ts';
import { WheelTimer } from '../base/timer-wheel.ts';
import type { TcpCounters } from '../observe/tcp-metrics.ts';
import { formatAddress, OUTCOME, type ClusterRef, type Endpoint } from '../plan/cluster.ts';
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import { Exchange } from '../plan/exchange.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { run } from '../plan/run.ts';
import type { Speculation, SpeculationUser } from './arrival/arrival.ts';
import { SocketConnection, tlsFacts } from './connection.ts';
import type { Engine } from './engine.ts';
import type { TcpProxy } from './listener-config.ts';
import { chooseCluster } from './cluster-choice.ts';
import { dialEndpoint } from './dial-secure.ts';
import { tellWatches } from './endpoint-load.ts';
import type { Follower } from './endpoint-followers.ts';
import { TcpPermit } from './tcp-permit.ts';
import type { Dial } from './wire-dial.ts';
import { NO_USER, type Wire } from './wire.ts';

/** As outlier detection judges it: the status of an answer. */
const CONNECTED = 200;

export interface TcpOwner {
  readonly isInbound: boolean;
  closed(forward: TcpForward): void;
}

export class TcpForward implements Speculation, Follower {
  /** In its listener's roster. */
  place = -1;
  readonly #engine: Engine;
  readonly #proxy: TcpProxy;
  readonly #downstream: Wire;
  readonly #owner: TcpOwner;
  readonly #x: Exchange = new Exchange();
  readonly #permit = new TcpPermit();
  readonly #idleTimer = new WheelTimer(() => this.#onIdleTimer());
  readonly #durationTimer = new WheelTimer(() => this.#onDurationTimer());
  readonly #flushTimer = new WheelTimer(() => this.#onFlushTimer());
  #dial: Dial | null = null;
  #upstream: Wire | null = null;
  #connectTimer: WheelTimer | null = null;
  /** Istio's metrics of this connection; null until the upstream is there. */
  #counters: TcpCounters | null = null;
  /** Whoever decides whether the connection is ours; null when it is. */
  #watcher: SpeculationUser | null = null;
  #attempts = 0;
  #lastActivityMs: number;
  #hasClosedOne = false;
  #isBegun = false;
  #isOver = false;

  constructor(engine: Engine, proxy: TcpProxy, downstream: Wire, owner: TcpOwner) {
    this.#engine = engine;
    this.#proxy = proxy;
    this.#downstream = downstream;
    this.#owner = owner;
    this.#lastActivityMs = engine.clock.now();
    this.#x.startMs = this.#lastActivityMs;
    this.#x.startWallMs = engine.clock.wall();
    this.#x.connection = new SocketConnection(downstream, owner.isInbound);
  }

  /** Takes the connection, and dials. The owner knows it already: it may be closed before this returns. */
  start(): void {
    this.begin();
    this.#connect();
  }

  /** Dials, and leaves the downstream alone until begin(). */
  speculate(watcher: SpeculationUser): void {
    this.#watcher = watcher;
    this.#connect();
  }

  begin(): void {
    if (this.#isBegun || this.#isOver) return;
    this.#isBegun = true;
    this.#watcher = null;
    const { tally, durationMaxMs } = this.#proxy;
    tally.connectionsTotal++;
    if (durationMaxMs > 0) this.#engine.wheel.arm(this.#durationTimer, durationMaxMs);
    this.#downstream.user = {
      ...NO_USER,
      onWireClose: (cause) => this.#end(cause === '' ? 0 : FLAGS.DC, cause !== ''),
    };
    if (this.#upstream !== null) this.#open(this.#upstream);
  }

  abandon(): void {
    if (this.#isOver || this.#isBegun) return;
    this.#isOver = true;
    this.#watcher = null;
    this.#release();
    this.#upstream?.destroy();
  }

  /** Whether newer guards would take the connection. */
  passes(guards: readonly ConnectionGuard[]): boolean {
    return guards.every((guard) => guard.wouldAdmit(this.#x));
  }

  destroy(): void {
    this.#end(FLAGS.DC, true);
  }

  onEndpointFailed(): void {
    this.#end(FLAGS.UC, false);
  }

  #connect(): void {
    const reference = this.#choose();
    this.#x.cluster = reference;
    const cluster = chooseCluster(this.#x, this.#engine.clock);
    if (cluster === null) {
      if (this.#isBegun) this.#proxy.tally.withoutRoute++;
      this.#end(FLAGS.NC, true);
      return;
    }
    if (this.#proxy.hashesSourceIp) hashSource(this.#x);
    const endpoint = cluster.picker.pick(this.#x);
    if (endpoint === null) {
      this.#end(FLAGS.UH, true);
      return;
    }
    this.#permit.release();
    if (!this.#permit.acquire(cluster, endpoint)) {
      this.#end(FLAGS.UO, false);
      return;
    }
    this.#attempts++;
    this.#x.endpoint = endpoint;
    endpoint.active++;
    endpoint.connectionsTotal++;
    const timer = new WheelTimer(() => this.#connectFailed(endpoint, OUTCOME.CONNECT_TIMEOUT));
    this.#connectTimer = timer;
    this.#engine.wheel.arm(timer, cluster.connectTimeoutMs);
    const secure = this.#engine.pools.secureTarget(cluster, endpoint, {
      serverName: '',
      client: this.#x.connection,
      isHigh: false,
      isOpaque: true,
    });
    this.#dial = dialEndpoint(endpoint, secure, {
      onDialled: (wire) => this.#connected(wire, endpoint),
      onDialFailed: () => this.#connectFailed(endpoint, OUTCOME.CONNECT_FAILED),
    });
  }

  #choose(): ClusterRef | null {
    const { clusters, points } = this.#proxy;
    if (clusters.length === 1) return clusters[0] ?? null;
    const point = this.#engine.random();
    for (let i = 0; i < clusters.length; i++) if (point < (points[i] ?? 1)) return clusters[i] ?? null;
    return clusters.at(-1) ?? null;
  }

  #connectFailed(endpoint: Endpoint, outcome: number): void {
    if (this.#isOver) return;
    this.#disarmConnect();
    this.#dial?.cancel();
    this.#dial = null;
    endpoint.active--;
    endpoint.connectFailuresTotal++;
    tellWatches(endpoint, outcome, -1, this.#x);
    this.#x.endpoint = null;
    if (this.#attempts < this.#proxy.maxConnectAttempts) this.#connect();
    else this.#end(FLAGS.UF | FLAGS.URX, true);
  }

  #connected(wire: Wire, endpoint: Endpoint): void {
    this.#disarmConnect();
    this.#permit.connected();
    this.#dial = null;
    this.#upstream = wire;
    const x = this.#x;
    endpoint.connectionsActive++;
    // To be connected is all that can go well here, as Envoy counts it.
    tellWatches(endpoint, CONNECTED, -1, x);
    this.#engine.pools.followers.add(endpoint, this);
    x.upstreamStartMs = this.#engine.clock.now();
    x.upstreamLocalAddress = formatAddress(wire.localAddress, wire.localPort);
    x.upstreamTls = tlsFacts.get(wire) ?? null;
    const downstream = this.#downstream;
    this.#pipe(wire, downstream, FLAGS.UC, (bytes) => {
      // The first bytes decide whose connection it is, before they are written.
      this.#watcher?.onServerFirst();
      x.responseBytes += bytes;
      this.#proxy.tally.sentBytes += bytes;
      this.#counters?.addSent(bytes);
    });
    if (this.#isBegun) this.#open(wire);
    else wire.resume();
  }

  /** Both ends are there, and the connection is ours. */
  #open(wire: Wire): void {
    const x = this.#x;
    const { metrics, tally, logsConnected, logIntervalMs } = this.#proxy;
    const counters = metrics.open(x);
    this.#counters = counters;
    const downstream = this.#downstream;
    this.#pipe(downstream, wire, FLAGS.DC, (bytes) => {
      x.requestBytes += bytes;
      tally.receivedBytes += bytes;
      counters.addReceived(bytes);
    });
    this.#lastActivityMs = this.#engine.clock.now();
    if (this.#proxy.idleTimeoutMs > 0) this.#engine.wheel.arm(this.#idleTimer, this.#proxy.idleTimeoutMs);
    if (logsConnected) run(x, this.#proxy.onEnd);
    if (logIntervalMs > 0) this.#engine.wheel.arm(this.#flushTimer, logIntervalMs);
    downstream.resume();
    wire.resume();
  }

  /** Per connection: what `source` reads goes to `target`; an error of `source` is told by `flag`. */
  #pipe(source: Wire, target: Wire, flag: number, count: (bytes: number) => void): void {
    source.user = {
      onWireBytes: (bytes) => {
        this.#lastActivityMs = this.#engine.clock.now();
        count(bytes.length);
        if (this.#isOver) return;
        if (!target.writeBytes(bytes)) source.pause();
      },
      onWireEnd: () => {
        if (this.#isBegun) target.end();
        else this.#end(0, false);
      },
      onWireDrain: () => {
        this.#lastActivityMs = this.#engine.clock.now();
        target.resume();
      },
      onWireClose: (cause) => this.#closedOne(flag, cause),
    };
  }

  /** A side that ended well leaves what it sent to the other, which may need a while to take it. */
  #closedOne(flag: number, cause: string): void {
    if (cause !== '') this.#end(flag, true);
    else if (this.#hasClosedOne || !this.#isBegun) this.#end(0, false);
    else this.#hasClosedOne = true;
  }

  #onIdleTimer(): void {
    if (this.#isOver) return;
    const leftMs = this.#lastActivityMs + this.#proxy.idleTimeoutMs - this.#engine.clock.now();
    if (leftMs > 0) {
      this.#engine.wheel.arm(this.#idleTimer, leftMs);
      return;
    }
    this.#proxy.tally.idleTimeouts++;
    this.#end(FLAGS.SI, false);
  }

  #onDurationTimer(): void {
    this.#proxy.tally.durationTimeouts++;
    this.#end(FLAGS.DT, false);
  }

  /** A line of the access log about a connection that goes on. */
  #onFlushTimer(): void {
    if (this.#isOver) return;
    const x = this.#x;
    x.endMs = this.#engine.clock.now();
    run(x, this.#proxy.onEnd);
    x.endMs = 0;
    this.#engine.wheel.arm(this.#flushTimer, this.#proxy.logIntervalMs);
  }

  #disarmConnect(): void {
    if (this.#connectTimer !== null) this.#engine.wheel.disarm(this.#connectTimer);
    this.#connectTimer = null;
  }

  /** Timers, the dial, and what the endpoint counts. */
  #release(): void {
    const { wheel } = this.#engine;
    const x = this.#x;
    this.#disarmConnect();
    this.#permit.release();
    this.#dial?.cancel();
    wheel.disarm(this.#idleTimer);
    wheel.disarm(this.#durationTimer);
    wheel.disarm(this.#flushTimer);
    if (x.endpoint !== null) {
      x.endpoint.active--;
      this.#engine.pools.followers.remove(x.endpoint, this);
    }
    if (x.endpoint !== null && this.#upstream !== null) x.endpoint.connectionsActive--;
  }

  /** `isAbrupt`: the far sides see a reset where the kernel can say one. */
  #end(flag: number, isAbrupt: boolean): void {
    if (this.#isOver) return;
    if (!this.#isBegun) {
      const watcher = this.#watcher;
      this.abandon();
      watcher?.onLost();
      return;
    }
    this.#isOver = true;
    const x = this.#x;
    x.flags |= flag;
    x.endMs = this.#engine.clock.now();
    this.#release();
    this.#close(this.#upstream, isAbrupt);
    this.#close(this.#downstream, isAbrupt);
    // One that never reached its upstream is opened and closed at once, with the flags that say why.
    this.#counters ??= this.#proxy.metrics.open(x, x.flags);
    this.#counters.close(x.flags);
    run(x, this.#proxy.onEnd);
    this.#owner.closed(this);
  }

  #close(wire: Wire | null, isAbrupt: boolean): void {
    if (wire === null) return;
    if (isAbrupt) wire.reset();
    else wire.destroy();
  }
}

/** As Envoy: xxHash64 of the address without its port; nothing for a client on a Unix socket. */
function hashSource(x: Exchange): void {
  const { remoteAddress } = x.connection;
  if (remoteAddress === '') return;
  const hash = new Hash64();
  hash.xx(remoteAddress);
  x.hasHash = true;
  x.hashHigh = hash.high;
  x.hashLow = hash.low;
}
