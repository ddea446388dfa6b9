// @hot
// The dynamic metadata of one exchange: an object for each namespace that a filter has written. There are a few at most,
// and they come and go with each request, so they stand in a list that is written over: a Map that is cleared makes its
// table anew. It promises nothing about order. Values are shared between requests: never change one.
import type { JsonObject } from '@bufbuild/protobuf';

export class ExchangeMetadata {
  readonly #namespaces: string[] = [];
  readonly #values: (JsonObject | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(namespace: string): JsonObject | undefined {
    for (let i = 0; i < this.#size; i++) if (this.#namespaces[i] === namespace) return this.#values[i];
    return undefined;
  }

  set(namespace: string, value: JsonObject): void {
    let i = 0;
    while (i < this.#size && this.#namespaces[i] !== namespace) i++;
    if (i === this.#size) {
      this.#namespaces[i] = namespace;
      this.#size++;
    }
    this.#values[i] = value;
  }

  /** Lets go of all values: what a token said must not outlive its request here. */
  clear(): void {
    for (let i = 0; i < this.#size; i++) this.#values[i] = undefined;
    this.#size = 0;
  }
}
