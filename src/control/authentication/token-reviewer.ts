// Asks a Kubernetes API server who a token belongs to (authentication.k8s.io/v1 TokenReview). Only so many are asked
// about at once, each for a bounded time, and a server that fails is left alone for a while by a breaker. What was
// answered is remembered for seconds under a hash of the token, and callers with the same token share one question.
import { createHash } from 'node:crypto';
import type CircuitBreaker from 'opossum';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { KubeAccess } from '../../kube/access.ts';
import { KubeClient } from '../../kube/client.ts';
import { recordOf, textsOf, type JsonRecord } from '../../kube/json-record.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';

export type Review =
  | {
      readonly kind: 'known';
      readonly username: string;
      readonly audiences: readonly string[];
      /** Empty: it is bound to none. */
      readonly pod: string;
      readonly podUid: string;
    }
  /** The server knows that it is not good. Its words stay in our log. */
  | { readonly kind: 'rejected'; readonly details: string }
  | { readonly kind: 'unavailable'; readonly details: string };

export interface TokenReviewerOptions {
  readonly access: KubeAccess;
  readonly audience: string;
  readonly log: Log;
  readonly clock: Clock;
  /** One question takes at most so long; 5 s by default. */
  readonly timeoutMs?: number;
  /** How long an answer is remembered; 10 s by default. */
  readonly rememberMs?: number;
}

const QUESTIONS_MAX = 64;
const REMEMBERED_MAX = 4096;
const TIMEOUT_MS = 5_000;
const WINDOW_MS = 10_000;
const FAILURES_MIN = 5;
const PROBE_AFTER_MS = 2_000;
const POD = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

type Ask = CircuitBreaker<[string], Review>;

export class TokenReviewer {
  readonly #options: TokenReviewerOptions;
  readonly #remembered = new Map<string, { readonly review: Review; readonly untilMs: number }>();
  readonly #asked = new Map<string, Promise<Review>>();
  #breaker: Promise<Ask> | null = null;
  readonly #client: KubeClient;

  constructor(options: TokenReviewerOptions) {
    this.#options = options;
    const { access, clock, timeoutMs = TIMEOUT_MS } = options;
    this.#client = new KubeClient({ access, clock, timeoutMs });
  }

  /** Never rejects. */
  async review(token: string): Promise<Review> {
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(key);
    if (known !== undefined && this.#options.clock.now() < known.untilMs) return known.review;
    const asked = this.#asked.get(key);
    if (asked !== undefined) return await asked;
    const asking = this.#ask(token);
    this.#asked.set(key, asking);
    try {
      const review = await asking;
      if (review.kind !== 'unavailable') this.#remember(key, review);
      return review;
    } finally {
      this.#asked.delete(key);
    }
  }

  async close(): Promise<void> {
    (await this.#breaker)?.shutdown();
    await this.#client.close();
  }

  #remember(key: string, review: Review): void {
    this.#remembered.delete(key);
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size < REMEMBERED_MAX) break;
      this.#remembered.delete(oldest);
    }
    const { clock, rememberMs = 10_000 } = this.#options;
    this.#remembered.set(key, { review, untilMs: clock.now() + rememberMs });
  }

  async #ask(token: string): Promise<Review> {
    try {
      this.#breaker ??= this.#build();
      return await (await this.#breaker).fire(token);
    } catch (cause) {
      const details = cause instanceof Error ? cause.message : String(cause);
      return { kind: 'unavailable', details: details.replaceAll(token, '…') };
    }
  }

  async #build(): Promise<Ask> {
    const { default: Breaker } = await import('opossum');
    const { timeoutMs = TIMEOUT_MS, log, audience } = this.#options;
    const ask = async (token: string): Promise<Review> => {
      const answer = await this.#client.review(KNOWN_KINDS.tokenReview, { token, audiences: [audience] });
      if (answer.kind === 'done') return readReview(answer.value);
      const { status, reason } = answer.failure;
      // The body of a failure may say anything, the token included.
      throw new Error(status === 0 ? `the API server: ${reason}` : `the API server answered ${status}`);
    };
    const breaker: Ask = new Breaker(ask, {
      timeout: timeoutMs,
      capacity: QUESTIONS_MAX,
      rollingCountTimeout: WINDOW_MS,
      volumeThreshold: FAILURES_MIN,
      errorThresholdPercentage: 50,
      resetTimeout: PROBE_AFTER_MS,
    });
    breaker.on('open', () => log.warning('the API server does not answer token reviews, it is left alone for a while'));
    breaker.on('close', () => log.info('the API server answers token reviews again'));
    return breaker;
  }
}

/** Throws when it names nobody. */
function readReview(status: JsonRecord): Review {
  if (status['authenticated'] !== true) {
    // The server's own words may quote the token.
    return { kind: 'rejected', details: 'the API server does not know the token' };
  }
  const { username, extra } = recordOf(status['user']);
  if (typeof username !== 'string') throw new Error('the API server named no user');
  const [pod = ''] = textsOf(recordOf(extra)[POD]);
  const [podUid = ''] = textsOf(recordOf(extra)[POD_UID]);
  return { kind: 'known', username, audiences: textsOf(status['audiences']), pod, podUid };
}
