// Forwards one opaque TCP connection to an endpoint of a cluster (Envoy tcp_proxy): bytes both ways
// with back-pressure, half-close passed on, an idle timeout, and a reset on one side made a reset on
// the other. What the client sends before the upstream is there stays in the kernel.
import { connect, type Socket } from 'node:net';
import { WheelTimer } from '../base/timer-wheel.ts';
import type { TcpCounters } from '../observe/tcp-metrics.ts';
import { formatAddress, type ClusterRef, type Endpoint } from '../plan/cluster.ts';
import { Exchange } from '../plan/exchange.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { run } from '../plan/run.ts';
import { SocketConnection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { TcpProxy } from './listener-config.ts';
import { kernelPath } from './unix-path.ts';

export interface TcpOwner {
  readonly isInbound: boolean;
  closed(forward: TcpForward): void;
}

export class TcpForward {
  readonly #engine: Engine;
  readonly #proxy: TcpProxy;
  readonly #downstream: Socket;
  readonly #owner: TcpOwner;
  readonly #x: Exchange = new Exchange();
  readonly #idleTimer: WheelTimer;
  #upstream: Socket | null = null;
  #connectTimer: WheelTimer | null = null;
  /** Istio's metrics of this connection; null until the upstream is there. */
  #counters: TcpCounters | null = null;
  #attempts = 0;
  #lastActivityMs: number;
  #isOver = false;

  constructor(engine: Engine, proxy: TcpProxy, downstream: Socket, owner: TcpOwner) {
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
    downstream.pause();
    downstream.on('error', () => this.#end(FLAGS.DC, true));
    downstream.on('close', () => this.#end(0, false));
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
    const socket =
      endpoint.port === 0
        ? connect({ path: kernelPath(endpoint.address), allowHalfOpen: true })
        : connect({
            host: endpoint.address,
            port: endpoint.port,
            localAddress: endpoint.sourceAddress === '' ? undefined : endpoint.sourceAddress,
            allowHalfOpen: true,
            noDelay: true,
          });
    this.#upstream = socket;
    const timer = new WheelTimer(() => this.#connectFailed(socket, endpoint));
    this.#connectTimer = timer;
    this.#engine.wheel.arm(timer, cluster.connectTimeoutMs);
    socket.once('error', () => this.#connectFailed(socket, endpoint));
    socket.once('connect', () => this.#connected(socket, endpoint));
  }

  #choose(): ClusterRef | null {
    const { clusters, points } = this.#proxy;
    if (clusters.length === 1) return clusters[0] ?? null;
    const point = this.#engine.random();
    for (let i = 0; i < clusters.length; i++) if (point < (points[i] ?? 1)) return clusters[i] ?? null;
    return clusters.at(-1) ?? null;
  }

  #connectFailed(socket: Socket, endpoint: Endpoint): void {
    if (this.#upstream !== socket || this.#isOver) return;
    this.#disarmConnect();
    socket.removeAllListeners();
    socket.on('error', ignore);
    socket.destroy();
    this.#upstream = null;
    endpoint.active--;
    endpoint.connectFailuresTotal++;
    this.#x.endpoint = null;
    if (this.#attempts < this.#proxy.maxConnectAttempts) this.#connect();
    else this.#end(FLAGS.UF | FLAGS.URX, true);
  }

  #connected(socket: Socket, endpoint: Endpoint): void {
    this.#disarmConnect();
    const x = this.#x;
    endpoint.connectionsActive++;
    x.upstreamStartMs = this.#engine.clock.now();
    x.upstreamLocalAddress = formatAddress(socket.localAddress ?? '', socket.localPort ?? 0);
    socket.removeAllListeners('error');
    socket.on('error', () => this.#end(FLAGS.UC, true));
    socket.on('close', () => this.#end(0, false));
    const { metrics, tally } = this.#proxy;
    const counters = metrics.open(x.connection, x.cluster, endpoint);
    this.#counters = counters;
    this.#pipe(this.#downstream, socket, (bytes) => {
      x.requestBytes += bytes;
      tally.receivedBytes += bytes;
      counters.addReceived(bytes);
    });
    this.#pipe(socket, this.#downstream, (bytes) => {
      x.responseBytes += bytes;
      tally.sentBytes += bytes;
      counters.addSent(bytes);
    });
    this.#downstream.resume();
    this.#armIdle();
  }

  #pipe(source: Socket, target: Socket, count: (bytes: number) => void): void {
    source.on('data', (bytes: Buffer) => {
      this.#lastActivityMs = this.#engine.clock.now();
      count(bytes.length);
      if (!target.write(bytes)) source.pause();
    });
    target.on('drain', () => source.resume());
    source.on('end', () => target.end());
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

  #close(socket: Socket | null, isAbrupt: boolean): void {
    if (socket === null || socket.destroyed) return;
    if (isAbrupt && !socket.connecting) socket.resetAndDestroy();
    else socket.destroy();
  }
}

function ignore(): void {}
