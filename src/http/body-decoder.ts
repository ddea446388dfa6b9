// @hot
// Takes a message body off the wire: by Content-Length, chunked (RFC 9112 section 7.1), until the
// connection closes, or none at all. Pieces of body are handed on as ranges of the buffer they
// arrived in; nothing is copied. Chunk syntax is strict: CRLF only, at most 16 hexadecimal digits,
// extensions by their grammar and within a bound. Trailers are checked like fields; those that may go
// on are kept as text. What is malformed is refused with the status that a client would get for it.
import { HEX, TOKEN_LOWER, VALUE } from './byte-class.ts';
import { filterTrailers } from './trailers.ts';

export interface BodySink {
  /** Body bytes[start, end): valid during the call; keep a reference, not the offsets of a reused buffer. */
  onBodyBytes(bytes: Buffer, start: number, end: number): void;
}

export const NO_BODY = 0;
export const BY_LENGTH = 1;
export const CHUNKED = 2;
export const UNTIL_CLOSE = 3;
export type BodyKind = typeof NO_BODY | typeof BY_LENGTH | typeof CHUNKED | typeof UNTIL_CLOSE;

/** Results of decode() that are no offset: the status to answer with, negative. */
export const BODY_MALFORMED = -400;
export const BODY_TOO_LARGE = -413;
export const TRAILERS_TOO_LARGE = -431;

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SIZE_DIGITS_MAX = 16;
const EXTENSION_BYTES_MAX = 16 * 1024;
const TRAILER_BYTES_MAX = 60 * 1024;
const TRAILER_COUNT_MAX = 100;

// States of the chunked decoder.
const SIZE = 0; // digits of a chunk size
const SIZE_BLANK = 1; // blanks between size and ';' (BWS)
const EXTENSION_START = 2; // after ';' until a name
const EXTENSION_NAME = 3;
const EXTENSION_NAME_BLANK = 4; // blanks after a name: '=' or ';' must follow
const EXTENSION_VALUE_START = 5; // after '=' until a value
const EXTENSION_TOKEN = 6;
const EXTENSION_QUOTED = 7;
const EXTENSION_ESCAPED = 8; // after a backslash in quotes
const EXTENSION_QUOTED_END = 9; // right after the closing quote
const EXTENSION_BLANK = 10; // blanks after a value: ';' must follow
const SIZE_LF = 11;
const DATA = 12;
const DATA_CR = 13;
const DATA_LF = 14;
const TRAILER_START = 15; // first byte of a trailer line, or the final CR
const TRAILER_NAME = 16;
const TRAILER_VALUE = 17;
const TRAILER_LF = 18;
const FINAL_LF = 19;

export class BodyDecoder {
  kind: BodyKind = NO_BODY;
  isComplete = true;
  /** Complete lines with CRLF of the trailers that may go on, known when the body is complete; else empty. */
  trailers = '';
  #nominated = '';
  #trailerText = '';
  #remaining = 0;
  #state = SIZE;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailerCount = 0;

  /** Bytes of body that are known to be still to come; a chunked body says no more than its chunk. */
  get remainingBytes(): number {
    return this.#remaining;
  }

  /**
   * Prepares for the next body; `contentLength` counts only for BY_LENGTH. `nominated` is
   * Framing.nominated: trailers of those names go no further.
   */
  begin(kind: BodyKind, contentLength: number, nominated = ''): void {
    this.kind = kind;
    this.trailers = '';
    this.#nominated = nominated;
    this.#trailerText = '';
    this.#remaining = kind === BY_LENGTH ? contentLength : 0;
    this.isComplete = kind === NO_BODY || (kind === BY_LENGTH && contentLength === 0);
    this.#state = SIZE;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#trailerCount = 0;
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
      if (this.#state >= TRAILER_START) return this.#readTrailers(bytes, i, end);
      const code = this.#frame(bytes[i] as number);
      i++;
      if (code < 0) return code;
    }
    return i;
  }

