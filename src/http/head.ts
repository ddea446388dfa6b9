// @hot
// The head of one HTTP/1.1 message: a start line and an ordered list of header entries. A parsed
// entry is four offsets into `text`, the head as received (Latin-1, one character a byte); its
// name and value become strings only when somebody asks. Edits happen in place: a removed entry
// stays as a hole, an added one carries its own strings. One Head lives as long as its connection
// and is reset between messages.
//
//   text     GET /a HTTP/1.1␍␊Host: x␍␊Accept: */*␍␊␍␊
//   spans         │nameStart nameEnd valueStart valueEnd│ …      4 numbers an entry
//   ids      the interned name, UNKNOWN (0), or REMOVED (-1)
//   names, values    null while the text says it; a string once edited or added
import { headerId, type HeaderId } from '../base/brand.ts';
import { H, UNKNOWN, headerNameOf } from './header-name.ts';

/** The id of an entry that has been taken out. */
export const REMOVED: HeaderId = headerId(-1);

const INITIAL_ENTRIES = 32;

export class Head {
  text = '';
  /** Request: the method. Response: empty. */
  method = '';
  /** Request: path with query, as it is routed and sent (Envoy's `:path`). Response: empty. */
  path = '';
  /** Request: the host the client asked for (Envoy's `:authority`), with a port if it sent one. */
  authority = '';
  /** Request: `http` or `https` (Envoy's `:scheme`). */
  scheme = 'http';
  /** Response: the status code. Request: 0. */
  status = 0;
  /** Response: the reason phrase as received; empty lets the writer choose the usual one. */
  reason = '';
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  minor = 1;
  count = 0;
  /** Offsets where the header lines begin and end in `text`. */
  linesStart = 0;
  linesEnd = 0;
  ids: HeaderId[] = new Array<HeaderId>(INITIAL_ENTRIES).fill(UNKNOWN);
  spans: Int32Array = new Int32Array(INITIAL_ENTRIES * 4);
  names: (string | null)[] = new Array<string | null>(INITIAL_ENTRIES).fill(null);
  values: (string | null)[] = new Array<string | null>(INITIAL_ENTRIES).fill(null);

  reset(): void {
    for (let i = 0; i < this.count; i++) {
      this.names[i] = null;
      this.values[i] = null;
    }
    this.text = '';
    this.method = '';
    this.path = '';
    this.authority = '';
    this.scheme = 'http';
    this.status = 0;
    this.reason = '';
    this.minor = 1;
    this.count = 0;
    this.linesStart = 0;
    this.linesEnd = 0;
  }

  /** Appends an entry that the parser found in `text`. */
  push(id: HeaderId, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const i = this.count;
    if (i === this.ids.length) this.#grow();
    this.count = i + 1;
    this.ids[i] = id;
    const at = i * 4;
    this.spans[at] = nameStart;
    this.spans[at + 1] = nameEnd;
    this.spans[at + 2] = valueStart;
    this.spans[at + 3] = valueEnd;
  }

  /** The index of the first entry named `id` at or after `from`, or -1. */
  find(id: HeaderId, from = 0): number {
    const { ids, count } = this;
    for (let i = from; i < count; i++) if (ids[i] === id) return i;
    return -1;
  }

  has(id: HeaderId): boolean {
    return this.find(id) !== -1;
  }

  /** The value of the first entry named `id`, or null. */
  get(id: HeaderId): string | null {
    const i = this.find(id);
    return i === -1 ? null : this.valueAt(i);
  }

  /** All values of `id`, joined by a comma as RFC 9110 section 5.3 allows; null when absent. */
  getJoined(id: HeaderId): string | null {
    let i = this.find(id);
    if (i === -1) return null;
    let joined = this.valueAt(i);
    for (i = this.find(id, i + 1); i !== -1; i = this.find(id, i + 1)) joined += ',' + this.valueAt(i);
    return joined;
  }

  /** The value of entry `i`, which must not be removed. */
  valueAt(i: number): string {
    const value = this.values[i] as string | null;
    if (value !== null) return value;
    return this.text.slice(this.spans[i * 4 + 2], this.spans[i * 4 + 3]);
  }

  /** The name of entry `i` as received or as added. */
  nameAt(i: number): string {
    const name = this.names[i] as string | null;
    if (name !== null) return name;
    return this.text.slice(this.spans[i * 4], this.spans[i * 4 + 1]);
  }

  isRemovedAt(i: number): boolean {
    return this.ids[i] === REMOVED;
  }

  /** Adds an entry after all others; entries of the same name stay. */
  add(id: HeaderId, value: string): void {
    const i = this.count;
    this.push(id, 0, 0, 0, 0);
    this.names[i] = headerNameOf(id);
    this.values[i] = value;
  }

  /** Replaces every entry of this name by one: in the place of the first, or after all others. */
  set(id: HeaderId, value: string): void {
    const i = this.find(id);
    if (i === -1) {
      this.add(id, value);
      return;
    }
    this.values[i] = value;
    for (let j = this.find(id, i + 1); j !== -1; j = this.find(id, j + 1)) this.removeAt(j);
  }

  remove(id: HeaderId): void {
    for (let i = this.find(id); i !== -1; i = this.find(id, i + 1)) this.removeAt(i);
  }

  removeAt(i: number): void {
    this.ids[i] = REMOVED;
    this.names[i] = null;
    this.values[i] = null;
  }

  /** The host without a port, in the case as received. */
  hostname(): string {
    const { authority } = this;
    const colon = authority.lastIndexOf(':');
    if (colon === -1 || authority.indexOf(']', colon) !== -1) return authority;
    return authority.slice(0, colon);
  }

  /** The path without the query. */
  pathname(): string {
    const question = this.path.indexOf('?');
    return question === -1 ? this.path : this.path.slice(0, question);
  }

  /** Sets the host that goes upstream. */
  setAuthority(authority: string): void {
    this.authority = authority;
    this.set(H.host, authority);
  }

  /** Exchanges all that is in it with `other`. */
  swap(other: Head): void {
    const { text, method, path, authority, scheme, status, reason, minor, count } = this;
    const { linesStart, linesEnd, ids, spans, names, values } = this;
    this.text = other.text;
    this.method = other.method;
    this.path = other.path;
    this.authority = other.authority;
    this.scheme = other.scheme;
    this.status = other.status;
    this.reason = other.reason;
    this.minor = other.minor;
    this.count = other.count;
    this.linesStart = other.linesStart;
    this.linesEnd = other.linesEnd;
    this.ids = other.ids;
    this.spans = other.spans;
    this.names = other.names;
    this.values = other.values;
    other.text = text;
    other.method = method;
    other.path = path;
    other.authority = authority;
    other.scheme = scheme;
    other.status = status;
    other.reason = reason;
    other.minor = minor;
    other.count = count;
    other.linesStart = linesStart;
    other.linesEnd = linesEnd;
    other.ids = ids;
    other.spans = spans;
    other.names = names;
    other.values = values;
  }

  #grow(): void {
    const size = this.ids.length;
    for (let i = 0; i < size; i++) {
      this.ids.push(UNKNOWN);
      this.names.push(null);
      this.values.push(null);
    }
    const spans = new Int32Array(size * 8);
    spans.set(this.spans);
    this.spans = spans;
  }
}
