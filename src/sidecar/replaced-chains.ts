// What becomes of connections whose filter chain was replaced. Requests end on the next response, so they are judged by
// newer policies from then on; bytes that are only passed on, and tunnels, have no such end. They stay while the chain in
// their place would still take them: one that it would turn away, or that is plaintext where only TLS is taken now, is closed
// at once.
import type { Exchange } from '../plan/exchange.ts';
import type { FilterChain } from './listener-config.ts';
import type { H1Server } from './h1-server.ts';
import type { Roster } from './roster.ts';
import type { TcpForward } from './tcp-forward.ts';
import { isTunnelRefused } from './tunnel-guard.ts';

/** `kept`: fingerprints of chains that stayed; `chains`: those in force. Returns how many connections end soon. */
export function leaveReplaced(
  http: Roster<H1Server, FilterChain>,
  tcp: Roster<TcpForward, FilterChain>,
  kept: ReadonlySet<string>,
  chains: readonly FilterChain[],
): number {
  let retired = 0;
  for (const server of http.members()) {
    const before = http.noteOf(server);
    if (before !== undefined && kept.has(before.fingerprint)) continue;
    server.retire();
    retired++;
    if (before === undefined) continue;
    const { driver } = server;
    const isTunnel = driver.isActive && driver.isTunnel;
    if (isTunnel && (wantsTls(before, chains) || isDenied(driver.x, before, chains))) server.destroy();
    else if (wantsTls(before, chains)) server.drain();
  }
  for (const forward of tcp.members()) {
    const before = tcp.noteOf(forward);
    if (before === undefined || kept.has(before.fingerprint)) continue;
    if (wantsTls(before, chains) || isRefused(forward, before, chains)) forward.destroy();
  }
  return retired;
}

/** It was plaintext, and nothing under its name takes plaintext any more. */
function wantsTls({ name, transport }: FilterChain, chains: readonly FilterChain[]): boolean {
  if (transport !== null) return false;
  const named = chains.filter((chain) => chain.name === name);
  return named.length > 0 && named.every((chain) => chain.transport !== null);
}

/** Nothing that may have its place would open the tunnel. */
function isDenied(x: Exchange, { name, transport }: FilterChain, chains: readonly FilterChain[]): boolean {
  const places = chains.flatMap((chain) =>
    chain.kind === 'http' && chain.name === name && (chain.transport === null) === (transport === null) ? [chain] : [],
  );
  return places.length > 0 && places.every(({ manager }) => isTunnelRefused(x, manager));
}

/** Nothing that may have its place admits it. Without any there is nobody to ask: what became of the port is not known. */
function isRefused(forward: TcpForward, { name, transport }: FilterChain, chains: readonly FilterChain[]): boolean {
  const places = chains.filter(
    (chain) => chain.kind === 'tcp' && chain.name === name && (chain.transport === null) === (transport === null),
  );
  return places.length > 0 && places.every(({ guards }) => !forward.passes(guards));
}
