// What is configured, as it was received: for config dumps, for telling a repeated resource from a
// changed one, and for the last good version that stays in force. One book per kind of resource.
// Nothing here is live; proxy.ts writes it, the admin server reads it.
import type { Problem } from '../base/problem.ts';
import { formatProblem } from '../base/problem.ts';
import type { Configured, RefusedResource } from './admin/source.ts';

export interface Entry<Message, Value> {
  readonly config: Configured<Message>;
  /** The resource's own bytes; empty for static ones. */
  readonly bytes: Uint8Array;
  readonly value: Value;
}

export interface Refused {
  readonly name: string;
  readonly version: string;
  readonly problems: readonly Problem[];
  readonly attemptedMs: number;
}

export class Book<Message, Value> {
  readonly kind: RefusedResource['kind'];
  readonly #entries = new Map<string, Entry<Message, Value>>();
  readonly #refused = new Map<string, RefusedResource>();

  constructor(kind: RefusedResource['kind']) {
    this.kind = kind;
  }

  get(name: string): Entry<Message, Value> | undefined {
    return this.#entries.get(name);
  }

  /** In the order they first came. */
  entries(): readonly Entry<Message, Value>[] {
    return [...this.#entries.values()];
  }

  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  isStatic(name: string): boolean {
    return this.#entries.get(name)?.config.origin === 'static';
  }

  /** True when these very bytes are in force. */
  holds(name: string, bytes: Uint8Array): boolean {
    const known = this.#entries.get(name);
    return known !== undefined && known.bytes.length > 0 && Buffer.compare(known.bytes, bytes) === 0;
  }

  accept(name: string, entry: Entry<Message, Value>): void {
    this.#entries.set(name, entry);
    this.#refused.delete(name);
  }

  refuse({ name, version, problems, attemptedMs }: Refused): void {
    const details = problems.map(formatProblem).join('\n');
    this.#refused.set(name, { kind: this.kind, name, version, details, attemptedMs });
  }

  /** A refused version was followed by the one that is in force: the refusal is history. */
  forgive(name: string): void {
    this.#refused.delete(name);
  }

  remove(name: string): void {
    this.#entries.delete(name);
    this.#refused.delete(name);
  }

  refused(): readonly RefusedResource[] {
    return [...this.#refused.values()];
  }
}
