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

/** One HTTP connection manager. The engine counts connections, the metrics step counts requests. */
export class HttpTally {
  readonly classes = new Float64Array(6);
  requestsTotal = 0;
  requestsActive = 0;
  connectionsTotal = 0;
  connectionsActive = 0;

  count(statusClass: number): void {
    this.requestsTotal++;
    (this.classes[statusClass] as number)++;
  }
}

/** One listener; the engine counts. */
export class ListenerTally {
  connectionsTotal = 0;
  connectionsActive = 0;
}
