// What a request meant to the server half of a stream, and the part that both variants share: matching
// an answer to the message in flight.
import type { Status } from './gen/google/rpc/status_pb.js';
import type { InFlight, Watch } from './watch.ts';

export type Heard =
  /** A first request, a changed subscription, or an answer that was heard before. */
  | { readonly kind: 'subscribed'; readonly watch: Watch }
  | { readonly kind: 'acked'; readonly watch: Watch; readonly message: InFlight }
  | { readonly kind: 'nacked'; readonly watch: Watch; readonly message: InFlight; readonly error: string }
  /** It answers something that is no longer the newest message; ignored and counted. */
  | { readonly kind: 'stale'; readonly watch: Watch }
  /** The client wants nothing of this type any more. */
  | { readonly kind: 'unsubscribed' };

/** Ends what is in flight when `nonce` answers it. A NACK is noted, and nothing is sent again because of it. */
export function answer(watch: Watch, nonce: string, detail: Status | undefined): Heard {
  if (nonce === '') return { kind: 'subscribed', watch };
  if (nonce !== watch.lastNonce) return { kind: 'stale', watch };
  const message = watch.inFlight;
  if (message === null) return { kind: 'subscribed', watch };
  if (detail !== undefined) {
    watch.refuse(message, detail.message === '' ? `code ${detail.code}` : detail.message);
    return { kind: 'nacked', watch, message, error: watch.lastError };
  }
  watch.accept(message);
  return { kind: 'acked', watch, message };
}
