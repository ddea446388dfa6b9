// Which virtual hosts this sidecar wants, of those that it need not have from the start: one is asked for when the first
// request is for it, and kept from then on. What is not there is remembered too, up to a bound, and is told of when it
// comes, for it stays asked for. Of many requests for one host one asks; each waits for a time of its own.
import type { HostLookup } from '../plan/host-lookup.ts';
import type { RemoteCall } from '../plan/remote-call.ts';

type Done = (isThere: boolean | null) => void;

export interface HostDemandOptions {
  /** Told of every change of what is asked for. */
  readonly onChange: (names: ReadonlySet<string>) => void;
  /** How long a request waits; 5 s by default, Envoy's time for a cluster on demand. */
  readonly timeoutMs?: number;
  /** Hosts that are asked for and not there, or not yet: the oldest is given up; 1000 by default. */
  readonly missingMax?: number;
}

const TIMEOUT_MS = 5000;
const MISSING_MAX = 1000;

export class HostDemand implements HostLookup {
  readonly #options: HostDemandOptions;
  readonly #there = new Set<string>();
  /** Oldest first; true: it was said that it is not there. */
  readonly #missing = new Map<string, boolean>();
  readonly #waiting = new Map<string, Set<Done>>();

  constructor(options: HostDemandOptions) {
    this.#options = options;
  }

  get names(): ReadonlySet<string> {
    return new Set([...this.#there, ...this.#missing.keys()]);
  }

  isKnown(name: string): boolean {
    return this.#there.has(name) || this.isAbsent(name);
  }

  /** Whether it was said that there is no such host. */
  isAbsent(name: string): boolean {
    return this.#missing.get(name) === true;
  }

  ask(name: string, done: Done): RemoteCall {
    const waiting = this.#waiting.get(name) ?? new Set<Done>();
    this.#waiting.set(name, waiting);
    const finish: Done = (isThere) => {
      call.cancel();
      done(isThere);
    };
    const timer = setTimeout(() => finish(null), this.#options.timeoutMs ?? TIMEOUT_MS);
    const call: RemoteCall = {
      cancel: () => {
        clearTimeout(timer);
        waiting.delete(finish);
        if (waiting.size === 0) this.#waiting.delete(name);
      },
    };
    waiting.add(finish);
    this.want([name]);
    return call;
  }

  /** Asks without waiting: for others. */
  want(names: Iterable<string>): void {
    let hasChanged = false;
    for (const name of names) {
      if (this.#there.has(name) || this.#missing.has(name)) continue;
      this.#missing.set(name, false);
      hasChanged = true;
    }
    for (const name of this.#missing.keys()) {
      if (this.#missing.size <= (this.#options.missingMax ?? MISSING_MAX)) break;
      this.#missing.delete(name);
    }
    if (hasChanged) this.#options.onChange(this.names);
  }

  /** It was said that these are in force, and that those are not there. */
  told(there: Iterable<string>, absent: Iterable<string>): void {
    for (const name of there) {
      this.#missing.delete(name);
      this.#there.add(name);
      this.#answer(name, true);
    }
    for (const name of absent) {
      if (this.#there.delete(name) || this.#missing.has(name)) this.#missing.set(name, true);
      this.#answer(name, false);
    }
  }

  /** The hosts of other configurations than these are wanted no more. */
  keep(configurations: ReadonlySet<string>): void {
    const isKept = (name: string): boolean => configurations.has(name.slice(0, name.lastIndexOf('/')));
    const gone = [...this.names].filter((name) => !isKept(name));
    if (gone.length === 0) return;
    for (const name of gone) {
      this.#there.delete(name);
      this.#missing.delete(name);
      this.#answer(name, false);
    }
    this.#options.onChange(this.names);
  }

  #answer(name: string, isThere: boolean): void {
    for (const done of this.#waiting.get(name) ?? []) done(isThere);
  }
}
