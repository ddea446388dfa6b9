// @hot
// Takes a message body off the wire: by Content-Length, chunked (RFC 9112 section 7.1), until the
// connection closes, or none at all. Pieces of body are handed on as ranges of the buffer they
// arrived in; nothing is copied. Chunk syntax is strict: CRLF only, at most 16 hexadecimal digits, a
// bound on extensions; trailers are checked like fields and dropped.
import { HEX, TOKEN_LOWER, VALUE } from './byte-class.ts';

export interface BodySink {
  /** Body bytes[start, end): valid during the call; keep a reference, not the offsets of a reused buffer. */
  onBodyBytes(bytes: Buffer, start: number, end: number): void;
}

export const NO_BODY = 0;
export const BY_LENGTH = 1;
export const CHUNKED = 2;
export const UNTIL_CLOSE = 3;
export type BodyKind = typeof NO_BODY | typeof BY_LENGTH | typeof CHUNKED | typeof UNTIL_CLOSE;

/** A result of decode(): the body is malformed. Otherwise the offset of the first byte that is not body. */
export const BODY_MALFORMED = -1;
export const BODY_TOO_LARGE = -2;

const CR = 0x0d;
const LF = 0x0a;
const SIZE_DIGITS_MAX = 16;
const EXTENSION_BYTES_MAX = 16 * 1024;
const TRAILER_BYTES_MAX = 60 * 1024;
const TRAILER_COUNT_MAX = 100;

// States of the chunked decoder.
const SIZE = 0; // digits of a chunk size
const EXTENSION = 1; // after ';' until CR
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6; // first byte of a trailer line, or the final CR
const TRAILER_NAME = 7;
const TRAILER_VALUE = 8;
const TRAILER_LF = 9;
const FINAL_LF = 10;
const SIZE_BLANK = 11; // blanks between size and ';' or CR (BWS)

export class BodyDecoder {
  kind: BodyKind = NO_BODY;
  isComplete = true;
  #remaining = 0;
  #state = SIZE;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailers = 0;

  /** Bytes of body that are known to be still to come; a chunked body says no more than its chunk. */
  get remainingBytes(): number {
    return this.#remaining;
  }

  /** Prepares for the next body; `contentLength` counts only for BY_LENGTH. */
  begin(kind: BodyKind, contentLength: number): void {
    this.kind = kind;
    this.#remaining = kind === BY_LENGTH ? contentLength : 0;
    this.isComplete = kind === NO_BODY || (kind === BY_LENGTH && contentLength === 0);
    this.#state = SIZE;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#trailers = 0;
  }

  /** The connection ended: true when the body is complete now (UNTIL_CLOSE), false when it was cut. */
  endOfInput(): boolean {
    if (this.kind === UNTIL_CLOSE) this.isComplete = true;
    return this.isComplete;
  }

  /** Decodes bytes[start, end) into `sink`. Returns where the body ended (or `end`), or a negative code. */
  decode(bytes: Buffer, start: number, end: number, sink: BodySink): number {
    if (this.isComplete || start === end) return start;
    if (this.kind === CHUNKED) return this.#decodeChunked(bytes, start, end, sink);
    if (this.kind === UNTIL_CLOSE) {
      sink.onBodyBytes(bytes, start, end);
      return end;
    }
    const stop = end - start > this.#remaining ? start + this.#remaining : end;
    this.#remaining -= stop - start;
    if (this.#remaining === 0) this.isComplete = true;
    sink.onBodyBytes(bytes, start, stop);
    return stop;
  }

  #decodeChunked(bytes: Buffer, start: number, end: number, sink: BodySink): number {
    let i = start;
    while (i < end) {
      if (this.#state === DATA) {
        const stop = end - i > this.#remaining ? i + this.#remaining : end;
        this.#remaining -= stop - i;
        if (this.#remaining === 0) this.#state = DATA_CR;
        sink.onBodyBytes(bytes, i, stop);
        i = stop;
        continue;
      }
      const code =
        this.#state >= TRAILER_START && this.#state <= FINAL_LF
          ? this.#trailer(bytes[i] as number)
          : this.#frame(bytes[i] as number);
      i++;
      if (code < 0) return code;
      if (this.isComplete) return i;
    }
    return i;
  }

  /** One byte of chunk framing. */
  #frame(byte: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#size(byte);
      case SIZE_BLANK:
        if (byte === 0x20 || byte === 0x09) return this.#countExtension();
        if (byte !== 0x3b) return BODY_MALFORMED;
        this.#state = EXTENSION;
        return this.#countExtension();
      case EXTENSION:
        if (byte === CR) this.#state = SIZE_LF;
        else if (VALUE[byte] !== 1) return BODY_MALFORMED;
        return this.#countExtension();
      case SIZE_LF:
        if (byte !== LF) return BODY_MALFORMED;
        this.#digits = 0;
        this.#state = this.#remaining === 0 ? TRAILER_START : DATA;
        return 0;
      case DATA_CR:
        this.#state = DATA_LF;
        return byte === CR ? 0 : BODY_MALFORMED;
      default:
        this.#state = SIZE;
        return byte === LF ? 0 : BODY_MALFORMED;
    }
  }

  #size(byte: number): number {
    const digit = HEX[byte] as number;
    if (digit !== 255) {
      this.#digits++;
      this.#remaining = this.#remaining * 16 + digit;
      if (this.#digits > SIZE_DIGITS_MAX) return BODY_MALFORMED;
      return this.#remaining > Number.MAX_SAFE_INTEGER ? BODY_TOO_LARGE : 0;
    }
    if (this.#digits === 0) return BODY_MALFORMED;
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === 0x3b) this.#state = EXTENSION;
    else if (byte === 0x20 || byte === 0x09) this.#state = SIZE_BLANK;
    else return BODY_MALFORMED;
    return 0;
  }

  #countExtension(): number {
    this.#extensionBytes++;
    return this.#extensionBytes > EXTENSION_BYTES_MAX ? BODY_TOO_LARGE : 0;
  }

  /** One byte of the trailer section. */
  #trailer(byte: number): number {
    this.#trailerBytes++;
    if (this.#trailerBytes > TRAILER_BYTES_MAX) return BODY_TOO_LARGE;
    switch (this.#state) {
      case TRAILER_START:
        if (byte === CR) this.#state = FINAL_LF;
        else if (TOKEN_LOWER[byte] === 0 || ++this.#trailers > TRAILER_COUNT_MAX) return BODY_MALFORMED;
        else this.#state = TRAILER_NAME;
        return 0;
      case TRAILER_NAME:
        if (byte === 0x3a) this.#state = TRAILER_VALUE;
        else if (TOKEN_LOWER[byte] === 0) return BODY_MALFORMED;
        return 0;
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF;
        else if (VALUE[byte] !== 1) return BODY_MALFORMED;
        return 0;
      case TRAILER_LF:
        this.#state = TRAILER_START;
        return byte === LF ? 0 : BODY_MALFORMED;
      default:
        if (byte !== LF) return BODY_MALFORMED;
        this.isComplete = true;
        return 0;
    }
  }
}
