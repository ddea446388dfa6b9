// @hot
// What a judgement leaves in the dynamic metadata of an exchange, made once: a request is only given it. Beside what an
// earlier filter left there it is merged, once for each pair: there are as many as there are outcomes.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Exchange } from '../plan/exchange.ts';

export class RbacNote {
  readonly #namespace: string;
  readonly #fields: JsonObject;
  readonly #merged = new WeakMap<JsonObject, JsonObject>();

  constructor(namespace: string, fields: JsonObject) {
    this.#namespace = namespace;
    this.#fields = Object.freeze(fields);
  }

  write(x: Exchange): void {
    const { metadata } = x;
    const before = metadata.get(this.#namespace);
    metadata.set(this.#namespace, before === undefined ? this.#fields : this.#mergedWith(before));
  }

  #mergedWith(before: JsonObject): JsonObject {
    return this.#merged.get(before) ?? this.#merge(before);
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
