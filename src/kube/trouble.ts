// What goes wrong with watching one kind: counted by reason, and said once in the log until it is something else or over.
import type { Log } from '../base/log.ts';
import { resourceName, type KubeKind } from './kind-path.ts';
import { formatFailure, type KubeFailure } from './kube-answer.ts';

export class Trouble {
  readonly #log: Log;
  readonly #what: string;
  readonly #failures: Record<string, number> = {};
  #reason = '';
  #complaint = '';

  constructor(kind: KubeKind, namespace: string, log: Log) {
    this.#log = log;
    this.#what = `${resourceName(kind)}${namespace === '' ? '' : ` of ${namespace}`}`;
  }

  /** Empty: the last answer was good. */
  get complaint(): string {
    return this.#complaint;
  }

  get failures(): Readonly<Record<string, number>> {
    return { ...this.#failures };
  }

  count(reason: string): void {
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
  }

  /** Counts it, and logs it when the last one had another reason. */
  say(failure: KubeFailure): void {
    this.count(failure.reason);
    this.#complaint =
      failure.status === 403
        ? `may not list and watch ${this.#what}: grant the verbs list and watch on it (${failure.message})`
        : `cannot list and watch ${this.#what}: ${formatFailure(failure)}`;
    if (this.#reason !== failure.reason) this.#log.warning(this.#complaint);
    this.#reason = failure.reason;
  }

  /** False: there was none. */
  end(): boolean {
    const wasThere = this.#reason !== '';
    if (wasThere) this.#log.info(`${this.#what}: watched again`);
    this.#reason = '';
    this.#complaint = '';
    return wasThere;
  }
}
