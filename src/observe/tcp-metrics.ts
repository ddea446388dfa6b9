// @hot
// Istio's TCP metrics: slots are resolved once per connection, then bytes are added as they flow. One
// TcpCounters belongs to one connection. The closing is counted under the response flags that the
// connection ended with, all else under those that it was opened with.
import type { Exchange } from '../plan/exchange.ts';
import { flagLetters } from '../plan/response-flags.ts';
import type { NodeIdentity } from './node-identity.ts';
import type { Family, Registry } from './registry.ts';
import { TCP_LABELS, labelsOf, principalsOf } from './standard-labels.ts';

export class TcpMetrics {
  readonly #registry: Registry;
  readonly #node: NodeIdentity;
  readonly #sent: Family;
  readonly #received: Family;
  readonly #opened: Family;
  readonly #closed: Family;

  constructor(registry: Registry, node: NodeIdentity) {
    this.#registry = registry;
    this.#node = node;
    this.#sent = counter(registry, 'istio_tcp_sent_bytes_total', 'Bytes sent to the downstream of TCP connections.');
    this.#received = counter(registry, 'istio_tcp_received_bytes_total', 'Bytes received from the downstream.');
    this.#opened = counter(registry, 'istio_tcp_connections_opened_total', 'TCP connections opened.');
    this.#closed = counter(registry, 'istio_tcp_connections_closed_total', 'TCP connections closed.');
  }

  toJSON(): unknown {
    return {};
  }

  /** Per connection: counts the opening, and returns the counters of this connection. `endpoint` is null when none was found. */
  open({ connection, cluster, endpoint, upstreamTls }: Opened, flags = 0): TcpCounters {
    const { own, peer } = principalsOf(connection.isInbound ? connection.tls : upstreamTls);
    const labels = (flagsNow: number): string[] =>
      labelsOf({
        reporter: connection.isInbound ? 'destination' : 'source',
        node: this.#node,
        sourcePrincipal: connection.isInbound ? peer : own,
        destinationPrincipal: connection.isInbound ? own : peer,
        cluster: cluster === null ? null : cluster.cluster,
        endpoint,
        protocol: 'tcp',
        flagLetters: flagLetters(flagsNow),
      });
    const registry = this.#registry;
    const opened = labels(flags);
    registry.add(this.#opened.slot(opened), 1);
    const closedSlot = (flagsAtEnd: number): number => this.#closed.slot(labels(flagsAtEnd));
    return new TcpCounters(registry, [this.#sent.slot(opened), this.#received.slot(opened)], closedSlot);
  }
}

/** What a connection is counted by. */
export type Opened = Pick<Exchange, 'connection' | 'cluster' | 'endpoint' | 'upstreamTls'>;

export class TcpCounters {
  readonly #registry: Registry;
  readonly #sent: number;
  readonly #received: number;
  readonly #closedSlot: (flags: number) => number;
  #isClosed = false;

  constructor(
    registry: Registry,
    slots: readonly [sent: number, received: number],
    closedSlot: (flags: number) => number,
  ) {
    this.#registry = registry;
    this.#sent = slots[0];
    this.#received = slots[1];
    this.#closedSlot = closedSlot;
  }

  /** Bytes to the downstream. */
  addSent(bytes: number): void {
    this.#registry.add(this.#sent, bytes);
  }

  /** Bytes from the downstream. */
  addReceived(bytes: number): void {
    this.#registry.add(this.#received, bytes);
  }

  /** Counts the closing, once. */
  close(flags = 0): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#registry.add(this.#closedSlot(flags), 1);
  }
}

function counter(registry: Registry, name: string, help: string): Family {
  return registry.family({ name, help, kind: 'counter', labelNames: TCP_LABELS });
}
