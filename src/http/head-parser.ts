// @hot
// The strict HTTP/1.1 head parser (RFC 9112). It is fed chunks as they arrive and fills a Head once
// the empty line is there; however the input is cut, the result is the same. CRLF only: a bare CR or
// LF, obs-fold, blanks before the colon, controls and NUL are refused, each with a code that the
// caller turns into a status. It never throws and never reads past the bytes it was given.
//
//   chunk ─► (nothing held, head complete in the chunk) ─► one Latin-1 string ─► fields
//        └─► (incomplete) ─► held bytes grow, each byte is looked at once ─► …
import { HASH_SEED, lookUpHeader } from './header-name.ts';
import { TARGET, TOKEN_LOWER, VALUE } from './byte-class.ts';
import type { Head } from './head.ts';

/** What parse() returns when it wants more; every byte given has been taken. */
export const INCOMPLETE = 0;
/** Negative results: the status to answer with (requests), or simply a protocol error (responses). */
export const MALFORMED = -400;
export const TARGET_TOO_LONG = -414;
export const HEAD_TOO_LARGE = -431;
export const BAD_VERSION = -505;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;
const COLON = 0x3a;
/** Empty lines tolerated before a request line (RFC 9112 section 2.2). */
const LEADING_LINES_MAX = 16;
/** Room for a partial head that stays with the connection. */
const HELD_BYTES_KEPT = 4096;
const END = Buffer.from('\r\n\r\n', 'latin1');
const STATUS_LINE_START = Buffer.from('HTTP/1.', 'latin1');

export interface HeadLimits {
  /** Bytes of the start line and the fields together. */
  bytesMax: number;
  /** Field lines. */
  countMax: number;
}

export class HeadParser {
  readonly #isRequest: boolean;
  readonly #limits: HeadLimits;
  #held: Buffer | null = null;
  #heldBytes = 0;
  #leadingLines = 0;
  /** The start line of the head that is held has been judged. */
  #isLineChecked = false;

  constructor(kind: 'request' | 'response', limits: HeadLimits) {
    this.#isRequest = kind === 'request';
    this.#limits = limits;
  }

  /** True when part of a head has been taken already. */
  get isPartial(): boolean {
    return this.#heldBytes > 0;
  }

  /**
   * Takes all of `bytes` from `start` on. Returns the offset in `bytes` right after the head once it is
   * complete and laid into `head` (which must be fresh), INCOMPLETE, or a negative code.
   */
  parse(bytes: Buffer, start: number, head: Head): number {
    const end = bytes.length;
    if (this.#heldBytes > 0) return this.#parseHeld(bytes, start, head);
    let from = start;
    if (this.#isRequest) {
      from = this.#skipLeadingLines(bytes, start, end);
      if (from < 0) return MALFORMED;
      if (from === end) return INCOMPLETE;
    }
    const found = bytes.indexOf(END, from);
    if (found === -1) return this.#append(bytes, from, end) < 0 ? MALFORMED : this.#check(0, head);
    const code = this.#finish(bytes, from, found + 4, head);
    return code < 0 ? code : found + 4;
  }

  #parseHeld(bytes: Buffer, start: number, head: Head): number {
    const fresh = this.#append(bytes, start, bytes.length);
    if (fresh < 0) return MALFORMED;
    const held = this.#held;
    const total = this.#heldBytes;
    const headEnd = held === null ? -1 : endOfHead(held, fresh, total);
    if (held === null || headEnd === -1) return this.#check(fresh, head);
    this.#heldBytes = 0;
    // A connection that once had a large head does not keep the room for it.
    if (held.length > HELD_BYTES_KEPT) this.#held = null;
    const result = this.#finish(held, 0, headEnd, head);
    return result < 0 ? result : bytes.length - (total - headEnd);
  }

