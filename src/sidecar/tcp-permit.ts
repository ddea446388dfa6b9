// What one forwarded TCP connection takes from the limits of its cluster: a connection and, until it is there, a place
// among those who wait. Over a limit it gets nothing and never waits, as Envoy's tcp_proxy has it: nobody would ever
// give a connection back to it. Its priority is always the default one.
import { limitsOf, type Cluster, type Endpoint, type Gate, type LimitTally } from '../plan/cluster.ts';

export class TcpPermit {
  #connection: Gate | null = null;
  #endpoint: Gate | null = null;
  #waiting: Gate | null = null;
  #tally: LimitTally | null = null;

  /** False, and counted, when the cluster or the endpoint has as many as it may; give it back before asking again. */
  acquire(cluster: Cluster, endpoint: Endpoint): boolean {
    const limits = limitsOf(cluster, false);
    if (limits === null) return true;
    const tally = cluster.limits?.tally ?? null;
    const own = limits.endpointGate === null ? null : limits.endpointGate(endpoint);
    if (!limits.connections.acquire()) {
      if (tally !== null) tally.connectionOverflow++;
      return false;
    }
    this.#connection = limits.connections;
    if (own !== null && !own.acquire()) {
      if (tally !== null) tally.connectionOverflow++;
      this.release();
      return false;
    }
    this.#endpoint = own;
    if (!limits.pending.acquire()) {
      if (tally !== null) tally.pendingOverflow++;
      this.release();
      return false;
    }
    this.#waiting = limits.pending;
    this.#tally = tally;
    if (tally !== null) {
      tally.pendingTotal++;
      tally.pendingActive++;
    }
    return true;
  }

  /** The connection is there: it waits no more. */
  connected(): void {
    if (this.#waiting === null) return;
    this.#waiting.release();
    this.#waiting = null;
    if (this.#tally !== null) this.#tally.pendingActive--;
  }

  release(): void {
    this.connected();
    this.#connection?.release();
    this.#connection = null;
    this.#endpoint?.release();
    this.#endpoint = null;
  }
}
