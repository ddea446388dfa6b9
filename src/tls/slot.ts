// The place of one secret that may change: certificates, trusted authorities, ticket keys. Whoever uses it
// reads `value` and `generation` when it needs them (at a handshake, not per request), so nobody has to be
// told of a rotation, and a bad new version simply never gets here. A slot is settled once its first value
// came or nobody waits for it any longer.

export class Slot<Value> {
  /** As configured: an SDS name, or empty for a secret that stands in the configuration itself. */
  readonly name: string;
  #value: Value | null = null;
  #id: string | null = null;
  #generation = 0;
  #isSettled = false;
  #waiting: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** The last good version; null before the first. */
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

  /** A value with the id of the one in force changes nothing. */
  set(value: Value, id: string): void {
    if (id !== this.#id) {
      this.#id = id;
      this.#value = value;
      this.#generation++;
    }
    this.settle();
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
