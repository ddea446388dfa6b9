// Who calls? The authenticators are asked in order, and the first that verifies the caller decides: its certificate,
// a join token of ours, a token of Kubernetes. When none does, the most telling refusal is the answer; a call that shows
// nothing at all is refused as such. No answer is ever somebody's identity in part.
import type { VerifiedPeer } from '../verified-peer.ts';
import type { Caller } from './caller.ts';
import { refusal, type Refusal } from './refusal.ts';

export type Authenticated =
  | { readonly kind: 'verified'; readonly peer: VerifiedPeer }
  /** The caller showed nothing that this authenticator looks at. */
  | { readonly kind: 'absent' }
  | Refusal;

export interface Authenticator {
  /** For logs. */
  readonly name: string;
  /** Never rejects. */
  authenticate(caller: Caller): Promise<Authenticated>;
}

export class Authentication {
  readonly #authenticators: readonly Authenticator[];

  /** In the order in which they are asked. */
  constructor(authenticators: readonly Authenticator[]) {
    this.#authenticators = authenticators;
  }

  async authenticate(caller: Caller): Promise<{ readonly kind: 'verified'; readonly peer: VerifiedPeer } | Refusal> {
    let refused: Refusal | null = null;
    if (caller.tokens.length > 1) return refusal('token_malformed', 'more than one bearer token');
    for (const authenticator of this.#authenticators) {
      const answer = await authenticator.authenticate(caller);
      if (answer.kind === 'verified') return answer;
      // A token that is refused says more than a certificate that is: it is what the caller begins with.
      if (answer.kind === 'refused') refused = answer;
    }
    if (refused !== null) return refused;
    if (caller.tokens.length > 0) return refusal('token_unknown', 'nobody here issues such tokens');
    return refusal('no_credentials', 'neither a certificate nor a token');
  }
}
