// @hot
// The picker of an ORIGINAL_DST cluster: a request goes where its client meant to go before the kernel's
// redirect, or where a header says when the cluster reads one. Endpoints are made on demand and
// forgotten when a cleanup interval passed without a pick and nothing is under way. A connection that
// was not redirected has no destination: forwarding to its own address would be a loop, so it gets none.
//
//   header (first line, valid) ─► else restored local address ─► port override ─► endpoint by ip:port
//
// Source: Envoy config.cluster.v3.Cluster.OriginalDstLbConfig and clusters/original_dst.
import { isIP, isIPv6 } from 'node:net';
import type { HeaderId } from '../base/brand.ts';
import { UNKNOWN } from '../http/header-name.ts';
import { Endpoint, type Picker } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';

export interface OriginalDestinationsOptions {
  /** UNKNOWN: no header is read. */
  readonly header: HeaderId;
  /** 0: the port of the destination. */
  readonly portOverride: number;
  /** Where connections to this address are dialled from; empty: the kernel's choice. */
  readonly sourceFor: (address: string) => string;
  /** Called when the first endpoint comes after there was none: cleaning begins. */
  readonly onFirst: () => void;
}

/** Endpoints kept at once; past it the ones at rest go, and without one of those there is no endpoint. */
export const DESTINATIONS_MAX = 16_384;

const NOWHERE = Object.freeze({ region: '', zone: '', subZone: '' });
const NO_METADATA: ReadonlyMap<string, string> = new Map();

export class OriginalDestinations implements Picker {
  /** In the order they came; changes in place. */
  readonly endpoints: Endpoint[] = [];
  readonly #options: OriginalDestinationsOptions;
  /** By address, then port: a pick makes no string. */
  readonly #byAddress = new Map<string, Map<number, Endpoint>>();
  readonly #picked = new Set<Endpoint>();
  #onRemoved: (removed: readonly Endpoint[]) => void = ignore;

  constructor(options: OriginalDestinationsOptions) {
    this.#options = options;
  }

  /** Whoever keeps connections to endpoints hears here which ones went. */
  set onRemoved(callback: (removed: readonly Endpoint[]) => void) {
    this.#onRemoved = callback;
  }

  pick(x: Exchange | null): Endpoint | null {
    if (x === null) return null;
    const { header, portOverride } = this.#options;
    if (header !== UNKNOWN) {
      const value = x.request.get(header);
      const colon = value === null ? -1 : value.lastIndexOf(':');
      if (value !== null && colon > 0) {
        const port = portOf(value, colon + 1);
        const address = addressOf(value, colon);
        if (port > 0 && address !== '') return this.#endpoint(address, portOverride === 0 ? port : portOverride);
      }
    }
    const { connection } = x;
    if (!connection.isRestored || connection.localPort === 0) return null;
    return this.#endpoint(connection.localAddress, portOverride === 0 ? connection.localPort : portOverride);
  }

  /**
   * Forgets what was not picked since the last call and has nothing under way: once in a cleanup interval, by
   * config time's timers. True while endpoints are left.
   */
  clean(): boolean {
    this.#forget((endpoint) => endpoint.active === 0 && !this.#picked.has(endpoint));
    this.#picked.clear();
    return this.endpoints.length > 0;
  }

  /** Config time: the cluster goes, or is no longer of this kind. */
  close(): void {
    this.#picked.clear();
    this.#forget(() => true);
  }

  #endpoint(address: string, port: number): Endpoint | null {
    const known = this.#byAddress.get(address)?.get(port);
    if (known !== undefined) {
      this.#picked.add(known);
      return known;
    }
    return this.#add(address, port);
  }

  /** At most once per connection: for a destination that is new. */
  #add(address: string, port: number): Endpoint | null {
    if (this.endpoints.length >= DESTINATIONS_MAX) {
      this.#forget((endpoint) => endpoint.active === 0);
      if (this.endpoints.length >= DESTINATIONS_MAX) return null;
    }
    const endpoint = new Endpoint({
      address,
      port,
      hostname: '',
      locality: NOWHERE,
      priority: 0,
      metadata: NO_METADATA,
      weight: 1,
    });
    endpoint.sourceAddress = this.#options.sourceFor(address);
    const ports = this.#byAddress.get(address);
    if (ports === undefined) this.#byAddress.set(address, new Map([[port, endpoint]]));
    else ports.set(port, endpoint);
    this.endpoints.push(endpoint);
    this.#picked.add(endpoint);
    if (this.endpoints.length === 1) this.#options.onFirst();
    return endpoint;
  }

  /** Not per connection: when a cleanup interval is over, or there are too many. */
  #forget(isLeaving: (endpoint: Endpoint) => boolean): void {
    const removed: Endpoint[] = [];
    let kept = 0;
    for (const endpoint of this.endpoints) {
      if (isLeaving(endpoint)) removed.push(endpoint);
      else this.endpoints[kept++] = endpoint;
    }
    this.endpoints.length = kept;
    for (const endpoint of removed) {
      const ports = this.#byAddress.get(endpoint.address);
      ports?.delete(endpoint.port);
      if (ports?.size === 0) this.#byAddress.delete(endpoint.address);
      this.#picked.delete(endpoint);
    }
    if (removed.length > 0) this.#onRemoved(removed);
  }
}

function ignore(): void {}

/** The decimal port that ends the text, or 0. */
function portOf(text: string, start: number): number {
  if (start >= text.length || text.length - start > 5) return 0;
  let port = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return 0;
    port = port * 10 + digit;
  }
  return port > 65_535 ? 0 : port;
}

/** The IP before the port, out of its brackets if it is IPv6; empty when it is none. */
function addressOf(text: string, end: number): string {
  if (text.charCodeAt(0) === 0x5b) {
    const inner = text.charCodeAt(end - 1) === 0x5d ? text.slice(1, end - 1) : '';
    return isIPv6(inner) ? inner : '';
  }
  const address = text.slice(0, end);
  return isIP(address) === 4 ? address : '';
}
