// Reads a TLS ClientHello as its bytes arrive, without terminating TLS: the server name and the application
// protocols that it asks for. Records may be cut anywhere and a hello may span several records; every byte
// is looked at once. It never throws: what is not a well-formed hello is `not-tls`, and one that is longer
// than the limit is `too-large`. Source: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3, RFC 7301.

export type TlsHelloState = 'incomplete' | 'not-tls' | 'too-large' | 'complete';

/** As long a hello as is read; Envoy's TLS_MAX_CLIENT_HELLO. */
const HELLO_BYTES_MAX = 16 * 1024;

const RECORD_HANDSHAKE = 22;
const RECORD_HEADER_BYTES = 5;
/** RFC 8446 section 5.1. */
const RECORD_BYTES_MAX = 16 * 1024;
const CLIENT_HELLO = 1;
const HANDSHAKE_HEADER_BYTES = 4;
const VERSION_AND_RANDOM_BYTES = 34;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const APPLICATION_PROTOCOLS = 16;

export class TlsHello {
  state: TlsHelloState = 'incomplete';
  /** Lower-case; empty when the client names none. */
  serverName = '';
  /** In the client's order. */
  protocols: readonly string[] = [];
  readonly #header = Buffer.alloc(RECORD_HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the current record that are still to come. */
  #recordLeft = 0;
  /** The handshake message, header included; sized as soon as its length is known. */
  #message: Buffer = Buffer.alloc(HANDSHAKE_HEADER_BYTES);
  #messageBytes = 0;

  /** Takes the bytes that follow those of the last call. */
  feed(bytes: Buffer): TlsHelloState {
    let at = 0;
    while (this.state === 'incomplete' && at < bytes.length) {
      if (this.#recordLeft > 0) at = this.#feedMessage(bytes, at);
      else at = this.#feedHeader(bytes, at);
    }
    return this.state;
  }

  #feedHeader(bytes: Buffer, at: number): number {
    const header = this.#header;
    header[this.#headerBytes++] = bytes[at] ?? 0;
    if (this.#headerBytes === 1 && header[0] !== RECORD_HANDSHAKE) this.state = 'not-tls';
    if (this.#headerBytes === 2 && header[1] !== 3) this.state = 'not-tls';
    if (this.#headerBytes < RECORD_HEADER_BYTES) return at + 1;
    this.#headerBytes = 0;
    this.#recordLeft = header.readUInt16BE(3);
    if (this.#recordLeft === 0 || this.#recordLeft > RECORD_BYTES_MAX) this.state = 'not-tls';
    return at + 1;
  }

  #feedMessage(bytes: Buffer, at: number): number {
    const wanted = this.#message.length - this.#messageBytes;
    const count = Math.min(bytes.length - at, this.#recordLeft, wanted);
    bytes.copy(this.#message, this.#messageBytes, at, at + count);
    this.#messageBytes += count;
    this.#recordLeft -= count;
    if (this.#message[0] !== CLIENT_HELLO) this.state = 'not-tls';
    else if (this.#messageBytes === this.#message.length) this.#filled();
    return at + count;
  }

  /** Either the header of the message is there, or all of it. */
  #filled(): void {
    const message = this.#message;
    if (message.length > HANDSHAKE_HEADER_BYTES) {
      // Nothing may stand behind a hello in its record: the client has to wait for an answer.
      if (this.#recordLeft > 0) this.state = 'not-tls';
      else this.#parse();
      return;
    }
    const bodyBytes = message.readUIntBE(1, 3);
    if (bodyBytes < VERSION_AND_RANDOM_BYTES) {
      this.state = 'not-tls';
      return;
    }
    if (bodyBytes + HANDSHAKE_HEADER_BYTES > HELLO_BYTES_MAX) {
      this.state = 'too-large';
      return;
    }
    this.#message = Buffer.alloc(HANDSHAKE_HEADER_BYTES + bodyBytes);
    message.copy(this.#message);
  }

  #parse(): void {
    const reader = new Reader(this.#message.subarray(HANDSHAKE_HEADER_BYTES));
    reader.take(VERSION_AND_RANDOM_BYTES);
    reader.vector(1);
    const ciphers = reader.vector(2);
    const compressions = reader.vector(1);
    const isOdd = ciphers.length < 2 || ciphers.length % 2 === 1 || compressions.length === 0;
    // A hello of TLS 1.2 may have no extensions at all.
    const extensions = new Reader(reader.isAtEnd ? EMPTY : reader.vector(2));
    if (isOdd || !reader.isAtEnd || reader.isBroken || !this.#extensions(extensions)) {
      this.state = 'not-tls';
      this.serverName = '';
      this.protocols = [];
      return;
    }
    this.state = 'complete';
  }

  #extensions(reader: Reader): boolean {
    const seen = new Set<number>();
    while (!reader.isAtEnd && !reader.isBroken) {
      const type = reader.number(2);
      const value = reader.vector(2);
      if (seen.has(type)) return false;
      seen.add(type);
      if (type === SERVER_NAME && !this.#serverName(new Reader(value))) return false;
      if (type === APPLICATION_PROTOCOLS && !this.#protocols(new Reader(value))) return false;
    }
    return !reader.isBroken;
  }

  #serverName(reader: Reader): boolean {
    const list = new Reader(reader.vector(2));
    const type = list.number(1);
    const name = list.vector(2);
    if (reader.isBroken || !reader.isAtEnd || list.isBroken || !list.isAtEnd || type !== HOST_NAME) return false;
    if (name.length === 0 || name.length > 255 || !name.every(isPrintable)) return false;
    this.serverName = name.toString('latin1').toLowerCase();
    return true;
  }

  #protocols(reader: Reader): boolean {
    const list = new Reader(reader.vector(2));
    if (reader.isBroken || !reader.isAtEnd || list.isAtEnd) return false;
    const protocols: string[] = [];
    while (!list.isAtEnd && !list.isBroken) {
      const name = list.vector(1);
      if (name.length === 0) return false;
      protocols.push(name.toString('latin1'));
    }
    this.protocols = protocols;
    return !list.isBroken;
  }
}

const EMPTY = Buffer.alloc(0);

/** Reads within bounds: past the end everything is empty, and `isBroken` says so. */
class Reader {
  isBroken = false;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Buffer {
    const end = this.#at + count;
    if (this.isBroken || end > this.#bytes.length) {
      this.isBroken = true;
      return EMPTY;
    }
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** Big-endian, of 1 or 2 bytes. */
  number(size: 1 | 2): number {
    const bytes = this.take(size);
    return bytes.length === size ? bytes.readUIntBE(0, size) : 0;
  }

  /** Bytes with their length, of 1 or 2 bytes, before them. */
  vector(size: 1 | 2): Buffer {
    return this.take(this.number(size));
  }
}

function isPrintable(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f;
}
