// @hot
// The buffer that one upstream socket reads into, again and again: a response that is written on at once
// costs no memory of its own. Only when the client is slow, so that what was handed on still waits in its
// socket, is the buffer left to it and another one taken.
import type { OnReadOpts } from 'node:net';
import type { UpstreamConnection } from './h1-client.ts';

const BUFFER_BYTES = 64 * 1024;

export class UpstreamReading {
  /** Set when the socket is connected; bytes before that cannot be. */
  connection: UpstreamConnection | null = null;
  readonly options: OnReadOpts;
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

  constructor() {
    this.options = { buffer: this.#next, callback: this.#onRead };
  }

  // Made once per connection, not per read.
  readonly #next = (): Buffer => this.#buffer;

  readonly #onRead = (count: number): boolean => {
    const isHeld = this.connection !== null && this.connection.onBytes(this.#buffer.subarray(0, count));
    if (isHeld) this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    return true;
  };
}
