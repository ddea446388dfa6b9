// @hot
// What a judgement leaves in the dynamic metadata of an exchange, made once: a request is only given it. Beside what an
// earlier filter left there it is merged, once for each pair: there are as many as there are outcomes.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Exchange } from '../plan/exchange.ts';

export class RbacNote {
  readonly #namespace: string;
  readonly #fields: JsonObject;
  readonly #merged = new WeakMap<JsonObject, JsonObject>();
  /** The last pair: most requests are decided alike. */
  #lastBefore: JsonObject | null = null;
  #lastMerged: JsonObject;

  constructor(namespace: string, fields: JsonObject) {
    this.#namespace = namespace;
    this.#fields = Object.freeze(fields);
    this.#lastMerged = this.#fields;
  }

  write(x: Exchange): void {
    const { metadata } = x;
    const before = metadata.get(this.#namespace);
    metadata.set(this.#namespace, before === undefined ? this.#fields : this.#mergedWith(before));
  }

  #mergedWith(before: JsonObject): JsonObject {
    if (before !== this.#lastBefore) {
      this.#lastMerged = this.#merged.get(before) ?? this.#merge(before);
      this.#lastBefore = before;
    }
    return this.#lastMerged;
  }

  /** Once per process and pair. */
  #merge(before: JsonObject): JsonObject {
    const merged = Object.freeze({ ...before, ...this.#fields });
    this.#merged.set(before, merged);
    return merged;
  }

  /** Plans are printed without it. */
  toJSON(): undefined {
    return undefined;
  }
}
