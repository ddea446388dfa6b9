// Secrets that come from the process itself: its identity, and what its SDS clients fetch. The newest of each is kept for
// contexts that ask later, and handed to whoever follows: worker threads, the SDS server.
import type { Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';

/** A secret, or null for one that must not be used any more, for `reason`. */
export interface Provided {
  /** SecretSource of secrets.ts. */
  readonly source: string;
  readonly name: string;
  readonly secret: Secret | null;
  readonly reason: string;
}

export class ProvidedSecrets {
  readonly #newest = new Map<string, Provided>();
  readonly #followers: ((provided: Provided) => void)[] = [];

  get(source: string, name: string): Provided | undefined {
    return this.#newest.get(keyOf(source, name));
  }

  put(provided: Provided): void {
    this.#newest.set(keyOf(provided.source, provided.name), provided);
    for (const follower of this.#followers) follower(provided);
  }

  /** Tells everything that is there, and everything that comes. */
  follow(follower: (provided: Provided) => void): void {
    this.#followers.push(follower);
    for (const provided of this.#newest.values()) follower(provided);
  }

  all(): readonly Provided[] {
    return [...this.#newest.values()];
  }
}

function keyOf(source: string, name: string): string {
  return `${source} ${name}`;
}
