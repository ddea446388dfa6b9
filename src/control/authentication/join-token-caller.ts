// A caller that shows a join token of this mesh (`outrigger token create`). A token that is meant for us is judged here
// and shown to nobody else; one that is not is left to those who come after, if there are any.
import type { Clock } from '../../base/clock.ts';
import type { JoinVerdict } from '../ca/join-token.ts';
import type { VerifiedPeer } from '../verified-peer.ts';
import type { Authenticated, Authenticator } from './authentication.ts';
import type { Caller } from './caller.ts';
import { TOKEN_CHARACTERS_MAX } from './caller.ts';
import { refusal, type RefusalReason } from './refusal.ts';
import { tokenClaims } from './token-claims.ts';

export interface JoinTokenCallerOptions {
  /** Never rejects; `ca/join-token.ts` has it. */
  readonly verify: (token: string, nowMs: number) => Promise<JoinVerdict>;
  readonly clock: Clock;
  /** Ours: a join token has none. */
  readonly trustDomain: () => string;
  /** Nobody else takes tokens, so whoever shows another one hears that it is not for us. */
  readonly isLast: boolean;
}

const REASONS: Readonly<Record<'expired' | 'signature' | 'malformed', RefusalReason>> = {
  expired: 'token_expired',
  signature: 'token_signature',
  malformed: 'token_malformed',
};

export class JoinTokenCaller implements Authenticator {
  readonly name = 'join token';
  readonly #options: JoinTokenCallerOptions;

  constructor(options: JoinTokenCallerOptions) {
    this.#options = options;
  }

  async authenticate({ tokens }: Caller): Promise<Authenticated> {
    const [token] = tokens;
    if (token === undefined) return { kind: 'absent' };
    if (token.length > TOKEN_CHARACTERS_MAX || tokenClaims(token) === null)
      return refusal('token_malformed', 'the token is no JSON web token, or too long');
    const { verify, clock, trustDomain, isLast } = this.#options;
    const verdict = await verify(token, clock.wall());
    switch (verdict.kind) {
      case 'foreign':
        return isLast
          ? refusal('token_audience', 'the token is not for the audience outrigger-join')
          : { kind: 'absent' };
      case 'refused':
        return refusal(REASONS[verdict.fault], verdict.reason);
      default:
    }
    const { namespace, serviceAccount, expiresAtMs } = verdict;
    const id = { trustDomain: trustDomain(), namespace, serviceAccount };
    const peer: VerifiedPeer = { id, by: 'token', untilMs: expiresAtMs, pod: '' };
    return { kind: 'verified', peer };
  }
}
