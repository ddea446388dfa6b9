// How we show an API server who we are. Asked for every question, because tokens and certificates are replaced while
// we run; told when the server refused what was shown, so that nothing stale is shown twice.
import { readFile } from 'node:fs/promises';
import type { Clock } from '../base/clock.ts';
import { Concealed } from '../base/concealed.ts';

export interface ClientCertificate {
  readonly chainPem: string;
  readonly keyPem: Concealed;
}

export interface Shown {
  /** Null: no bearer token. */
  readonly token: Concealed | null;
  readonly certificate: ClientCertificate | null;
}

export interface KubeCredentials {
  /** Never rejects; a text says why there is nothing to show, without secrets. */
  show(): Promise<Shown | string>;
  /** The server answered 401 to what was shown last. */
  onRefused(): void;
}

export const NOTHING_SHOWN: Shown = Object.freeze({ token: null, certificate: null });

export const NO_CREDENTIALS: KubeCredentials = {
  show: () => Promise.resolve(NOTHING_SHOWN),
  onRefused: () => {},
};

export function fixedCredentials(shown: Shown): KubeCredentials {
  return { show: () => Promise.resolve(shown), onRefused: () => {} };
}

/** The kubelet replaces a token long before it ends; a refusal has it read at once. */
const READ_AGAIN_MS = 10_000;

/** A token in a file, read again every 10 s at most. */
export class TokenFile implements KubeCredentials {
  readonly #path: string;
  readonly #clock: Clock;
  #shown: Shown | null = null;
  #readAtMs = 0;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  async show(): Promise<Shown | string> {
    const nowMs = this.#clock.now();
    if (this.#shown !== null && nowMs - this.#readAtMs < READ_AGAIN_MS) return this.#shown;
    const text = await readFile(this.#path, 'utf8').catch(() => null);
    const token = text?.trim() ?? '';
    // A file that is being replaced may be missing for a moment.
    if (token === '') return this.#shown ?? `there is no token in ${this.#path}`;
    if (!isHeaderValue(token)) return `what stands in ${this.#path} is no token`;
    this.#readAtMs = nowMs;
    this.#shown = { token: new Concealed(token), certificate: null };
    return this.#shown;
  }

  onRefused(): void {
    this.#shown = null;
  }
}

/** Visible ASCII: what can stand in a header field. */
export function isHeaderValue(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
