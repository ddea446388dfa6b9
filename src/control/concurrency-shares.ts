// Divides what a service serves at a time among its clients: the connected sidecars that see the service. Nobody knows
// who will send, so shares are equal, and what cannot be divided goes to the first by id; the sum is the limit, never more.
// With more clients than requests the last of them have nothing, and everything that they send is refused. Shares are
// worked out when somebody asks and are good until clients come or go.
import type { Clients } from './client-roster.ts';
import type { MeshNode } from './mesh-node.ts';

/** What is divided. */
export interface ConcurrencyGroup {
  /** The host, and behind a colon the port where the limit is of one port only. */
  readonly name: string;
  /** Of the service. */
  readonly host: string;
  readonly requests: number;
}

type Shares = ReadonlyMap<string, number>;

export class ConcurrencyShares {
  readonly #clients: Clients;
  readonly #sees: (node: MeshNode, host: string) => boolean;
  readonly #shares = new Map<string, Shares>();
  #version = -1;

  constructor(clients: Clients, sees: (node: MeshNode, host: string) => boolean) {
    this.#clients = clients;
    this.#sees = sees;
  }

  /** Requests that the node may have under way; one that is not connected is reckoned among those who are. */
  of(group: ConcurrencyGroup, node: MeshNode): number {
    return this.#divided(group).get(node.id) ?? this.#divide(group, node).get(node.id) ?? 0;
  }

  /** How many clients the group has. */
  clientsOf(group: ConcurrencyGroup): number {
    return this.#divided(group).size;
  }

  #divided(group: ConcurrencyGroup): Shares {
    if (this.#version !== this.#clients.version) {
      this.#version = this.#clients.version;
      this.#shares.clear();
    }
    const known = this.#shares.get(group.name) ?? this.#divide(group, null);
    this.#shares.set(group.name, known);
    return known;
  }

  #divide({ host, requests }: ConcurrencyGroup, more: MeshNode | null): Shares {
    const nodes = more === null ? this.#clients.nodes() : [...this.#clients.nodes(), more];
    const ids = [...new Set(nodes.filter((node) => this.#sees(node, host)).map(({ id }) => id))].toSorted();
    return new Map(ids.map((id, index) => [id, shareOf(requests, ids.length, index)]));
  }
}

/** Of `total` in `count` parts, the part at `index`. */
function shareOf(total: number, count: number, index: number): number {
  return Math.floor(total / count) + (index < total % count ? 1 : 0);
}
