// @hot
// The Mersenne twister MT19937: random numbers that are the same for the same seed everywhere, which is what
// bounded load needs to give a hash the same alternatives in every sidecar, and in Envoy.
// Source: Matsumoto and Nishimura 1998; std::mt19937.

const SIZE = 624;
const MIDDLE = 397;
const TWO_32 = 4294967296;

export class Twister {
  readonly #state = new Uint32Array(SIZE);
  #at = SIZE;

  seed(value: number): void {
    const state = this.#state;
    state[0] = value;
    for (let i = 1; i < SIZE; i++) {
      const before = state[i - 1] as number;
      state[i] = Math.imul(before ^ (before >>> 30), 1812433253) + i;
    }
    this.#at = SIZE;
  }

  /** A whole number from 0 to `end` - 1, each as likely. */
  below(end: number): number {
    const width = Math.floor(TWO_32 / end);
    let value = end;
    while (value >= end) value = Math.floor(this.next() / width);
    return value;
  }

  /** 32 random bits, unsigned. */
  next(): number {
    if (this.#at === SIZE) this.#twist();
    let value = this.#state[this.#at++] as number;
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    return (value ^ (value >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const next = state[(i + 1) % SIZE] as number;
      const mixed = ((state[i] as number) & 0x80000000) | (next & 0x7fffffff);
      state[i] = (state[(i + MIDDLE) % SIZE] as number) ^ (mixed >>> 1) ^ ((next & 1) === 0 ? 0 : 0x9908b0df);
    }
    this.#at = 0;
  }
}
