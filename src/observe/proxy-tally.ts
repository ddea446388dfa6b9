// @hot
// What is counted per request or per connection for Envoy's own statistics: one addition each.
// proxy-stats.ts keeps the tallies and adds them up at scrape time.

/** Responses of one cluster by status class; index 0 holds requests that ended without a response. */
export class ClusterTally {
  readonly classes = new Float64Array(6);

  count(statusClass: number): void {
    (this.classes[statusClass] as number)++;
  }
}

/** One HTTP connection manager: the engine counts connections and requests, the metrics step their classes. */
export class HttpTally {
  readonly classes = new Float64Array(6);
  requestsTotal = 0;
  requestsActive = 0;
  connectionsTotal = 0;
  connectionsActive = 0;
  /** Messages that the codec refused. */
  protocolErrors = 0;
  /** headers_with_underscores_action: header lines left out, and requests refused. */
  underscoresDropped = 0;
  underscoresRejected = 0;

  /** A request begins; whoever ends it takes one from `requestsActive`. */
  begin(): void {
    this.requestsTotal++;
    this.requestsActive++;
  }

  count(statusClass: number): void {
    (this.classes[statusClass] as number)++;
  }
}

/** One listener; the engine counts. */
export class ListenerTally {
  connectionsTotal = 0;
  connectionsActive = 0;
  /** Connections in their listener filters, and those that ended there: too slow, closed by the client, refused. */
  arriving = 0;
  arrivalTimeouts = 0;
  arrivalCloses = 0;
  arrivalErrors = 0;
  /** Closed at once: the limit of the listener, and that of the process. */
  overflow = 0;
  globalOverflow = 0;
  /** The kernel had no descriptor or memory for a connection. */
  acceptFailures = 0;
  /** Connections that no filter chain takes. */
  unmatched = 0;
}

/** One tcp_proxy by its stat_prefix; the engine counts. */
export class TcpTally {
  connectionsTotal = 0;
  /** Connections that no cluster was found for. */
  withoutRoute = 0;
  receivedBytes = 0;
  sentBytes = 0;
  idleTimeouts = 0;
  durationTimeouts = 0;
}
