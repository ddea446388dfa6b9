// @hot
// The compiled RouteConfiguration at request time: authority to virtual host, virtual host to route.
// Immutable; the only state is scratch that one match uses and leaves.
import type { Exchange } from '../plan/exchange.ts';
import type { Plan } from '../plan/plan.ts';
import { internHeader } from '../http/header-name.ts';
import { readHeader, type HeaderSource } from '../plan/header-source.ts';
import { withoutPort, type HostIndex } from './host-index.ts';
import type { HostRoutes } from './host-routes.ts';
import { protocolOf } from './redirect.ts';
import type { RouteTable } from './route-table.ts';

export interface TableHost {
  readonly name: string;
  readonly domains: readonly string[];
  /** Which requests must come by TLS (VirtualHost.require_tls). */
  readonly tls: 'none' | 'external' | 'all';
  /** Sends such a request to https; null when `tls` is `none`. */
  readonly tlsPlan: Plan | null;
  readonly routes: HostRoutes;
}

export interface HostTableInit {
  readonly name: string;
  readonly hosts: readonly TableHost[];
  readonly index: HostIndex<TableHost>;
  readonly ignoresPort: boolean;
  /** Holds what virtual hosts are found by; null for the authority. */
  readonly hostSource: HeaderSource | null;
}

const INTERNAL = internHeader('x-envoy-internal');

export class HostTable implements RouteTable {
  readonly name: string;
  readonly hosts: readonly TableHost[];
  readonly #index: HostIndex<TableHost>;
  readonly #ignoresPort: boolean;
  readonly #hostSource: HeaderSource | null;

  constructor(init: HostTableInit) {
    this.name = init.name;
    this.hosts = init.hosts;
    this.#index = init.index;
    this.#ignoresPort = init.ignoresPort;
    this.#hostSource = init.hostSource;
  }

  match(x: Exchange): Plan | null {
    const { request } = x;
    const name = this.#hostSource === null ? request.authority : readHeader(request, this.#hostSource);
    const host = name === null ? null : this.hostOf(name);
    if (host === null) return null;
    if (host.tlsPlan !== null && mustRedirect(host, x)) return host.tlsPlan;
    return host.routes.match(x);
  }

  /** The virtual host that answers for `authority`, or null. */
  hostOf(authority: string): TableHost | null {
    return this.#index.find(this.#ignoresPort ? withoutPort(authority) : authority);
  }
}

function mustRedirect(host: TableHost, x: Exchange): boolean {
  if (protocolOf(x) === 'https') return false;
  return host.tls === 'all' || x.request.get(INTERNAL) !== 'true';
}
