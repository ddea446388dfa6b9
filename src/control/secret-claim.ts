// What a client asks for by SDS that is not its own: noted once for each name and stream. It is answered as a name that
// does not exist, so that nobody learns which Secrets other namespaces have.
import { refusal, type Refusal } from './authentication/refusal.ts';
import { namespaceAskedFor } from './secret-index.ts';
import { accountOf, type VerifiedPeer } from './verified-peer.ts';

/** Names that are remembered of one stream; those after them are still not answered. */
const NAMES_MAX = 256;

export class SecretClaim {
  readonly #peer: VerifiedPeer | null;
  readonly #noted = new Set<string>();

  constructor(peer: VerifiedPeer | null) {
    this.#peer = peer;
  }

  /** Refusals for those of the names that this client may not have. */
  judge(names: readonly string[]): readonly Refusal[] {
    const refused: Refusal[] = [];
    for (const name of names) {
      if (this.#noted.size >= NAMES_MAX) break;
      const judged = this.#noted.has(name) ? null : this.#judgeName(name);
      if (judged === null) continue;
      this.#noted.add(name);
      refused.push(judged);
    }
    return refused;
  }

  #judgeName(name: string): Refusal | null {
    if (this.#peer === null) return refusal('secret_identity', `it has proved nothing and asks for the secret ${name}`);
    const namespace = namespaceAskedFor(name);
    const { id } = this.#peer;
    if (namespace === null || namespace === '' || namespace === id.namespace) return null;
    return refusal('secret_namespace', `${accountOf(id)} asks for the secret ${name}`);
  }
}
