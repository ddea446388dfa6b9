// The driver as upstream-request.ts sees it: who is told what became of the request, once for each way that it can
// end. It decides nothing of attempts.
import type { Framing } from '../http/framing.ts';
import type { Failure } from '../plan/failure.ts';
import type { ResponseSink } from './attempt.ts';

/** The driver, as its request sees it. */
export interface UpstreamRequestOwner extends ResponseSink {
  /** The head has been handed to a connection: body may follow. */
  onRequestSent(): void;
  /** No response, and no further attempt. */
  onRequestFailed(failed: Failure): void;
  /** A fault has answered, and there is no further attempt. */
  onRequestAborted(faultStatus: number): void;
  /** Times begin to count: nothing more is read of the request while a fault holds its attempt. */
  onRequestComplete(nowMs: number): void;
  /** The response's head is in `x.response`; `nowMs` is when it came. */
  onResponseHead(framing: Framing, nowMs: number): void;
  /** An interim head is in `x.response`, which is reset afterwards. True when the client got it. */
  onResponseInterim(): boolean;
  /** The response is complete; in a tunnel: the upstream has said its FIN. */
  onResponseEnd(trailers: string): void;
  /** The response broke off behind its head; `flag` of FLAGS. */
  onResponseCut(failed: Failure, flag: number): void;
}
