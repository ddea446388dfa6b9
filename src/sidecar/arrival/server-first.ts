// Remembers which destinations speak before their clients do (MySQL, SMTP and the like), so that the next
// connection there is not kept waiting for bytes that never come. One warning per destination says what to
// write, so that nothing has to be found out. Bounded, and forgotten after a while: addresses are reused.
import type { Log } from '../../base/log.ts';

const DESTINATIONS_MAX = 4096;
const REMEMBERED_MS = 3_600_000;

export class ServerFirst {
  /** Destination to when it is forgotten, the oldest first. */
  readonly #until = new Map<string, number>();

  has(destination: string, nowMs: number): boolean {
    const until = this.#until.get(destination);
    if (until === undefined) return false;
    if (until > nowMs) return true;
    this.#until.delete(destination);
    return false;
  }

  /** `destination` is an address and port. True when it is news: then it was logged. */
  remember(destination: string, nowMs: number, log: Log): boolean {
    const isNew = !this.#until.delete(destination);
    this.#until.set(destination, nowMs + REMEMBERED_MS);
    if (this.#until.size > DESTINATIONS_MAX) {
      const [oldest] = this.#until.keys();
      if (oldest !== undefined) this.#until.delete(oldest);
    }
    if (!isNew) return false;
    log.warning(
      `${destination} speaks before its client, which had to be found out: name its Service port tcp-… or set appProtocol: tcp`,
      { destination },
    );
    return true;
  }
}
