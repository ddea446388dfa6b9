// The listening sockets and the routes behind them. A listener whose RDS names have not been answered
// waits (warms) until they are, or until its fetch timeout; then one assignment puts it in force.
//
//   put ─► warming (routes missing) ─► listen ─► in force ─► replaced or removed ─► drained
//                                       ▲ same address: no new socket, only `config` is swapped
//
// Open connections stay on the manager they began with, for a while when it was replaced; its routes
// are kept up to date all the same.
import type { Problem } from '../base/problem.ts';
import type { RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import { compileRoutes, type CompileContext, type Compiled } from './compile.ts';
import { slotsOf } from './compile-downstream-tls.ts';
import type { CompiledListener } from './compile-listener.ts';
import type { CompiledRoutes, ManagerRoutes } from './compile-manager.ts';
import type { Engine } from './engine.ts';
import type { RoutesRef } from './http-manager.ts';
import { Listener } from './listener.ts';
import { prepareArrivals } from './listener-arrivals.ts';
import type { ListenerConfig } from './listener-config.ts';
import type { ListenerHost } from './listener-host.ts';

/** How an attempt to put a listener in force ended; `superseded`: a newer version or a removal came first. */
export type PutResult =
  | { readonly kind: 'listening' }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'failed'; readonly message: string };

interface Slot {
  live: Listener | null;
  /** In force; null before the first version is. */
  compiled: CompiledListener | null;
  /** Waiting for routes or for its socket; null when there is none. */
  warming: CompiledListener | null;
  /** Ends the waiting of `warming`; null when it does not wait. */
  proceed: (() => void) | null;
  /** Of managers that were replaced and may still have connections. */
  former: FormerRoutes[];
}

/** The routes of a manager that was replaced, and which of its listener they were: a listener may have a manager for each port. */
interface FormerRoutes {
  readonly weak: WeakRef<RoutesRef>;
  /** Among those of the same name. */
  readonly place: number;
  readonly isOnly: boolean;
}

export interface ListenerSetOptions {
  readonly engine: Engine;
  readonly context: CompileContext;
  /** The newest good RouteConfiguration of a name. */
  readonly routesOf: (name: string) => RouteConfiguration | undefined;
  /** How long connections of a listener that went may take to end. */
  readonly drainMs: number;
  /** Where sockets come from; null: listeners bind them themselves. */
  readonly host: ListenerHost | null;
}

export class ListenerSet {
  readonly #options: ListenerSetOptions;
  readonly #slots = new Map<string, Slot>();
  /** Listeners in force by address and port; null when it must be made anew. */
  #places: ReadonlyMap<string, Listener> | null = null;
  readonly #leaving = new Map<Listener, NodeJS.Timeout>();

  constructor(options: ListenerSetOptions) {
    this.#options = options;
  }

  /** Listeners in force, by name. */
  live(): readonly (readonly [string, Listener])[] {
    return [...this.#slots].flatMap(([name, { live }]) => (live === null ? [] : [[name, live] as const]));
  }

  /** Every manager's routes, in force or warming. */
  routes(): readonly ManagerRoutes[] {
    return [...this.#slots.values()].flatMap(({ compiled, warming }) => [
      ...(compiled?.routes ?? []),
      ...(warming?.routes ?? []),
    ]);
  }

  /** Names to ask RDS for. */
  routeNames(): ReadonlySet<string> {
    return new Set(this.routes().flatMap(({ rdsName }) => (rdsName === null ? [] : [rdsName])));
  }

  /** Puts a new or changed listener in force as soon as its routes are there. */
  async put(name: string, compiled: CompiledListener): Promise<PutResult> {
    const slot = this.#slotOf(name);
    slot.proceed?.();
    slot.warming = compiled;
    for (const routes of compiled.routes) this.#fill(routes);
    await this.#routesArrived(slot, compiled);
    if (slot.warming !== compiled) return { kind: 'superseded' };
    return this.#publish(slot, compiled);
  }

