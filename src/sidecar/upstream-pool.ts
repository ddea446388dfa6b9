// @hot
// Warm connections per endpoint. A request takes the connection used last, or waits while one is
// dialled; a connection that becomes free goes to the oldest waiter. Failing to dial fails the oldest
// waiter, each dial one. Idle connections go after the cluster's idle timeout; a pool that drains
// closes what is idle at once and the rest after their request.
//
//   acquire ─► idle? take it ─► else wait + dial ─► connected ─► oldest waiter
//   release ─► oldest waiter, else idle ─► (idle timeout) ─► closed
import type { Clock } from '../base/clock.ts';
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { Failure } from '../plan/failure.ts';
import { NamedPools } from './named-pools.ts';
import { ANYBODY, originOf, type PoolOrigin } from './pool-origin.ts';
import { Dialling } from './dialling.ts';
import type { SecureTarget } from './dial-secure.ts';
import { UpstreamConnection, type UpstreamOwner } from './h1-client.ts';
import { Roster } from './roster.ts';
import type { Wire } from './wire.ts';

export interface PoolUser {
  onPoolReady(connection: UpstreamConnection): void;
  onPoolFailure(failed: Failure): void;
}

const SWEEP_MS = 1000;

export class EndpointPool implements UpstreamOwner {
  readonly endpoint: Endpoint;
  readonly #registry: PoolRegistry;
  #cluster: Cluster;
  readonly #idle: UpstreamConnection[] = [];
  readonly #open = new Roster<UpstreamConnection, null>();
  readonly #waiting: PoolUser[] = [];
  readonly #dialling = new Set<Dialling>();
  readonly #origin: PoolOrigin;
  #isDraining = false;

  constructor(registry: PoolRegistry, cluster: Cluster, endpoint: Endpoint, origin: PoolOrigin = ANYBODY) {
    this.#origin = origin;
    this.#registry = registry;
    this.#cluster = cluster;
    this.endpoint = endpoint;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0 && this.#dialling.size === 0 && this.#waiting.length === 0;
  }

  /** True when the downstream connection that these are for is gone. */
  get hasLostClient(): boolean {
    return this.#origin.client !== null && this.#origin.client.isClosed === true;
  }

