// @hot
// What is counted per request or per connection for Envoy's own statistics: one addition each.
// proxy-stats.ts keeps the tallies and adds them up at scrape time.
import { LimitTally } from '../plan/cluster.ts';

/** Responses of one cluster by status class; index 0 holds requests that ended without a response. */
export class ClusterTally {
  readonly classes = new Float64Array(6);
  readonly limits = new LimitTally();

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
  /** Requests whose head, or whose whole, took too long; streams on which nothing moved, or that lasted too long. */
  headTimeouts = 0;
  requestTimeouts = 0;
  streamIdleTimeouts = 0;
  durationTimeouts = 0;
  /** Heads that were larger than they may be, by bytes or by lines: 431 and 414. */
  headsTooLarge = 0;
  pathsRefused = 0;
  pathsRedirected = 0;
  /** Offers of a protocol that the route does not take. */
  upgradesRefused = 0;
  withoutRoute = 0;
  /** Clients that left before their answer was complete. */
  departures = 0;
  /** Why connections ended: quiet, too old, as many requests as they may have, draining, the client's FIN did not come. */
  idleTimeouts = 0;
  ageLimits = 0;
  requestLimits = 0;
  drainCloses = 0;
  delayedCloseTimeouts = 0;
  upgradesTotal = 0;
  upgradesActive = 0;

  /** A request begins; whoever ends it takes one from `requestsActive`. */
  begin(): void {
    this.requestsTotal++;
    this.requestsActive++;
  }

  /** The codec refuses a request with `status`; Envoy does not count one that was too slow among the errors. */
  countRefusal(status: number, details: string): void {
    if (details === 'request_header_timeout') this.headTimeouts++;
    else if (details === 'request_overall_timeout') this.requestTimeouts++;
    else this.protocolErrors++;
    if (status === 431 || status === 414) this.headsTooLarge++;
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

/** The connection_limit filters of one stat_prefix. */
export class ChainLimitTally {
  active = 0;
  /** Turned away. */
  limited = 0;
}
