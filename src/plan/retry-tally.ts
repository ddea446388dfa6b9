// What became of the retries of one cluster, under Envoy's names (`cluster.NAME.upstream_rq_retry` and so on):
// one addition each, read at scrape time.

export class RetryTally {
  /** Retries that were begun. */
  retries = 0;
  /** Requests that had an answer after at least one retry that no condition held for. */
  successes = 0;
  /** Requests that would have been retried once more, had there been any left. */
  limitsExceeded = 0;
  /** How the wait was chosen. */
  exponentialBackOffs = 0;
  rateLimitedBackOffs = 0;
  /** Attempts that took too long, or were quiet for too long; requests whose route's timeout came before an answer. */
  perTryTimeouts = 0;
  perTryIdleTimeouts = 0;
  timeouts = 0;
  /** Bodies that were too large to be kept for a retry. */
  abandoned = 0;

  countPerTryTimeout(isIdle: boolean): void {
    if (isIdle) this.perTryIdleTimeouts++;
    else this.perTryTimeouts++;
  }

  countTimeout(): void {
    this.timeouts++;
  }
}
