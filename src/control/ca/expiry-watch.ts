// Warns when what the authority signs with comes to its end: once a day from the last fifth of a certificate's
// life on, or the last thirty days where that is shorter. An authority that expires takes the whole mesh with it.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Certificate } from '../../tls/certificate.ts';
import type { AuthorityMaterial } from './authority-material.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const SOON_MAX_MS = 30 * DAY_MS;
const SOON_SHARE = 0.2;

export class ExpiryWatch {
  isSoon = false;
  readonly #log: Log;
  readonly #clock: Clock;
  /** By fingerprint: when it was said last. */
  readonly #saidMs = new Map<string, number>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  look({ signer, intermediates, roots }: AuthorityMaterial): void {
    const nowMs = this.#clock.wall();
    const all = new Map([...roots, ...intermediates, signer].map((each) => [each.fingerprint256, each]));
    this.isSoon = false;
    for (const certificate of all.values()) if (endsSoon(certificate, nowMs)) this.#warn(certificate, nowMs);
    for (const fingerprint of this.#saidMs.keys()) if (!all.has(fingerprint)) this.#saidMs.delete(fingerprint);
  }

  #warn({ subject, fingerprint256, notAfterMs }: Certificate, nowMs: number): void {
    this.isSoon = true;
    if (nowMs - (this.#saidMs.get(fingerprint256) ?? -Infinity) < DAY_MS) return;
    this.#saidMs.set(fingerprint256, nowMs);
    this.#log.warning('a certificate of the authority ends soon: rotate it', {
      subject,
      notAfter: new Date(notAfterMs).toISOString(),
    });
  }
}

function endsSoon({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): boolean {
  return notAfterMs - nowMs <= Math.min(SOON_MAX_MS, (notAfterMs - notBeforeMs) * SOON_SHARE);
}
