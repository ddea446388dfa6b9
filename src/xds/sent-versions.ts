// Which version of each resource a client was sent. Nearly every client has all of a set that thousands have, so that set
// is kept by reference, and only what differs from it is written down: a client costs what it does not share.
import { changeBetween, type NamedResources } from './resource-change.ts';

/** Sent before, but the client may have dropped it: send it again, or say that it is gone. */
export const UNSURE = '';
/** The client was told that this name does not exist. No version is a NUL. */
export const ABSENT = '\0';
/** In the shared set, but not sent. */
const NOT_SENT = '\u0001';

const NONE: NamedResources = new Map();

export class SentVersions {
  readonly #wants: (name: string) => boolean;
  /** Of these the client has all that it wants, but for what `#own` says. */
  #shared: NamedResources = NONE;
  readonly #own = new Map<string, string>();

  /** `wants`: which names of a shared set the client asks for. */
  constructor(wants: (name: string) => boolean) {
    this.#wants = wants;
  }

  /** The version, UNSURE or ABSENT; undefined when the client was sent nothing of the name. */
  get(name: string): string | undefined {
    const own = this.#own.get(name);
    if (own !== undefined) return own === NOT_SENT ? undefined : own;
    const version = this.#shared.get(name)?.version;
    return version !== undefined && this.#wants(name) ? version : undefined;
  }

  set(name: string, version: string): void {
    this.#own.set(name, version);
  }

  delete(name: string): void {
    if (this.#shared.has(name)) this.#own.set(name, NOT_SENT);
    else this.#own.delete(name);
  }

  clear(): void {
    this.#shared = NONE;
    this.#own.clear();
  }

  *entries(): Iterable<readonly [name: string, version: string]> {
    for (const [name, version] of this.#own) if (version !== NOT_SENT) yield [name, version];
    for (const [name, { version }] of this.#shared)
      if (!this.#own.has(name) && this.#wants(name)) yield [name, version];
  }

  /** The client has, or is sent now, everything of `next` that it wants; what it has besides stays noted. */
  share(next: NamedResources): void {
    if (next !== this.#shared) {
      for (const { name, version } of changeBetween(this.#shared, next).removed)
        if (!this.#own.has(name) && this.#wants(name)) this.#own.set(name, version);
      this.#shared = next;
    }
    for (const [name, version] of this.#own) {
      const shared = next.get(name);
      if (shared?.version === version || (version === NOT_SENT && shared === undefined)) this.#own.delete(name);
    }
  }

  /** Writes everything down, before what the client wants becomes another set of names. */
  unshare(): void {
    for (const [name, version] of this.entries()) this.#own.set(name, version);
    this.#shared = NONE;
    for (const [name, version] of this.#own) if (version === NOT_SENT) this.#own.delete(name);
  }
}