  /** One byte of chunk framing. */
  #frame(byte: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#size(byte);
      case SIZE_LF:
        if (byte !== LF) return BODY_MALFORMED;
        this.#digits = 0;
        this.#state = this.#remaining === 0 ? TRAILER_START : DATA;
        return 0;
      case DATA_CR:
        this.#state = DATA_LF;
        return byte === CR ? 0 : BODY_MALFORMED;
      case DATA_LF:
        this.#state = SIZE;
        return byte === LF ? 0 : BODY_MALFORMED;
      default: {
        const next = extensionState(this.#state, byte);
        if (next < 0) return next;
        this.#state = next;
        this.#extensionBytes++;
        return this.#extensionBytes > EXTENSION_BYTES_MAX ? BODY_TOO_LARGE : 0;
      }
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
    else if (byte === SEMICOLON) this.#state = EXTENSION_START;
    else if (isBlank(byte)) this.#state = SIZE_BLANK;
    else return BODY_MALFORMED;
    return 0;
  }

  /** The trailer section from bytes[start] on, kept as text until it is complete. */
  #readTrailers(bytes: Buffer, start: number, end: number): number {
    let i = start;
    while (i < end && !this.isComplete) {
      const code = this.#trailer(bytes[i] as number);
      i++;
      if (code < 0) return code;
    }
    if (!this.isComplete || this.#trailerCount > 0) this.#trailerText += bytes.toString('latin1', start, i);
    if (this.isComplete && this.#trailerCount > 0) {
      this.trailers = filterTrailers(this.#trailerText, this.#nominated);
      this.#trailerText = '';
    }
    return i;
  }

  /** One byte of the trailer section. */
  #trailer(byte: number): number {
    this.#trailerBytes++;
    if (this.#trailerBytes > TRAILER_BYTES_MAX) return TRAILERS_TOO_LARGE;
    switch (this.#state) {
      case TRAILER_START:
        if (byte === CR) this.#state = FINAL_LF;
        else if (TOKEN_LOWER[byte] === 0) return BODY_MALFORMED;
        else this.#state = TRAILER_NAME;
        if (byte !== CR) this.#trailerCount++;
        return this.#trailerCount > TRAILER_COUNT_MAX ? TRAILERS_TOO_LARGE : 0;
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

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** The state after one byte of chunk extensions (RFC 9112 section 7.1.1), or BODY_MALFORMED. */
function extensionState(state: number, byte: number): number {
  switch (state) {
    case SIZE_BLANK:
    case EXTENSION_BLANK:
      return isBlank(byte) ? state : byte === SEMICOLON ? EXTENSION_START : BODY_MALFORMED;
    case EXTENSION_START:
      return isBlank(byte) ? state : TOKEN_LOWER[byte] === 0 ? BODY_MALFORMED : EXTENSION_NAME;
    case EXTENSION_NAME:
      if (TOKEN_LOWER[byte] !== 0) return EXTENSION_NAME;
      if (byte === EQUALS) return EXTENSION_VALUE_START;
      return isBlank(byte) ? EXTENSION_NAME_BLANK : afterExtension(byte);
    case EXTENSION_NAME_BLANK:
      if (byte === EQUALS) return EXTENSION_VALUE_START;
      return isBlank(byte) ? state : byte === SEMICOLON ? EXTENSION_START : BODY_MALFORMED;
    case EXTENSION_VALUE_START:
      if (byte === QUOTE) return EXTENSION_QUOTED;
      return isBlank(byte) ? state : TOKEN_LOWER[byte] === 0 ? BODY_MALFORMED : EXTENSION_TOKEN;
    case EXTENSION_TOKEN:
      if (TOKEN_LOWER[byte] !== 0) return EXTENSION_TOKEN;
      return isBlank(byte) ? EXTENSION_BLANK : afterExtension(byte);
    case EXTENSION_QUOTED:
      if (byte === QUOTE) return EXTENSION_QUOTED_END;
      if (byte === BACKSLASH) return EXTENSION_ESCAPED;
      return VALUE[byte] === 1 ? EXTENSION_QUOTED : BODY_MALFORMED;
    case EXTENSION_ESCAPED:
      return VALUE[byte] === 1 ? EXTENSION_QUOTED : BODY_MALFORMED;
    default:
      return isBlank(byte) ? EXTENSION_BLANK : afterExtension(byte);
  }
}

function afterExtension(byte: number): number {
  return byte === SEMICOLON ? EXTENSION_START : byte === CR ? SIZE_LF : BODY_MALFORMED;
}