  /** Keeps bytes of an incomplete head. Returns where they begin among those held; -1 for too many empty lines. */
  #append(bytes: Buffer, start: number, end: number): number {
    const before = this.#heldBytes;
    const total = before + (end - start);
    let held = this.#held;
    if (held === null || held.length < total) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, total * 2));
      if (held !== null) held.copy(grown, 0, 0, before);
      held = grown;
      this.#held = grown;
    }
    bytes.copy(held, before, start, end);
    this.#heldBytes = total;
    if (!this.#isRequest) return before;
    const skipped = this.#skipLeadingLines(held, 0, total);
    if (skipped <= 0) return skipped < 0 ? -1 : before;
    held.copyWithin(0, skipped, total);
    this.#heldBytes = total - skipped;
    return before > skipped ? before - skipped : 0;
  }

  /** Looks at each new byte of an incomplete head once, so that garbage is refused at once. */
  #check(from: number, head: Head): number {
    const held = this.#held;
    if (held === null) return INCOMPLETE;
    const { bytesMax } = this.#limits;
    const total = this.#heldBytes;
    const to = total > bytesMax ? bytesMax : total;
    if (from < to) {
      if (checkPartial(held, from, to) < 0) return this.#firstError(held, to, head);
      const line = this.#isRequest && !this.#isLineChecked ? this.#checkLine(held, from, to, head) : 0;
      if (line < 0) return line;
    }
    if (!this.#isRequest && !isStatusLineStart(held, total)) return MALFORMED;
    return total <= bytesMax ? INCOMPLETE : this.#tooLarge(held, 0);
  }

  /** Judges the request line as soon as it is there, so that nobody waits for the fields of what is no request. */
  #checkLine(held: Buffer, from: number, to: number, head: Head): number {
    for (let i = from; i < to; i++) {
      if (held[i] !== LF) continue;
      this.#isLineChecked = true;
      return parseRequestLine(held.toString('latin1', 0, i + 1), head);
    }
    return 0;
  }

  /** The target is to blame when the start line alone is over the limit. */
  #tooLarge(bytes: Buffer, start: number): number {
    const lineEnd = bytes.indexOf(LF, start);
    const isTarget = this.#isRequest && (lineEnd === -1 || lineEnd - start >= this.#limits.bytesMax);
    return isTarget ? TARGET_TOO_LONG : HEAD_TOO_LARGE;
  }

  /** What the whole head would have been refused for: the first error, not the one that was seen first. */
  #firstError(bytes: Buffer, end: number, head: Head): number {
    // The end that is added stops the parser in any case.
    const text = bytes.toString('latin1', 0, end) + '\r\n\r\n';
    const at = this.#isRequest ? parseRequestLine(text, head) : parseStatusLine(text, head);
    const code = at < 0 ? at : parseFields(text, at, head, this.#limits.countMax, this.#isRequest);
    return code < 0 ? code : MALFORMED;
  }

  /** The offset after empty lines; the end of the bytes when there is nothing else; -1 for too many. */
  #skipLeadingLines(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at + 1 < end && bytes[at] === CR && bytes[at + 1] === LF) {
      at += 2;
      this.#leadingLines++;
      if (this.#leadingLines > LEADING_LINES_MAX) return -1;
    }
    return at;
  }

  #finish(bytes: Buffer, start: number, end: number, head: Head): number {
    this.#leadingLines = 0;
    this.#isLineChecked = false;
    const { bytesMax, countMax } = this.#limits;
    if (end - start > bytesMax) {
      const code = checkPartial(bytes, start, start + bytesMax);
      if (code < 0) return this.#firstError(bytes.subarray(start), bytesMax, head);
      return this.#tooLarge(bytes, start);
    }
    const text = bytes.toString('latin1', start, end);
    head.text = text;
    const at = this.#isRequest ? parseRequestLine(text, head) : parseStatusLine(text, head);
    if (at < 0) return at;
    return parseFields(text, at, head, countMax, this.#isRequest);
  }
}

/** The offset after the first empty line that ends in bytes[from, to); -1 when there is none. */
function endOfHead(bytes: Buffer, from: number, to: number): number {
  for (let i = Math.max(from, 3); i < to; i++) {
    if (bytes[i] === LF && bytes[i - 1] === CR && bytes[i - 2] === LF && bytes[i - 3] === CR) return i + 1;
  }
  return -1;
}

/** Another protocol (a banner, say) is known by its first bytes; nobody waits for its end. */
function isStatusLineStart(bytes: Buffer, total: number): boolean {
  for (let i = 0; i < total && i < STATUS_LINE_START.length; i++) {
    if (bytes[i] !== STATUS_LINE_START[i]) return false;
  }
  return true;
}

/** Refuses what no complete head could hold, among the bytes that came last. */
function checkPartial(bytes: Buffer, from: number, to: number): number {
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number;
    if (byte >= 0x20 && byte !== 0x7f) continue;
    if (byte === LF) {
      if (i === 0 || bytes[i - 1] !== CR) return MALFORMED;
    } else if (byte !== CR && byte !== HTAB) {
      return MALFORMED;
    }
    if (i > 0 && byte !== LF && bytes[i - 1] === CR) return MALFORMED;
  }
  // A CR must be followed by LF; one that ends the bytes is still open.
  for (let i = Math.max(from, 1); i < to; i++) {
    if (bytes[i - 1] === CR && bytes[i] !== LF) return MALFORMED;
  }
  return 0;
}

