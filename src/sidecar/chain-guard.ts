// What the guards of a filter chain judge, before a connection is handed to the protocol that the chain speaks
// (connection-passage.ts), and whether anything may be done for it before they have.
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import { Exchange } from '../plan/exchange.ts';
import { run } from '../plan/run.ts';
import { SocketConnection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { FilterChain } from './listener-config.ts';
import type { Wire } from './wire.ts';

/** Counts and logs a connection that its guards turned away. */
export function tellTurnedAway(chain: FilterChain, x: Exchange, engine: Engine): void {
  x.endMs = engine.clock.now();
  if (chain.kind !== 'tcp') return;
  const { tally, metrics, clusters, onEnd } = chain.proxy;
  tally.connectionsTotal++;
  x.cluster = clusters[0] ?? null;
  metrics.open(x).close(0);
  run(x, onEnd);
}

/** Whether somebody may already dial for the connection. */
export function mayDial(guards: readonly ConnectionGuard[], wire: Wire, engine: Engine, isInbound: boolean): boolean {
  if (guards.length === 0) return true;
  const x = exchangeOf(wire, engine, isInbound);
  return guards.every((guard) => guard.wouldAdmit(x));
}

/** A connection, and nothing of a request. */
export function exchangeOf(wire: Wire, { clock }: Engine, isInbound: boolean): Exchange {
  const x = new Exchange();
  x.connection = new SocketConnection(wire, isInbound);
  x.startMs = clock.now();
  x.startWallMs = clock.wall();
  return x;
}