  /** Compiles for every manager of this name, then swaps all; an error leaves all as they were. */
  putRoutes(config: RouteConfiguration): readonly Problem[] {
    const concerned = this.routes().filter(({ rdsName }) => rdsName === config.name);
    const compiled: [ManagerRoutes, Compiled<CompiledRoutes>][] = concerned.map((routes) => [
      routes,
      compileRoutes(config, routes, this.#options.context),
    ]);
    const problems = compiled.find(([, { value }]) => value === null)?.[1].problems ?? compiled[0]?.[1].problems ?? [];
    if (compiled.some(([, { value }]) => value === null)) return problems;
    for (const [routes, { value }] of compiled) install(routes, value);
    for (const slot of this.#slots.values()) {
      this.#follow(slot);
      if (slot.warming !== null && isComplete(slot.warming)) slot.proceed?.();
    }
    return problems;
  }

  remove(name: string): void {
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    this.#slots.delete(name);
    this.#places = null;
    slot.warming = null;
    slot.proceed?.();
    if (slot.live !== null) this.#retire(slot.live);
  }

  /** Stops accepting everywhere; connections end by themselves. */
  drain(): void {
    for (const [, live] of this.live()) live.drain();
  }

  /** Goes on accepting, while more and more responses are their connections' last; 0: every one from now on. */
  drainGracefully(spreadMs: number): void {
    for (const [, live] of this.live()) live.drainGracefully(spreadMs);
  }

  /** Stops accepting everywhere without resetting anybody. */
  async stopAccepting(): Promise<void> {
    await Promise.all(this.live().map(([, live]) => live.stopAccepting()));
  }

  /** Connections that are open, on listeners in force and on those that left. */
  get active(): number {
    const listeners = [...this.live().map(([, live]) => live), ...this.#leaving.keys()];
    return listeners.reduce((sum, listener) => sum + listener.active, 0);
  }

  destroy(): void {
    for (const [name, live] of this.live()) {
      live.destroy();
      this.#slots.delete(name);
    }
    this.#places = null;
    for (const slot of this.#slots.values()) {
      slot.warming = null;
      slot.proceed?.();
    }
    for (const [listener, timer] of this.#leaving) {
      clearTimeout(timer);
      listener.destroy();
    }
    this.#leaving.clear();
  }

  /** The listener in force on this address, else on every address of its port; null for none. */
  readonly #find = (address: string, port: number): Listener | null => {
    const places = (this.#places ??= this.#index());
    return places.get(placeKey(address, port)) ?? places.get(placeKey('', port)) ?? null;
  };

  /** Those on every address have no address in their key; the first of them and of equal ones wins. */
  #index(): ReadonlyMap<string, Listener> {
    const places = new Map<string, Listener>();
    for (const [, live] of this.live()) {
      const { address, port } = live.config;
      const keys = [placeKey(address, port)];
      if (address === ANY_IPV4 || address === ANY_IPV6) keys.push(placeKey('', port));
      for (const key of keys) if (!places.has(key)) places.set(key, live);
    }
    return places;
  }

  #slotOf(name: string): Slot {
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      slot = { live: null, compiled: null, warming: null, proceed: null, former: [] };
      this.#slots.set(name, slot);
    }
    return slot;
  }

  /** Gives a manager the routes that are known already. */
  #fill(routes: ManagerRoutes): void {
    if (routes.rdsName === null) return;
    const config = this.#options.routesOf(routes.rdsName);
    if (config !== undefined) install(routes, compileRoutes(config, routes, this.#options.context).value);
  }

  /** Resolves when no route table is missing, when the wait is over, or when something newer came. */
  async #routesArrived(slot: Slot, compiled: CompiledListener): Promise<void> {
    await secretsSettled(compiled);
    if (slot.warming !== compiled || isComplete(compiled)) return;
    const waitMs = Math.max(...compiled.routes.map(({ fetchTimeoutMs }) => fetchTimeoutMs));
    const isForever = compiled.routes.some(({ rdsName, fetchTimeoutMs }) => rdsName !== null && fetchTimeoutMs === 0);
    await new Promise<void>((resolve) => {
      const timer = isForever ? null : setTimeout(() => this.#waitOver(slot, compiled), waitMs);
      slot.proceed = () => {
        if (timer !== null) clearTimeout(timer);
        slot.proceed = null;
        resolve();
      };
    });
  }

  #waitOver(slot: Slot, compiled: CompiledListener): void {
    const listener = compiled.config.name;
    this.#options.engine.log.warning('routes did not come in time: going on without', { listener });
    slot.proceed?.();
  }

  async #publish(slot: Slot, compiled: CompiledListener): Promise<PutResult> {
    const { config } = compiled;
    const fault = await prepareArrivals(config).then(noFault, faultOf);
    if (slot.warming !== compiled) return { kind: 'superseded' };
    if (fault !== null) {
      slot.warming = null;
      return { kind: 'failed', message: fault };
    }
    const before = slot.live;
    if (before !== null && isSameAddress(before.config, config)) {
      this.#install(slot, compiled, before);
      before.update(config);
      this.#places = null;
      return { kind: 'listening' };
    }
    const live = new Listener(this.#options.engine, config, this.#options.host);
    live.findListener = this.#find;
    try {
      await live.listen();
    } catch (cause) {
      if (slot.warming === compiled) slot.warming = null;
      return { kind: 'failed', message: faultOf(cause) };
    }
    if (slot.warming !== compiled) {
      live.destroy();
      return { kind: 'superseded' };
    }
    this.#install(slot, compiled, live);
    if (before !== null) this.#retire(before);
    return { kind: 'listening' };
  }

  #install(slot: Slot, compiled: CompiledListener, live: Listener): void {
    const before = slot.compiled?.routes ?? [];
    for (const [index, { ref }] of before.entries()) {
      const place = before.slice(0, index).filter((other) => other.ref.name === ref.name).length;
      slot.former.push({ weak: new WeakRef(ref), place, isOnly: before.length === 1 });
    }
    slot.live = live;
    this.#places = null;
    slot.compiled = compiled;
    slot.warming = null;
    this.#follow(slot);
  }

  /** Connections of replaced managers take the newest routes of the one that has their place; without one they keep theirs. */
  #follow(slot: Slot): void {
    const routes = slot.compiled?.routes ?? [];
    slot.former = slot.former.filter(({ weak }) => weak.deref() !== undefined);
    for (const { weak, place, isOnly } of slot.former) {
      const ref = weak.deref();
      if (ref === undefined) continue;
      const named = routes.filter((other) => other.ref.name === ref.name);
      const next = named[Math.min(place, named.length - 1)] ?? (isOnly && routes.length === 1 ? routes[0] : undefined);
      if (next !== undefined && next.ref.table !== null) ref.table = next.ref.table;
    }
  }

  #retire(listener: Listener): void {
    listener.drain();
    const timer = setTimeout(() => {
      this.#leaving.delete(listener);
      listener.destroy();
    }, this.#options.drainMs);
    this.#leaving.set(listener, timer.unref());
  }
}

const ANY_IPV4 = '0.0.0.0';
const ANY_IPV6 = '::';

function placeKey(address: string, port: number): string {
  return `${address} ${port}`;
}

function noFault(): null {
  return null;
}

function faultOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function install(routes: ManagerRoutes, compiled: CompiledRoutes | null): void {
  if (compiled === null) return;
  routes.ref.table = compiled.table;
  routes.plans = compiled.plans;
}

/** Secrets are waited for as long as their sources say; each slot settles by itself. */
async function secretsSettled({ config }: CompiledListener): Promise<void> {
  const slots = config.chains.flatMap(({ transport }) => (transport === null ? [] : slotsOf(transport)));
  if (slots.every(({ isSettled }) => isSettled)) return;
  await Promise.all(slots.map((slot) => new Promise<void>((resolve) => slot.onSettled(resolve))));
}

function isComplete({ routes }: CompiledListener): boolean {
  return routes.every(({ ref }) => ref.table !== null);
}

function isSameAddress(one: ListenerConfig, other: ListenerConfig): boolean {
  return one.address === other.address && one.port === other.port && one.bindsToPort === other.bindsToPort;
}
