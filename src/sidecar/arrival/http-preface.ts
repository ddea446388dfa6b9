// Tells from the first bytes of a connection whether its client speaks HTTP, and which version: a request
// line (RFC 9112 section 3) or the preface of HTTP/2 (RFC 9113 section 3.4). Bytes may be cut anywhere and
// each is looked at once. It gives up at the first byte that HTTP cannot have there; it never throws. It
// only detects: the request itself is judged by the parser of whoever takes the connection.

export type HttpPrefaceState = 'incomplete' | 'not-http' | 'http/1.0' | 'http/1.1' | 'h2c';

/** What Envoy's http_inspector reads at most. */
const PREFACE_BYTES_MAX = 64 * 1024;

const H2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const METHOD_BYTES_MAX = 64;
const VERSION_BYTES = 8;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]$/;
const IS_TOKEN = Array.from({ length: 256 }, (_, byte) => TOKEN.test(String.fromCharCode(byte)));

type Part = 'method' | 'target' | 'version' | 'line-feed';

export class HttpPreface {
  state: HttpPrefaceState = 'incomplete';
  #part: Part = 'method';
  /** Bytes of the current part, and of all. */
  #partBytes = 0;
  #bytes = 0;
  #version = '';
  /** True while everything matches the preface of HTTP/2. */
  #isH2 = true;

  /** Takes the bytes that follow those of the last call. */
  feed(bytes: Buffer): HttpPrefaceState {
    for (let at = 0; at < bytes.length && this.state === 'incomplete'; at++) this.#take(bytes[at] ?? 0);
    return this.state;
  }

  #take(byte: number): void {
    const wasH2 = this.#isH2;
    this.#isH2 &&= H2_PREFACE.charCodeAt(this.#bytes) === byte;
    this.#bytes++;
    const hasLeftH2 = wasH2 && !this.#isH2 && this.#bytes > PRI_BYTES + 1;
    if (this.#bytes > PREFACE_BYTES_MAX || hasLeftH2) this.state = 'not-http';
    else if (!this.#isH2) this.#takeLine(byte);
    else if (this.#bytes === H2_PREFACE.length) this.state = 'h2c';
    // The preface begins as a request line does: should it turn out to be one, the line is known so far.
    else if (this.#bytes <= PRI_BYTES) this.#takeLine(byte);
  }

  #takeLine(byte: number): void {
    switch (this.#part) {
      case 'method':
        // Empty lines before a request line are skipped (RFC 9112 section 2.2).
        if (this.#partBytes === 0 && (byte === 0x0d || byte === 0x0a)) return;
        if (byte === 0x20 && this.#partBytes > 0) this.#next('target');
        else if (IS_TOKEN[byte] !== true || ++this.#partBytes > METHOD_BYTES_MAX) this.state = 'not-http';
        return;
      case 'target':
        if (byte === 0x20 && this.#partBytes > 0) this.#next('version');
        else if (byte <= 0x20 || byte === 0x7f) this.state = 'not-http';
        else this.#partBytes++;
        return;
      case 'version':
        this.#version += String.fromCharCode(byte);
        if (!'HTTP/1.0'.startsWith(this.#version) && !'HTTP/1.1'.startsWith(this.#version)) this.state = 'not-http';
        else if (++this.#partBytes === VERSION_BYTES) this.#next('line-feed');
        return;
      case 'line-feed':
        if (byte === 0x0a) this.state = this.#version === 'HTTP/1.0' ? 'http/1.0' : 'http/1.1';
        else if (byte !== 0x0d || ++this.#partBytes > 1) this.state = 'not-http';
    }
  }

  #next(part: Part): void {
    this.#part = part;
    this.#partBytes = 0;
  }
}

/** `PRI * HTTP/`: where the preface parts from a request line. */
const PRI_BYTES = 11;
