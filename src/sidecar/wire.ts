// A connection as the data plane uses it, without Node's streams (docs/adr/008). It promises its user
// bytes in order, one end of input, one close, and nothing after that; it takes writes until it is told
// to end, and says when the kernel cannot keep up. Half-open is normal: after onWireEnd one may write.
//
//   paused ──resume()──► reading ──► onWireEnd (writes go on) ──► end() ──► destroy() ──► onWireClose
import type { Socket } from 'node:net';
import type { ConnectionFacts } from './arrival/connection-facts.ts';

export interface WireUser {
  /** `bytes` are valid during the call only: copy what must stay. Writing them to a wire in this call is safe. */
  onWireBytes(bytes: Buffer): void;
  /** The peer sends no more (FIN). */
  onWireEnd(): void;
  /** A write returned false, and everything written has gone to the kernel since. */
  onWireDrain(): void;
  /** Once, last, never from inside a call of the wire; `cause` is an error code (`ECONNRESET`) or empty. */
  onWireClose(cause: string): void;
}

export interface Wire {
  user: WireUser;
  /** What listener filters have found out; null where none has run. */
  facts: ConnectionFacts | null;
  /** Bytes written that the kernel has not taken yet. */
  readonly bufferedBytes: number;
  /** Changes with every byte that the kernel takes, while bufferedBytes counts a write until the whole of it is gone. */
  readonly unsentBytes: number;
  /** True from destroy(), reset() or an error on. */
  readonly isClosed: boolean;
  /** True once a write has failed: what is written goes nowhere, what the peer had sent before is still read. */
  readonly isBroken: boolean;
  /** Writes Latin-1, one character a byte. False: more should wait for onWireDrain. */
  writeText(text: string): boolean;
  /** Writes by reference: bytes of one's own must not change until they are gone. False as in writeText. */
  writeBytes(bytes: Buffer): boolean;
  /** Head, bytes and tail in one system call; an empty text is left out. */
  writePieces(head: string, bytes: Buffer, tail: string): boolean;
  /** True at first, so that the user is in place before bytes come. */
  readonly isPaused: boolean;
  pause(): void;
  resume(): void;
  /** Puts back bytes that were read, for the next user: they come first when the wire, which is paused, is resumed. */
  unread(bytes: Buffer): void;
  /** FIN after what was written. When the peer has ended too, the wire closes by itself. */
  end(): void;
  /** Closes now; what the kernel has is still sent, what it has not is dropped. */
  destroy(): void;
  /** RST where the kernel can say one, else destroy(). */
  reset(): void;
  /**
   * Gives the connection away as a net.Socket, paused: this wire is over, and tells its user nothing. Once the
   * wire has been resumed the socket is good for a TLSSocket over it only. What was put back comes first.
   */
  toSocket(): Socket;
  /** The file descriptor, or -1. */
  readonly fd: number;
  /** IP address, or empty for a Unix socket and once the peer is gone. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** More unsent bytes than this make a write return false. */
export const BUFFERED_BYTES_MAX = 64 * 1024;

/** Takes everything and does nothing: a wire's user before there is one, and after the last. */
export const NO_USER: WireUser = {
  onWireBytes() {},
  onWireEnd() {},
  onWireDrain() {},
  onWireClose() {},
};
