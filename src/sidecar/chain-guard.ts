// The guards of a filter chain: judge a connection when its handshake is over, before it is handed to the protocol that
// the chain speaks. One that is turned away is closed, and where the chain forwards bytes it is counted and logged like
// any other connection of it, with what was decided as the reason.
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import { Exchange } from '../plan/exchange.ts';
import { run } from '../plan/run.ts';
import { SocketConnection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { FilterChain } from './listener-config.ts';
import type { Wire } from './wire.ts';

/** Null: the connection may go on. Else it is to be closed, and has been told of. */
export function turnedAway(chain: FilterChain, wire: Wire, engine: Engine, isInbound: boolean): Exchange | null {
  const x = exchangeOf(wire, engine, isInbound);
  if (chain.guards.every((guard) => guard.admits(x))) return null;
  x.endMs = engine.clock.now();
  if (chain.kind === 'tcp') {
    const { tally, metrics, clusters, onEnd } = chain.proxy;
    tally.connectionsTotal++;
    x.cluster = clusters[0] ?? null;
    metrics.open(x).close(0);
    run(x, onEnd);
  }
  return x;
}

/** Whether somebody may already dial for the connection. */
export function mayDial(guards: readonly ConnectionGuard[], wire: Wire, engine: Engine, isInbound: boolean): boolean {
  if (guards.length === 0) return true;
  const x = exchangeOf(wire, engine, isInbound);
  return guards.every((guard) => guard.wouldAdmit(x));
}

function exchangeOf(wire: Wire, { clock }: Engine, isInbound: boolean): Exchange {
  const x = new Exchange();
  x.connection = new SocketConnection(wire, isInbound);
  x.startMs = clock.now();
  x.startWallMs = clock.wall();
  return x;
}
