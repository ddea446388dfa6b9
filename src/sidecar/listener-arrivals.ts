// The connections of a listener that no filter chain has taken yet: gives each its listener filters, and
// then to the chain that matches, to the listener of its original destination, or to nobody. What nobody
// takes is closed, counted, and written to the listener's access log with flag NR.
import { Exchange } from '../plan/exchange.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { run } from '../plan/run.ts';
import type { ArrivalPlan } from './arrival/arrival-plan.ts';
import {
  Arrival,
  type ArrivalOwner,
  type Departure,
  type Speculation,
  type SpeculationUser,
} from './arrival/arrival.ts';
import type { ConnectionFacts } from './arrival/connection-facts.ts';
import { ServerFirst } from './arrival/server-first.ts';
import { mayDial } from './chain-guard.ts';
import { SocketConnection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { FilterChain, ListenerConfig } from './listener-config.ts';
import { loadOriginalDestination, type OriginalDestination } from './original-destination.ts';
import { TcpForward, type TcpOwner } from './tcp-forward.ts';
import type { Wire } from './wire.ts';

/** The listener behind the arrivals. */
export interface ArrivalHost extends TcpOwner {
  readonly config: ListenerConfig;
  /** `forward` has dialled for this connection already, or is null. */
  serve(chain: FilterChain, wire: Wire, forward: TcpForward | null): void;
  /** A connection that was counted ended without being served here. */
  gone(): void;
  /** The listener of a restored address, when it is another one. */
  isElsewhere(facts: ConnectionFacts): boolean;
  /** True when another listener took the connection, which is this one's no more. */
  handOver(wire: Wire, facts: ConnectionFacts): boolean;
}

let kernel: OriginalDestination | null = null;

/** Makes ready what the listener filters need; rejects where the system does not have it. */
export async function prepareArrivals({ arrival }: ListenerConfig): Promise<void> {
  if (kernel === null && arrival?.filters.some(({ kind }) => kind === 'original-dst') === true) {
    kernel = await loadOriginalDestination();
  }
}

export class ListenerArrivals implements ArrivalOwner<FilterChain> {
  readonly #engine: Engine;
  readonly #host: ArrivalHost;
  readonly #open = new Map<Arrival<FilterChain>, ArrivalPlan<FilterChain>>();
  readonly #serverFirst = new ServerFirst();
  readonly #forwards = new WeakMap<Speculation, TcpForward>();

  constructor(engine: Engine, host: ArrivalHost) {
    this.#engine = engine;
    this.#host = host;
  }

  get size(): number {
    return this.#open.size;
  }

  /** `facts` are those of the listener that handed the connection over. */
  begin(plan: ArrivalPlan<FilterChain>, wire: Wire, facts: ConnectionFacts | null): void {
    const options = { owner: this, original: kernel, serverFirst: this.#serverFirst, facts };
    const arrival = new Arrival(this.#engine, plan, wire, options);
    this.#open.set(arrival, plan);
    this.#host.config.tally.arriving++;
    arrival.start();
  }

  destroy(): void {
    for (const arrival of this.#open.keys()) arrival.destroy();
  }

  arrived(arrival: Arrival<FilterChain>, chain: FilterChain | null, speculation: Speculation | null): void {
    const plan = this.#forget(arrival);
    const { wire, facts } = arrival;
    const forward = speculation === null ? null : (this.#forwards.get(speculation) ?? null);
    if (forward === null && this.#host.handOver(wire, facts)) return;
    if (chain !== null) {
      this.#host.serve(chain, wire, forward);
      return;
    }
    this.#host.config.tally.unmatched++;
    if (plan !== null) this.#log(plan, wire);
    wire.destroy();
    this.#host.gone();
  }

  isElsewhere(facts: ConnectionFacts): boolean {
    return this.#host.isElsewhere(facts);
  }

  left(arrival: Arrival<FilterChain>, why: Departure): void {
    this.#forget(arrival);
    const { tally } = this.#host.config;
    if (why === 'timeout') tally.arrivalTimeouts++;
    else if (why === 'closed') tally.arrivalCloses++;
    else tally.arrivalErrors++;
    this.#host.gone();
  }

  speculate(chain: FilterChain, wire: Wire, user: SpeculationUser): Speculation | null {
    if (chain.kind !== 'tcp' || chain.transport !== null) return null;
    if (!mayDial(chain.guards, wire, this.#engine, this.#host.isInbound)) return null;
    const forward = new TcpForward(this.#engine, chain.proxy, wire, this.#host);
    this.#forwards.set(forward, forward);
    forward.speculate(user);
    return forward;
  }

  #forget(arrival: Arrival<FilterChain>): ArrivalPlan<FilterChain> | null {
    const plan = this.#open.get(arrival) ?? null;
    if (this.#open.delete(arrival)) this.#host.config.tally.arriving--;
    return plan;
  }

  #log(plan: ArrivalPlan<FilterChain>, wire: Wire): void {
    if (plan.onEnd.length === 0) return;
    const { clock } = this.#engine;
    const x = new Exchange();
    x.connection = new SocketConnection(wire, this.#host.isInbound);
    x.startMs = clock.now();
    x.startWallMs = clock.wall();
    x.endMs = x.startMs;
    x.flags = FLAGS.NR;
    run(x, plan.onEnd);
  }
}
