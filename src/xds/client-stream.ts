// The client half of ADS as a state machine without sockets; delta-client.ts and sotw-client.ts are its
// two implementations. The state outlives the stream: `open()` begins a new one and says what to send first.
import type { Node } from './gen/envoy/config/core/v3/base_pb.js';
import type { TypeUrl } from './type-url.ts';
import type { Refusal, Update } from './update.ts';

/** A response that has been taken apart. `refused` are those that are bad in themselves; never in `update`. */
export interface Received {
  readonly update: Update;
  readonly nonce: string;
  readonly refused: readonly Refusal[];
}

export interface ClientStream<Request, Response> {
  /** Begins a new stream; the requests to send, the node on the first one only. */
  open(): Request[];
  /** Replaces the names asked for; what to send now, or null when nothing changed or no stream is open. */
  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): Request | null;
  /** Takes a response apart; null when nobody asked for its type. */
  receive(response: Response): Received | null;
  /** The ACK, or the NACK that names every refused resource; notes what the client holds now. */
  answer(received: Received, refused: readonly Refusal[]): Request;
  /** The stream is gone. */
  close(): void;
}

export interface ClientStreamOptions {
  readonly node: Node;
}

/** `google.rpc.Code.INVALID_ARGUMENT`: the code of every NACK. */
export const INVALID_ARGUMENT = 3;
