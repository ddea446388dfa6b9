// @hot
// Istio's TCP metrics: slots are resolved once per connection, then bytes are added as they flow. One
// TcpCounters belongs to one connection. Where only the end of a connection is told, the step of
// compileTcpMetrics counts all of it then: an open connection is not seen before it closes.
import type { ClusterRef, Endpoint } from '../plan/cluster.ts';
import type { Connection, Exchange } from '../plan/exchange.ts';
import { CONTINUE, type CompileEnv, type PlanPart, type Verdict } from '../plan/plan.ts';
import { flagLetters } from '../plan/response-flags.ts';
import { step } from '../plan/step.ts';
import type { NodeIdentity } from './node-identity.ts';
import type { Family, Registry } from './registry.ts';
import { TCP_LABELS, labelsOf } from './standard-labels.ts';

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

  /** Counts the opening, and returns the counters of this connection. `endpoint` is null when none was found. */
  open(connection: Connection, cluster: ClusterRef | null, endpoint: Endpoint | null, flags = 0): TcpCounters {
    const labels = labelsOf({
      reporter: connection.isInbound ? 'destination' : 'source',
      node: this.#node,
      peerPrincipal: connection.peerPrincipal,
      isMutualTls: connection.isInbound && connection.peerPrincipal !== '',
      cluster: cluster === null ? null : cluster.cluster,
      endpoint,
      protocol: 'tcp',
      flagLetters: flagLetters(flags),
    });
    const registry = this.#registry;
    registry.add(this.#opened.slot(labels), 1);
    return new TcpCounters(registry, [this.#sent.slot(labels), this.#received.slot(labels), this.#closed.slot(labels)]);
  }
}

export class TcpCounters {
  readonly #registry: Registry;
  readonly #sent: number;
  readonly #received: number;
  readonly #closed: number;
  #isClosed = false;

  constructor(registry: Registry, slots: readonly [sent: number, received: number, closed: number]) {
    this.#registry = registry;
    this.#sent = slots[0];
    this.#received = slots[1];
    this.#closed = slots[2];
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
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#registry.add(this.#closed, 1);
  }
}

export interface TcpMetricsOptions {
  readonly registry: Registry;
  readonly node: NodeIdentity;
}

/** The metrics of one tcp_proxy: an onEnd step over the Exchange that stands for the connection. */
export function compileTcpMetrics({ registry, node }: TcpMetricsOptions, _env: CompileEnv): PlanPart {
  return { onEnd: [step('tcp-metrics', '', countConnection, new TcpMetrics(registry, node))] };
}

function countConnection(x: Exchange, metrics: TcpMetrics): Verdict {
  const counters = metrics.open(x.connection, x.cluster, x.endpoint, x.flags);
  counters.addReceived(x.requestBytes);
  counters.addSent(x.responseBytes);
  counters.close();
  return CONTINUE;
}

function counter(registry: Registry, name: string, help: string): Family {
  return registry.family({ name, help, kind: 'counter', labelNames: TCP_LABELS });
}
