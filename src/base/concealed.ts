// A text that must not be seen: a private key, a token. Whatever prints, logs or serializes it gets something else; only
// `reveal` gives it away, and whoever calls that is easy to find. As JSON it is a mark that differs when the text does,
// so that comparing notices a change; the mark is keyed by this process and tells nothing about the text.
import { createHmac, randomBytes } from 'node:crypto';

const KEY = randomBytes(32);
const MARK_CHARACTERS = 16;

export class Concealed {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return `[redacted ${createHmac('sha256', KEY).update(this.#text).digest('hex').slice(0, MARK_CHARACTERS)}]`;
  }
}
