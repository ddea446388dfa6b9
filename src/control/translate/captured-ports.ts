// Which listeners captured outbound connections are handed to: one for each port where somebody speaks HTTP,
// one for each address and port of TCP. Two services that want the same are settled the way Istio does it: HTTP
// shares its port by names, TLS by the name in the client hello, and otherwise the older service keeps it.
//
//   HTTP                    0.0.0.0_PORT   routes PORT
//   TCP with an address     ADDRESS_PORT   (a Service without one: the addresses of its instances)
//   TCP without, TLS, range 0.0.0.0_PORT   told apart by range and name
//   not declared            ADDRESS_PORT   routes HOST:PORT if it is HTTP, else the service's cluster
import { isIP } from 'node:net';
import type { MeshNode } from '../mesh-node.ts';
import { isHttp } from '../mesh-service.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';
import { tcpChains } from './tcp-chains.ts';
import type { TcpChain } from './tcp-chains.ts';

const BARE_PORT = 80;

export interface CapturedPort {
  /** Empty for every address. */
  readonly address: string;
  readonly port: number;
  /** The name of the routes of what turns out to be HTTP; empty for none. */
  readonly routes: string;
  readonly chains: readonly TcpChain[];
}

/** A port of a service that captured connections do not reach, because an older one has what it needs. */
export interface PortConflict {
  readonly service: MeshService;
  readonly port: MeshPort;
  /** The host of the older service. */
  readonly holder: string;
}

export interface Captured {
  readonly ports: readonly CapturedPort[];
  readonly conflicts: readonly PortConflict[];
}

interface Draft {
  /** The host of the service that came first. */
  holder: string;
  readonly address: string;
  readonly port: number;
  routes: string;
  readonly chains: TcpChain[];
  /** What a chain has claimed: `name range`. */
  readonly claimed: Set<string>;
}

export function capturedPorts(
  scope: Scope,
  node: Pick<MeshNode, 'namespace' | 'labels'>,
  ownPorts: ReadonlySet<number>,
): Captured {
  const drafts = new Drafts();
  const conflicts: PortConflict[] = [];
  for (const service of [...scope.services.values()].toSorted(byAge)) {
    if (isGiven(service)) continue;
    for (const port of service.ports) {
      if (port.protocol === 'udp' || ownPorts.has(port.number)) continue;
      const addresses = port.protocol === 'tcp' || port.isGuessed ? addressesOf(service, port) : [];
      for (const [address, number] of addresses) {
        if (ownPorts.has(number)) continue;
        const draft = drafts.at(address, number, service.host);
        if (draft.chains.length > 0) {
          conflicts.push({ service, port, holder: draft.holder });
          continue;
        }
        addChains(draft, tcpChains(service, port, { scope, node, isOwnAddress: true }));
        if (port.isGuessed) draft.routes = `${service.host}:${port.number}`;
      }
      const isEverywhere = addresses.length === 0 || service.ranges.length > 0;
      if (!isEverywhere) continue;
      const draft = drafts.at('', port.number, service.host);
      if (!isHttp(port.protocol)) {
        const isAdded = addChains(draft, tcpChains(service, port, { scope, node, isOwnAddress: false }));
        if (!isAdded) conflicts.push({ service, port, holder: draft.holder });
      } else if (takesAll(draft)) conflicts.push({ service, port, holder: draft.holder });
      else draft.routes = String(port.number);
    }
  }
  const isNameless = [...scope.virtualServices.keys()].some((host) => host !== '*' && !scope.has(host));
  if (isNameless && !takesAll(drafts.at('', BARE_PORT, ''))) drafts.at('', BARE_PORT, '').routes = String(BARE_PORT);
  const ports = drafts.all().filter((draft) => draft.routes !== '' || draft.chains.length > 0);
  return { ports, conflicts };
}

/** A collector that the command line names is nobody whom apps call. */
export function isGiven(service: MeshService): boolean {
  return service.kind === 'entry' && service.source === null;
}

class Drafts {
  readonly #drafts = new Map<string, Draft>();

  at(address: string, port: number, host: string): Draft {
    const key = `${address} ${port}`;
    const known = this.#drafts.get(key);
    if (known !== undefined) return known;
    const draft: Draft = { holder: host, address, port, routes: '', chains: [], claimed: new Set() };
    this.#drafts.set(key, draft);
    return draft;
  }

  /** In an order that does not depend on the age of services, so that equal contents are equal bytes. */
  all(): readonly Draft[] {
    return [...this.#drafts.values()].toSorted(
      (left, right) => left.port - right.port || (left.address < right.address ? -1 : 1),
    );
  }
}

/** True when the listeners for a service have the addresses of its instances. */
export function dependsOnInstances({ clusterIps, kind, resolution }: MeshService): boolean {
  return clusterIps.length === 0 && kind !== 'entry' && resolution === 'eds';
}

/** Where only connections to this port of this service arrive. */
function addressesOf(service: MeshService, port: MeshPort): readonly (readonly [string, number])[] {
  const own = service.clusterIps.map((address) => [address, port.number] as const);
  if (!dependsOnInstances(service)) return own;
  const instances = service.endpoints.get(port.number) ?? [];
  return instances
    .filter((endpoint) => isIP(endpoint.address) !== 0)
    .map((endpoint) => [endpoint.address, endpoint.port]);
}

/** Adds what nobody has claimed: Envoy refuses two chains with one condition. False when that is nothing. */
function addChains(draft: Draft, chains: readonly TcpChain[]): boolean {
  const before = draft.chains.length;
  for (const { serverNames, ranges, ...way } of chains) {
    const isFree = (name: string, range: string): boolean => !draft.claimed.has(`${name} ${range}`);
    const names = serverNames.length === 0 ? [''] : serverNames;
    const places = ranges.length === 0 ? [''] : ranges;
    const freeNames = names.filter((name) => places.some((range) => isFree(name, range)));
    const freePlaces = places.filter((range) => freeNames.every((name) => isFree(name, range)));
    const isAll = names[0] === '' && places[0] === '';
    if (freeNames.length === 0 || freePlaces.length === 0 || (isAll && draft.routes !== '')) continue;
    for (const name of freeNames) for (const range of freePlaces) draft.claimed.add(`${name} ${range}`);
    draft.chains.push({
      serverNames: serverNames.length === 0 ? [] : freeNames,
      ranges: ranges.length === 0 ? [] : freePlaces,
      ...way,
    });
  }
  return draft.chains.length > before;
}

function takesAll(draft: Draft): boolean {
  return draft.claimed.has(' ');
}

function byAge(left: MeshService, right: MeshService): number {
  return left.meta.createdAtMs - right.meta.createdAtMs || (left.host < right.host ? -1 : 1);
}
