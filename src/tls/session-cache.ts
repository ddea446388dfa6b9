// Sessions that a client may resume, per endpoint and server name: the newest few of each. One that is taken is
// gone until its user puts it back: a server that resumed it need not send another. One ends with the certificate
// that the server showed when it began, for none is shown again. What is held is bounded by the number of keys and
// by the number per key.

const KEYS_MAX = 4096;

export interface KeptSession {
  readonly session: Buffer;
  /** By the wall clock; Infinity: no certificate was looked at. */
  readonly untilMs: number;
}

export class SessionCache {
  readonly #sessionsMax: number;
  readonly #sessions = new Map<string, KeptSession[]>();

  /** `sessionsMax` 0 keeps nothing. */
  constructor(sessionsMax: number) {
    this.#sessionsMax = sessionsMax;
  }

  get isOn(): boolean {
    return this.#sessionsMax > 0;
  }

  /** The newest session of `key` that is good at `nowMs`, which is given away; null when there is none. */
  take(key: string, nowMs: number): KeptSession | null {
    const known = this.#sessions.get(key);
    const session = known?.pop() ?? null;
    if (session === null || nowMs < session.untilMs) return session;
    this.#sessions.delete(key);
    return null;
  }

  put(key: string, session: KeptSession): void {
    if (this.#sessionsMax === 0) return;
    const known = this.#sessions.get(key);
    if (known !== undefined) {
      known.push(session);
      if (known.length > this.#sessionsMax) known.shift();
      return;
    }
    if (this.#sessions.size >= KEYS_MAX) {
      for (const oldest of this.#sessions.keys()) {
        this.#sessions.delete(oldest);
        break;
      }
    }
    this.#sessions.set(key, [session]);
  }
}
