// @hot
// Warm connections per endpoint. A request takes the connection used last, or waits while one is
// dialled; a connection that becomes free goes to the oldest waiter. Failing to dial fails the oldest
// waiter, each dial one. Idle connections go after the cluster's idle timeout; a pool that drains
// closes what is idle at once and the rest after their request. The limits of the cluster hold here: a request that
// meets one is told at once; an endpoint that was chosen gets one connection whatever the limit is, or nobody who
// waits for it would ever be served. Requests of high priority have pools of their own.
//
//   acquire ─► idle? take it ─► else wait + dial ─► connected ─► oldest waiter
//      └─► over a limit ─► onPoolFailure, at once
//   release ─► oldest waiter, else idle ─► (idle timeout) ─► closed
import type { Clock } from '../base/clock.ts';
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';
import { failure, type Failure } from '../plan/failure.ts';
import { NamedPools } from './named-pools.ts';
import { ANYBODY, HIGH, originOf, type PoolOrigin } from './pool-origin.ts';
import { Dialling } from './dialling.ts';
import type { SecureTarget } from './dial-secure.ts';
import { EndpointFollowers } from './endpoint-followers.ts';
import { UpstreamConnection, type UpstreamOwner } from './h1-client.ts';
import { PENDING_OVERFLOW, PoolPermits, REQUEST_OVERFLOW } from './pool-permits.ts';
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
  readonly #permits: PoolPermits;
  #isDraining = false;
  /** False: there are too many pools, and nobody gets a connection of this one. */
  readonly isAdmitted: boolean;

  constructor(registry: PoolRegistry, cluster: Cluster, endpoint: Endpoint, origin: PoolOrigin) {
    this.#origin = origin;
    this.#registry = registry;
    this.#cluster = cluster;
    this.endpoint = endpoint;
    this.#permits = new PoolPermits(endpoint, origin.isHigh);
    this.#permits.follow(cluster);
    this.isAdmitted = this.#admit(cluster);
  }

  #admit(cluster: Cluster): boolean {
    if (this.#permits.admitsPool()) return true;
    if (this.#registry.makeRoom(cluster, this.endpoint, this.#origin.isHigh) && this.#permits.admitsPool()) return true;
    this.#permits.countPoolOverflow();
    return false;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0 && this.#dialling.size === 0 && this.#waiting.length === 0;
  }

  /** True when nobody uses it or waits for it. */
  get isQuiet(): boolean {
    return this.#open.size === this.#idle.length && this.#dialling.size === 0 && this.#waiting.length === 0;
  }

  serves(cluster: Cluster, isHigh: boolean): boolean {
    return this.#cluster.name === cluster.name && this.#origin.isHigh === isHigh;
  }

  /** True when the downstream connection that these are for is gone. */
  get hasLostClient(): boolean {
    return this.#origin.client !== null && this.#origin.client.isClosed === true;
  }

  /**
   * A connection at once, or null: then `user` is called, once, and already before this returns when a limit refuses
   * it. `isFresh` demands a connection that has carried nothing yet.
   */
  acquire(cluster: Cluster, user: PoolUser, isFresh: boolean): UpstreamConnection | null {
    this.#cluster = cluster;
    this.#permits.follow(cluster);
    if (!this.isAdmitted) {
      user.onPoolFailure(NO_POOL);
      return null;
    }
    if (!isFresh) {
      for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
        if (!connection.isUsable) continue;
        if (this.#isDue(connection)) {
          connection.abandon();
          continue;
        }
        if (this.#permits.admits(connection)) return connection;
        this.#idle.push(connection);
        user.onPoolFailure(REQUEST_OVERFLOW);
        return null;
      }
    }
    if (!this.#permits.admitsWaiter()) {
      user.onPoolFailure(PENDING_OVERFLOW);
      return null;
    }
    this.#waiting.push(user);
    if (this.#dialling.size < this.#waiting.length) this.#dial();
    return null;
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user);
    if (at === -1) return;
    this.#waiting.splice(at, 1);
    this.#permits.dismissWaiter();
  }

  release(connection: UpstreamConnection): void {
    this.#permits.dismiss(connection);
    const max = this.#cluster.maxRequestsPerConnection;
    if (max > 0 && connection.requests >= max) {
      this.#permits.countMaximum();
      connection.abandon();
      return;
    }
    if (this.#isTooOld(connection)) {
      this.#permits.countAge();
      connection.abandon();
      return;
    }
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      this.#permits.dismissWaiter();
      if (this.#permits.admits(connection)) {
        waiter.onPoolReady(connection);
        return;
      }
      waiter.onPoolFailure(REQUEST_OVERFLOW);
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
    this.#permits.dismiss(connection);
    this.#permits.dismissConnection();
    this.endpoint.connectionsActive--;
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    // Somebody may be waiting for what just went.
    if (this.#dialling.size < this.#waiting.length) this.#dial();
  }

  /** Closes idle connections that are older than the cluster, or their server, allows. */
  sweep(nowMs: number): void {
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      const connection = this.#idle[i];
      if (connection === undefined) continue;
      if (this.#isTooOld(connection)) this.#permits.countAge();
      else if (isTooIdle(connection, this.#cluster.idleTimeoutMs, nowMs)) this.#permits.countIdle();
      else continue;
      // It leaves the list by forget().
      connection.abandon();
    }
  }

  /** The clock is asked only of what has a limit that the sweep may come too late for. */
  #isDue(connection: UpstreamConnection): boolean {
    if (connection.idleMaxMs > 0 && isTooIdle(connection, 0, this.#registry.clock.now())) return true;
    return this.#isTooOld(connection);
  }

  #isTooOld(connection: UpstreamConnection): boolean {
    const maxMs = this.#cluster.maxConnectionDurationMs ?? 0;
    return maxMs > 0 && this.#registry.clock.now() - connection.openedMs >= maxMs;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** The endpoint is gone: no new warm connections; running requests end as they would. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#idle.splice(0)) connection.abandon();
  }

  /** It is no pool of the cluster any more; what is under way on it ends as it would. */
  leave(): void {
    this.drain();
    if (this.isAdmitted) this.#permits.dismissPool();
  }

  /** Closes everything now. */
  destroy(): void {
    this.#isDraining = true;
    for (let i = this.#waiting.length; i > 0; i--) this.#permits.dismissWaiter();
    this.#waiting.length = 0;
    for (const dialling of this.#dialling) {
      dialling.cancel();
      this.#permits.dismissConnection();
    }
    this.#dialling.clear();
    for (const connection of this.#open.members()) connection.abandon();
  }

  /** Opens one more connection, if it may (per connection, not per request). */
  #dial(): void {
    const { endpoint } = this;
    if (!this.#permits.admitsConnection(this.#open.size === 0 && this.#dialling.size === 0)) {
      // Whoever waits though there are idle ones wants a fresh one: one of them makes room, and forget() dials.
      this.#idle[0]?.abandon();
      return;
    }
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
    connection.openedMs = this.#registry.clock.now();
    this.#open.add(connection, null);
    this.endpoint.connectionsActive++;
    this.release(connection);
  }

  #dialFailed(dialling: Dialling, failed: Failure): void {
    if (!this.#dialling.delete(dialling)) return;
    this.endpoint.connectFailuresTotal++;
    this.#permits.dismissConnection();
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      this.#permits.dismissWaiter();
      waiter.onPoolFailure(failed);
    }
    if (this.#dialling.size < this.#waiting.length) this.#dial();
  }
}

/** What a request is told whose cluster has as many pools as it may, as Envoy does. */
const NO_POOL: Failure = Object.freeze(failure('no-healthy-upstream', 'internal', 'no'));

/** By the time that the cluster allows (0: any), and the one that the server said. */
function isTooIdle(connection: UpstreamConnection, limitMs: number, nowMs: number): boolean {
  const idleMs = nowMs - connection.idleSinceMs;
  if (limitMs > 0 && idleMs >= limitMs) return true;
  return connection.idleMaxMs > 0 && idleMs >= connection.idleMaxMs;
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
  readonly followers: EndpointFollowers = new EndpointFollowers();
  readonly #pools = new Map<Endpoint, EndpointPool>();
  /** Of requests of high priority. */
  readonly #highPools = new Map<Endpoint, EndpointPool>();
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
    const pools = x.isHighPriority ? this.#highPools : this.#pools;
    const known = pools.get(endpoint);
    if (known !== undefined) return known;
    const pool = new EndpointPool(this, cluster, endpoint, x.isHighPriority ? HIGH : ANYBODY);
    if (pool.isAdmitted) pools.set(endpoint, pool);
    return pool;
  }

  /** Gives up one pool of the cluster: one without connections, or of this endpoint one that nobody uses. */
  makeRoom(cluster: Cluster, endpoint: Endpoint, isHigh: boolean): boolean {
    const pools = isHigh ? this.#highPools : this.#pools;
    for (const pool of pools.values()) {
      if (!pool.isEmpty || !pool.serves(cluster, isHigh)) continue;
      pools.delete(pool.endpoint);
      pool.leave();
      return true;
    }
    return this.#named.makeRoom(cluster, endpoint, isHigh);
  }

  /** Begins to look for idle connections that are due, once a second while there are any. */
  watch(): void {
    if (!this.#sweeper.isArmed) this.wheel.arm(this.#sweeper, SWEEP_MS);
  }

  /** The endpoint left its cluster. */
  drain(endpoint: Endpoint): void {
    this.#named.drain(endpoint);
    this.#pools.get(endpoint)?.leave();
    this.#pools.delete(endpoint);
    this.#highPools.get(endpoint)?.leave();
    this.#highPools.delete(endpoint);
  }

  /** The endpoint has failed: what comes next, if anything, comes on new connections (Envoy drains them likewise). */
  fail(endpoint: Endpoint, endsTcp: boolean): void {
    this.drain(endpoint);
    if (endsTcp) this.followers.fail(endpoint);
  }

  destroy(): void {
    for (const pool of this.#pools.values()) pool.destroy();
    for (const pool of this.#highPools.values()) pool.destroy();
    this.#highPools.clear();
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
    for (const pool of this.#highPools.values()) {
      pool.sweep(nowMs);
      idle += pool.idleCount;
    }
    idle += this.#named.sweep(nowMs);
    if (idle > 0) this.wheel.arm(this.#sweeper, SWEEP_MS);
  }
}
