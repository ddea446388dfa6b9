// @hot
// What one provider remembers of tokens that it has judged: a look-up by the token's whole text, so that a request with
// a known token costs no parsing and no cryptography. V8 hashes the text with a seed of the process and compares it in
// full, so nobody can make two tokens meet. Good ones leave when they expire, when the room is needed (second chance:
// what was used since the last look stays) or when the keys change; bad ones have a small store of their own, so that
// a flood of them cannot push out the good ones.
import { JWT, type JwtStatus } from './jwt-status.ts';

/** Longer texts are not remembered: V8 hashes those by their length alone. */
const TEXT_CHARS_MAX = 12_288;
/** Bytes of all texts of one cache, and the entries, unless the configuration says how many. */
const BYTES_MAX = 4 * 1024 * 1024;
export const ENTRIES_MAX = 1024;
const BAD_MAX = 256;
const BAD_CHARS_MAX = 4096;
/** How many used entries may be passed over when room is needed. */
const CHANCES_MAX = 16;

export interface Cached {
  wasUsed: boolean;
}

export class JwtCache<Entry extends Cached> {
  readonly #entriesMax: number;
  readonly #good = new Map<string, Entry>();
  readonly #bad = new Map<string, JwtStatus>();
  #bytes = 0;
  /** Of the keys that everything in it was judged with. */
  #version = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#good.size;
  }

  /** Forgets everything that was judged with other keys. */
  follow(version: number): void {
    if (version === this.#version) return;
    this.#version = version;
    this.clear();
  }

  /** Null: this text is not known to be good. */
  find(text: string): Entry | null {
    const entry = this.#good.get(text);
    if (entry === undefined) return null;
    entry.wasUsed = true;
    return entry;
  }

  /** Why this text was refused; OK when it is not known. */
  findBad(text: string): JwtStatus {
    return this.#bad.size === 0 ? JWT.ok : (this.#bad.get(text) ?? JWT.ok);
  }

  add(text: string, entry: Entry): void {
    if (text.length > TEXT_CHARS_MAX) return;
    this.remove(text);
    while (this.#good.size >= this.#entriesMax || this.#bytes + text.length > BYTES_MAX) this.#evict();
    this.#good.set(owned(text), entry);
    this.#bytes += text.length;
  }

  addBad(text: string, status: JwtStatus): void {
    if (text.length > BAD_CHARS_MAX) return;
    if (this.#bad.size >= BAD_MAX) {
      const oldest = this.#bad.keys().next();
      if (oldest.done !== true) this.#bad.delete(oldest.value);
    }
    this.#bad.set(owned(text), status);
  }

  remove(text: string): void {
    if (this.#good.delete(text)) this.#bytes -= text.length;
  }

  clear(): void {
    this.#good.clear();
    this.#bad.clear();
    this.#bytes = 0;
  }

  #evict(): void {
    let chances = CHANCES_MAX;
    for (;;) {
      const oldest = this.#good.entries().next();
      if (oldest.done === true) return;
      const text = oldest.value[0];
      const entry = oldest.value[1];
      this.#good.delete(text);
      if (!entry.wasUsed || chances === 0) {
        this.#bytes -= text.length;
        return;
      }
      chances--;
      entry.wasUsed = false;
      this.#good.set(text, entry);
    }
  }
}

/** A copy: what is cut out of a head would keep all of it in memory. */
function owned(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
