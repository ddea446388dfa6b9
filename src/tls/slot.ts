// The place of one secret that may change: certificates, trusted authorities, ticket keys. Whoever uses it
// reads `value` and `generation` when it needs them (at a handshake, not per request), so nobody has to be
// told of a rotation, and a bad new version simply never gets here. A slot is settled once its first value
// came or nobody waits for it any longer. One that is revoked has no value: who needs it refuses until the next comes.

export class Slot<Value> {
  /** As configured: an SDS name, or empty for a secret that stands in the configuration itself. */
  readonly name: string;
  #value: Value | null = null;
  #id: string | null = null;
  #generation = 0;
  #isSettled = false;
  #revocation = '';
  #waiting: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** The last good version; null before the first, and after it was revoked. */
  get value(): Value | null {
    return this.#value;
  }

  /** Grows with each version; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Why there is no value any more, for logs; empty when it was not revoked. */
  get revocation(): string {
    return this.#revocation;
  }

  /** A value with the id of the one in force changes nothing. */
  set(value: Value, id: string): void {
    if (id !== this.#id) {
      this.#id = id;
      this.#value = value;
      this.#revocation = '';
      this.#generation++;
    }
    this.settle();
  }

  /** What was here must not be used any more; the next set() puts an end to that. */
  revoke(reason: string): void {
    if (this.#value === null) return;
    this.#id = null;
    this.#value = null;
    this.#revocation = reason;
    this.#generation++;
  }

  /** One that will never have a value, so nobody waits for it. */
  static denied<Value>(name: string, reason: string): Slot<Value> {
    const slot = new Slot<Value>(name);
    slot.#revocation = reason;
    slot.#generation++;
    slot.settle();
    return slot;
  }

  /** Nobody waits for a first version any longer. */
  settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const callback of waiting) callback();
  }

  /** Called once, when the slot is settled: at once when it is. */
  onSettled(callback: () => void): void {
    if (this.#isSettled) callback();
    else this.#waiting.push(callback);
  }
}

/** Why one of the slots has no value any more; empty when none of them was revoked. */
export function revocationOf(slots: readonly (Slot<unknown> | null)[]): string {
  for (const slot of slots) if (slot !== null && slot.revocation !== '') return slot.revocation;
  return '';
}
