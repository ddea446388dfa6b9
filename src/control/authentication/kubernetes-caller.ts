// A caller that shows a token of a Kubernetes service account. The API server says whose it is; it must be meant for us
// (audience `istio-ca`), be good, and belong to a service account.
import { spiffeId } from '../../tls/spiffe-id.ts';
import type { Authenticated, Authenticator } from './authentication.ts';
import type { Caller } from './caller.ts';
import { TOKEN_CHARACTERS_MAX } from './caller.ts';
import { refusal } from './refusal.ts';
import { tokenClaims } from './token-claims.ts';
import type { Review } from './token-reviewer.ts';

export interface KubernetesCallerOptions {
  /** Never rejects. */
  readonly review: (token: string) => Promise<Review>;
  readonly trustDomain: () => string;
  /** Whether somebody at this host may ask for a review now. */
  readonly mayAsk: (host: string) => boolean;
}

/** What Istio's agents ask the kubelet to write into their tokens. */
export const KUBERNETES_AUDIENCE = 'istio-ca';

const ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

export class KubernetesCaller implements Authenticator {
  readonly name = 'Kubernetes token';
  readonly #options: KubernetesCallerOptions;

  constructor(options: KubernetesCallerOptions) {
    this.#options = options;
  }

  async authenticate({ tokens, address }: Caller): Promise<Authenticated> {
    const [token] = tokens;
    if (token === undefined) return { kind: 'absent' };
    const claims = token.length > TOKEN_CHARACTERS_MAX ? null : tokenClaims(token);
    if (claims === null) return refusal('token_malformed', 'the token is no JSON web token, or too long');
    // Who sends tokens that he made up would keep the API server busy, and others waiting.
    if (!this.#options.mayAsk(address.slice(0, address.lastIndexOf(':'))))
      return refusal('rate', 'it shows tokens too often');
    const review = await this.#options.review(token);
    switch (review.kind) {
      case 'unavailable':
        return refusal('unavailable', review.details);
      case 'rejected':
        return refusal('token_rejected', review.details);
      default:
    }
    // An API server that knows nothing of audiences leaves them out, and has checked none.
    if (!review.audiences.includes(KUBERNETES_AUDIENCE))
      return refusal('token_audience', `the token is not for the audience ${KUBERNETES_AUDIENCE}`);
    const [, namespace = '', serviceAccount = ''] = ACCOUNT.exec(review.username) ?? [];
    const id = { trustDomain: this.#options.trustDomain(), namespace, serviceAccount };
    if (spiffeId(id) === null) return refusal('token_identity', 'the token is not that of a service account');
    const { pod, podUid } = review;
    const bound = podUid === '' ? {} : { podUid };
    return { kind: 'verified', peer: { id, by: 'token', untilMs: claims.expiresAtMs, pod, ...bound } };
  }
}