  /**
   * A connection at once, or null: then `user` is called later, once. `isFresh` demands a connection
   * that has carried nothing yet.
   */
  acquire(cluster: Cluster, user: PoolUser, isFresh: boolean): UpstreamConnection | null {
    this.#cluster = cluster;
    if (!isFresh) {
      for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
        if (connection.isUsable) return connection;
      }
    }
    this.#waiting.push(user);
    if (this.#dialling.size < this.#waiting.length) this.#dial();
    return null;
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user);
    if (at !== -1) this.#waiting.splice(at, 1);
  }

  release(connection: UpstreamConnection): void {
    const max = this.#cluster.maxRequestsPerConnection;
    if (max > 0 && connection.requests >= max) {
      connection.abandon();
      return;
    }
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      waiter.onPoolReady(connection);
      return;
    }
    if (this.#isDraining) {
      connection.abandon();
      return;
    }
    connection.idleSinceMs = this.#registry.clock.now();
    this.#idle.push(connection);
    this.#registry.watch();
  }

  forget(connection: UpstreamConnection): void {
    if (!this.#open.delete(connection)) return;
    this.endpoint.connectionsActive--;
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    // Somebody may be waiting for what just went.
    if (this.#dialling.size < this.#waiting.length) this.#dial();
  }

  /** Closes idle connections that are older than the cluster allows. */
  sweep(nowMs: number): void {
    const limitMs = this.#cluster.idleTimeoutMs;
    if (limitMs === 0) return;
    // The oldest stand first: connections are pushed when they become idle and popped from the end.
    while (this.#idle.length > 0) {
      const oldest = this.#idle[0];
      if (oldest === undefined || nowMs - oldest.idleSinceMs < limitMs) return;
      this.#idle.shift();
      oldest.abandon();
    }
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** The endpoint is gone: no new warm connections; running requests end as they would. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#idle.splice(0)) connection.abandon();
  }

  /** Closes everything now. */
  destroy(): void {
    this.#isDraining = true;
    this.#waiting.length = 0;
    for (const dialling of this.#dialling) dialling.cancel();
    this.#dialling.clear();
    for (const connection of this.#open.members()) connection.abandon();
  }

  /** Opens one more connection (per connection, not per request). */
  #dial(): void {
    const { endpoint } = this;
    endpoint.connectionsTotal++;
    const dialling: Dialling = new Dialling(this.#registry.wheel, {
      connected: (wire) => this.#connected(dialling, wire),
      failed: (failed) => this.#dialFailed(dialling, failed),
    });
    this.#dialling.add(dialling);
    const secure = this.#registry.secureTarget(this.#cluster, endpoint, this.#origin);
    dialling.start(endpoint, secure, this.#cluster.connectTimeoutMs);
  }

  #connected(dialling: Dialling, wire: Wire): void {
    this.#dialling.delete(dialling);
    const connection = new UpstreamConnection(wire, this);
    this.#open.add(connection, null);
    this.endpoint.connectionsActive++;
    this.release(connection);
  }

  #dialFailed(dialling: Dialling, failed: Failure): void {
    if (!this.#dialling.delete(dialling)) return;
    this.endpoint.connectFailuresTotal++;
    this.#waiting.shift()?.onPoolFailure(failed);
    if (this.#dialling.size < this.#waiting.length) this.#dial();
  }
}

/** What comes before the first request on a connection to an endpoint of a cluster; null: nothing. */
export type FindSecureTarget = (cluster: Cluster, endpoint: Endpoint, origin: PoolOrigin) => SecureTarget | null;

function plaintext(): null {
  return null;
}

/** All pools of the process, by endpoint. */
export class PoolRegistry {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** How to dial; replaced once, when the process is put together. */
  secureTarget: FindSecureTarget = plaintext;
  readonly #pools = new Map<Endpoint, EndpointPool>();
  readonly #named: NamedPools<EndpointPool>;
  readonly #sweeper: WheelTimer = new WheelTimer(() => this.#sweep());

  constructor(clock: Clock, wheel: TimerWheel) {
    this.clock = clock;
    this.wheel = wheel;
    this.#named = new NamedPools((cluster, endpoint, origin) => new EndpointPool(this, cluster, endpoint, origin));
  }

  /** `x` is what the connection is for: its host and client count where the cluster asks for it. */
  poolOf(cluster: Cluster, endpoint: Endpoint, x: Exchange): EndpointPool {
    const scope = cluster.poolScope ?? null;
    if (scope !== null) return this.#named.poolOf(cluster, endpoint, originOf(scope, x));
    const known = this.#pools.get(endpoint);
    if (known !== undefined) return known;
    const pool = new EndpointPool(this, cluster, endpoint);
    this.#pools.set(endpoint, pool);
    return pool;
  }

  /** Begins to look for idle connections that are due, once a second while there are any. */
  watch(): void {
    if (!this.#sweeper.isArmed) this.wheel.arm(this.#sweeper, SWEEP_MS);
  }

  /** The endpoint left its cluster. */
  drain(endpoint: Endpoint): void {
    this.#named.drain(endpoint);
    const pool = this.#pools.get(endpoint);
    if (pool === undefined) return;
    pool.drain();
    this.#pools.delete(endpoint);
  }

  destroy(): void {
    for (const pool of this.#pools.values()) pool.destroy();
    for (const pool of this.#named.all()) pool.destroy();
    this.#named.clear();
    this.#pools.clear();
    this.wheel.disarm(this.#sweeper);
  }

  #sweep(): void {
    const nowMs = this.clock.now();
    let idle = 0;
    for (const pool of this.#pools.values()) {
      pool.sweep(nowMs);
      idle += pool.idleCount;
    }
    idle += this.#named.sweep(nowMs);
    if (idle > 0) this.wheel.arm(this.#sweeper, SWEEP_MS);
  }
}
