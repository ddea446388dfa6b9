// Chooses the filter chain of a connection, as Envoy does: nine criteria in a fixed order, each of which
// keeps the chains that are most specific for the connection and never comes back to others when a later
// one finds nothing. Compiled to nested look-ups at config time. Two chains that match the same
// connections are refused where they are added.
// Source: Envoy FilterChainMatch, and the order of its documentation.
import { BlockList, isIP } from 'node:net';
import { PrefixMap, type AddressRange } from './prefix-map.ts';

export type SourceType = 'any' | 'local' | 'external';

/** One chain's criteria; an empty list (or text) asks for nothing. */
export interface ChainRule {
  /** 0: any. */
  readonly destinationPort: number;
  readonly destinationRanges: readonly AddressRange[];
  /** Exact and lower-case, or a suffix that begins with a dot for `*.suffix`. */
  readonly serverNames: readonly string[];
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  readonly directSourceRanges: readonly AddressRange[];
  readonly sourceType: SourceType;
  readonly sourceRanges: readonly AddressRange[];
  readonly sourcePorts: readonly number[];
}

/** What a connection is matched by. Addresses are textual, an IPv4 address without IPv6 clothing. */
export interface ChainQuestion {
  readonly localAddress: string;
  readonly localPort: number;
  readonly serverName: string;
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  /** The peer of the socket; differs from `remoteAddress` behind a PROXY header. */
  readonly directAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

type BySourcePort<Chain> = Map<number, Chain>;
type BySourceType<Chain> = Map<SourceType, PrefixMap<BySourcePort<Chain>>>;
type ByProtocol<Chain> = Map<string, PrefixMap<BySourceType<Chain>>>;
type ByTransport<Chain> = Map<string, ByProtocol<Chain>>;
type ByName<Chain> = Map<string, ByTransport<Chain>>;

export class FilterChainMatch<Chain> {
  readonly #ports = new Map<number, PrefixMap<ByName<Chain>>>();

  /** Adds a chain; the one that already matches some of the same connections, or null. */
  add(rule: ChainRule, chain: Chain): Chain | null {
    let clash: Chain | null = null;
    const ranges = entry(this.#ports, rule.destinationPort, newPrefixMap<ByName<Chain>>);
    for (const range of orAny(rule.destinationRanges)) {
      const names = ranges.at(range, newMap);
      for (const name of orText(rule.serverNames)) {
        const transports = entry(names, name, newMap<string, ByProtocol<Chain>>);
        const protocols = entry(transports, rule.transportProtocol, newMap<string, PrefixMap<BySourceType<Chain>>>);
        for (const protocol of orText(rule.applicationProtocols)) {
          const sources = entry(protocols, protocol, newPrefixMap<BySourceType<Chain>>);
          clash = addSource(sources, rule, chain) ?? clash;
        }
      }
    }
    return clash;
  }

  /** The most specific chain, or null: then the default chain is meant. */
  find(question: ChainQuestion): Chain | null {
    const ranges =
      (isIP(question.localAddress) === 0 ? undefined : this.#ports.get(question.localPort)) ?? this.#ports.get(0);
    const names = ranges?.find(question.localAddress);
    if (names === undefined || names === null) return null;
    const transports = byName(names, question.serverName);
    const protocols = transports?.get(question.transportProtocol) ?? transports?.get('');
    const direct = protocols === undefined ? undefined : byProtocol(protocols, question.applicationProtocols);
    const types = direct?.find(question.directAddress);
    if (types === undefined || types === null) return null;
    const ports = (types.get(sourceTypeOf(question)) ?? types.get('any'))?.find(question.remoteAddress);
    return ports?.get(question.remotePort) ?? ports?.get(0) ?? null;
  }
}

function addSource<Chain>(sources: PrefixMap<BySourceType<Chain>>, rule: ChainRule, chain: Chain): Chain | null {
  let clash: Chain | null = null;
  for (const direct of orAny(rule.directSourceRanges)) {
    const ranges = entry(sources.at(direct, newMap), rule.sourceType, newPrefixMap<BySourcePort<Chain>>);
    for (const range of orAny(rule.sourceRanges)) {
      const ports = ranges.at(range, newMap);
      for (const port of rule.sourcePorts.length === 0 ? [0] : rule.sourcePorts) {
        const known = ports.get(port);
        if (known === undefined) ports.set(port, chain);
        else clash = known;
      }
    }
  }
  return clash;
}

/** The exact name, then each suffix from the longest on, then chains that name none. */
function byName<Chain>(names: ByName<Chain>, serverName: string): ByTransport<Chain> | undefined {
  const exact = names.get(serverName);
  if (exact !== undefined) return exact;
  for (let dot = serverName.indexOf('.', 1); dot !== -1; dot = serverName.indexOf('.', dot + 1)) {
    const suffix = names.get(serverName.slice(dot));
    if (suffix !== undefined && dot < serverName.length - 1) return suffix;
  }
  return names.get('');
}

/** The client's own order decides between several. */
function byProtocol<Chain>(
  protocols: ByProtocol<Chain>,
  offered: readonly string[],
): PrefixMap<BySourceType<Chain>> | undefined {
  for (const protocol of offered) {
    const found = protocols.get(protocol);
    if (found !== undefined) return found;
  }
  return protocols.get('');
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** A Unix socket is local by nature. */
function sourceTypeOf({ remoteAddress, localAddress }: ChainQuestion): SourceType {
  const family = isIP(remoteAddress);
  const isLocal =
    family === 0 || remoteAddress === localAddress || LOOPBACK.check(remoteAddress, `ipv${family === 4 ? 4 : 6}`);
  return isLocal ? 'local' : 'external';
}

function orAny(ranges: readonly AddressRange[]): readonly (AddressRange | null)[] {
  return ranges.length === 0 ? [null] : ranges;
}

function orText(texts: readonly string[]): readonly string[] {
  return texts.length === 0 ? [''] : texts;
}

function newMap<Key, Value>(): Map<Key, Value> {
  return new Map();
}

function newPrefixMap<Value>(): PrefixMap<Value> {
  return new PrefixMap();
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