/** Returns the offset of the first field, or a negative code. */
function parseRequestLine(text: string, head: Head): number {
  let i = 0;
  for (let code = text.charCodeAt(i); code !== SP; code = text.charCodeAt(++i)) {
    const lower = TOKEN_LOWER[code] as number;
    // Methods are case-sensitive; a lower-case letter is refused rather than passed to an app that folds it.
    if (lower === 0 || (code >= 0x61 && code <= 0x7a)) return MALFORMED;
  }
  if (i === 0) return MALFORMED;
  head.method = methodOf(text, i);
  const targetStart = ++i;
  for (let code = text.charCodeAt(i); code !== SP; code = text.charCodeAt(++i)) {
    if (TARGET[code] !== 1) return MALFORMED;
  }
  if (i === targetStart) return MALFORMED;
  head.path = text.slice(targetStart, i);
  return parseVersion(text, i + 1, head);
}

/** The usual methods as constants, so that no string is made. */
function methodOf(text: string, end: number): string {
  if (end === 3 && text.startsWith('GET')) return 'GET';
  if (end === 4 && text.startsWith('POST')) return 'POST';
  if (end === 4 && text.startsWith('HEAD')) return 'HEAD';
  if (end === 3 && text.startsWith('PUT')) return 'PUT';
  return text.slice(0, end);
}

function parseVersion(text: string, at: number, head: Head): number {
  if (!text.startsWith('HTTP/', at)) return MALFORMED;
  const major = text.charCodeAt(at + 5);
  const minor = text.charCodeAt(at + 7);
  if (text.charCodeAt(at + 6) !== 0x2e || !isDigit(major) || !isDigit(minor)) return MALFORMED;
  if (text.charCodeAt(at + 8) !== CR || text.charCodeAt(at + 9) !== LF) return MALFORMED;
  if (major !== 0x31) return BAD_VERSION;
  head.minor = minor === 0x30 ? 0 : 1;
  return at + 10;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** `HTTP/1.1 200 OK`; the reason may be empty, and its space too. Status 100 to 999: what is above 599 goes on as it is. */
function parseStatusLine(text: string, head: Head): number {
  if (!text.startsWith('HTTP/1.')) return MALFORMED;
  const minor = text.charCodeAt(7);
  if (!isDigit(minor) || text.charCodeAt(8) !== SP) return MALFORMED;
  head.minor = minor === 0x30 ? 0 : 1;
  let status = 0;
  for (let i = 9; i < 12; i++) {
    const digit = text.charCodeAt(i);
    if (!isDigit(digit)) return MALFORMED;
    status = status * 10 + (digit - 0x30);
  }
  if (status < 100) return MALFORMED;
  head.status = status;
  let i = 12;
  if (text.charCodeAt(i) === SP) {
    i++;
    while (VALUE[text.charCodeAt(i)] === 1) i++;
    head.reason = text.slice(13, i);
  }
  if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF) return MALFORMED;
  return i + 2;
}

function parseFields(text: string, start: number, head: Head, countMax: number, isRequest: boolean): number {
  head.linesStart = start;
  const last = text.length - 2;
  let i = start;
  while (i < last) {
    const nameStart = i;
    let hash = HASH_SEED;
    let code = text.charCodeAt(i);
    for (let lower = TOKEN_LOWER[code] as number; lower !== 0; lower = TOKEN_LOWER[code] as number) {
      hash = Math.imul(hash ^ lower, 0x01000193);
      code = text.charCodeAt(++i);
    }
    const nameEnd = i;
    // RFC 9112 section 5.1: blanks before the colon are refused in a request and dropped from a response.
    if (!isRequest && i !== nameStart) while (code === SP || code === HTAB) code = text.charCodeAt(++i);
    // Not a token character: a colon right after the name, or a malformed line (obs-fold included).
    if (code !== COLON || i === nameStart) return MALFORMED;
    i++;
    code = text.charCodeAt(i);
    while (code === SP || code === HTAB) code = text.charCodeAt(++i);
    const valueStart = i;
    while (VALUE[code] === 1) code = text.charCodeAt(++i);
    if (code !== CR || text.charCodeAt(i + 1) !== LF) return MALFORMED;
    let valueEnd = i;
    i += 2;
    while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
    if (head.count === countMax) return HEAD_TOO_LARGE;
    head.push(lookUpHeader(hash | 0, text, nameStart, nameEnd), nameStart, nameEnd, valueStart, valueEnd);
  }
  head.linesEnd = last;
  return 0;
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}
