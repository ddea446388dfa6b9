// Forwards one opaque TCP connection to an endpoint of a cluster (Envoy tcp_proxy): bytes both ways
// with back-pressure, half-close passed on, an idle timeout, and a reset on one side made a reset on
// the other. What the client sends before the upstream is there stays in the kernel.
import { WheelTimer } from '../base/timer-wheel.ts';
import type { TcpCounters } from '../observe/tcp-metrics.ts';
import { formatAddress, type ClusterRef, type Endpoint } from '../plan/cluster.ts';
import { Exchange } from '../plan/exchange.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { run } from '../plan/run.ts';
import { SocketConnection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { TcpProxy } from './listener-config.ts';
import { dialEndpoint } from './dial-secure.ts';
import type { Dial } from './wire-dial.ts';
import type { Wire } from './wire.ts';

export interface TcpOwner {
  readonly isInbound: boolean;
  closed(forward: TcpForward): void;
}

export class TcpForward {
  readonly #engine: Engine;
  readonly #proxy: TcpProxy;
  readonly #downstream: Wire;
  readonly #owner: TcpOwner;
  readonly #x: Exchange = new Exchange();
  readonly #idleTimer: WheelTimer;
  #dial: Dial | null = null;
  #upstream: Wire | null = null;
  #connectTimer: WheelTimer | null = null;
  /** Istio's metrics of this connection; null until the upstream is there. */
  #counters: TcpCounters | null = null;
  #attempts = 0;
  #lastActivityMs: number;
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
    this.#idleTimer = new WheelTimer(() => this.#onIdleTimer());
    proxy.tally.connectionsTotal++;
    downstream.user = {
      onWireBytes() {},
      onWireEnd() {},
      onWireDrain() {},
      onWireClose: (cause) => this.#end(cause === '' ? 0 : FLAGS.DC, cause !== ''),
    };
    this.#connect();
  }

  destroy(): void {
    this.#end(FLAGS.DC, true);
  }

  #connect(): void {
    const reference = this.#choose();
    const cluster = reference === null ? null : reference.cluster;
    this.#x.cluster = reference;
    if (cluster === null) {
      this.#proxy.tally.withoutRoute++;
      this.#end(FLAGS.NC, true);
      return;
    }
    const endpoint = cluster.picker.pick(this.#x);
    if (endpoint === null) {
      this.#end(FLAGS.UH, true);
      return;
    }
    this.#attempts++;
    this.#x.endpoint = endpoint;
    endpoint.active++;
    endpoint.connectionsTotal++;
    const timer = new WheelTimer(() => this.#connectFailed(endpoint));
    this.#connectTimer = timer;
    this.#engine.wheel.arm(timer, cluster.connectTimeoutMs);
    const secure = this.#engine.pools.secureTarget(cluster, endpoint, '');
    this.#dial = dialEndpoint(endpoint, secure, {
      onDialled: (wire) => this.#connected(wire, endpoint),
      onDialFailed: () => this.#connectFailed(endpoint),
    });
  }

  #choose(): ClusterRef | null {
    const { clusters, points } = this.#proxy;
    if (clusters.length === 1) return clusters[0] ?? null;
    const point = this.#engine.random();
    for (let i = 0; i < clusters.length; i++) if (point < (points[i] ?? 1)) return clusters[i] ?? null;
    return clusters.at(-1) ?? null;
  }

  #connectFailed(endpoint: Endpoint): void {
    if (this.#isOver) return;
    this.#disarmConnect();
    this.#dial?.cancel();
    this.#dial = null;
    endpoint.active--;
    endpoint.connectFailuresTotal++;
    this.#x.endpoint = null;
    if (this.#attempts < this.#proxy.maxConnectAttempts) this.#connect();
    else this.#end(FLAGS.UF | FLAGS.URX, true);
  }

  #connected(wire: Wire, endpoint: Endpoint): void {
    this.#disarmConnect();
    this.#dial = null;
    this.#upstream = wire;
    const x = this.#x;
    endpoint.connectionsActive++;
    x.upstreamStartMs = this.#engine.clock.now();
    x.upstreamLocalAddress = formatAddress(wire.localAddress, wire.localPort);
    const { metrics, tally } = this.#proxy;
    const counters = metrics.open(x.connection, x.cluster, endpoint);
    this.#counters = counters;
    const downstream = this.#downstream;
    this.#pipe(downstream, wire, FLAGS.DC, (bytes) => {
      x.requestBytes += bytes;
      tally.receivedBytes += bytes;
      counters.addReceived(bytes);
    });
    this.#pipe(wire, downstream, FLAGS.UC, (bytes) => {
      x.responseBytes += bytes;
      tally.sentBytes += bytes;
      counters.addSent(bytes);
    });
    downstream.resume();
    wire.resume();
    this.#armIdle();
  }

  /** Per connection: what `source` reads goes to `target`; an error of `source` is told by `flag`. */
  #pipe(source: Wire, target: Wire, flag: number, count: (bytes: number) => void): void {
    source.user = {
      onWireBytes: (bytes) => {
        this.#lastActivityMs = this.#engine.clock.now();
        count(bytes.length);
        if (!target.writeBytes(bytes)) source.pause();
      },
      onWireEnd: () => target.end(),
      onWireDrain: () => target.resume(),
      onWireClose: (cause) => this.#end(cause === '' ? 0 : flag, cause !== ''),
    };
  }

  #armIdle(): void {
    const { idleTimeoutMs } = this.#proxy;
    if (idleTimeoutMs > 0) this.#engine.wheel.arm(this.#idleTimer, Math.max(idleTimeoutMs / 4, 10));
  }

  #onIdleTimer(): void {
    if (this.#isOver) return;
    if (this.#engine.clock.now() - this.#lastActivityMs >= this.#proxy.idleTimeoutMs) this.#end(FLAGS.SI, false);
    else this.#armIdle();
  }

  #disarmConnect(): void {
    if (this.#connectTimer !== null) this.#engine.wheel.disarm(this.#connectTimer);
    this.#connectTimer = null;
  }

  /** `isAbrupt`: the far sides see a reset where the kernel can say one. */
  #end(flag: number, isAbrupt: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const x = this.#x;
    x.flags |= flag;
    x.endMs = this.#engine.clock.now();
    this.#disarmConnect();
    this.#dial?.cancel();
    this.#engine.wheel.disarm(this.#idleTimer);
    if (x.endpoint !== null) x.endpoint.active--;
    if (x.endpoint !== null && x.upstreamStartMs > 0) x.endpoint.connectionsActive--;
    this.#close(this.#upstream, isAbrupt);
    this.#close(this.#downstream, isAbrupt);
    // One that never reached its upstream is opened and closed at once, with the flags that say why.
    this.#counters ??= this.#proxy.metrics.open(x.connection, x.cluster, x.endpoint, x.flags);
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
