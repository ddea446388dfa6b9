// @hot
// 64-bit hashes of wire text (one character a byte), in two unsigned halves, because a BigInt per request is
// garbage. xxHash64 is what Envoy hashes keys and endpoints with; MurmurHash2 (64A) is its other ring function.
// A Hash64 is an accumulator: made once, it holds the result of the last `of`. Nothing here is secret or secure.
// Source: xxHash specification 0.1.1 (XXH64); MurmurHash64A with libstdc++'s seed.

const PRIME_1 = Object.freeze({ high: 0x9e3779b1, low: 0x85ebca87 });
const PRIME_2 = Object.freeze({ high: 0xc2b2ae3d, low: 0x27d4eb4f });
const PRIME_3 = Object.freeze({ high: 0x165667b1, low: 0x9e3779f9 });
const PRIME_4 = Object.freeze({ high: 0x85ebca77, low: 0xc2b2ae63 });
const PRIME_5 = Object.freeze({ high: 0x27d4eb2f, low: 0x165667c5 });
const MURMUR = Object.freeze({ high: 0xc6a4a793, low: 0x5bd1e995 });
const MURMUR_SEED = 0xc70f6907;
const MURMUR_SHIFT = 47;
/** The four lanes of XXH64 take 32 bytes at a time. */
const STRIPE = 32;

export interface Halves {
  readonly high: number;
  readonly low: number;
}

export class Hash64 {
  /** The result as signed halves: high, low; then the lanes of XXH64. */
  readonly #words = new Int32Array(10);

  /** Unsigned 32 bits. */
  get high(): number {
    return (this.#words[0] as number) >>> 0;
  }

  get low(): number {
    return (this.#words[1] as number) >>> 0;
  }

  /** XXH64 of `text`; the seed, in two halves, is 0 for keys and 1 for the second hash of Maglev. */
  xx(text: string, seed = 0, seedHigh = 0): void {
    const { length } = text;
    let at = 0;
    if (length >= STRIPE) {
      this.#startLanes(seed, seedHigh);
      for (; at + STRIPE <= length; at += STRIPE) {
        for (let lane = 0; lane < 4; lane++) this.#feedLane(2 + lane * 2, text, at + lane * 8);
      }
      this.#mergeLanes();
    } else {
      this.#set(PRIME_5.high, PRIME_5.low);
      this.#add(seedHigh, seed);
    }
    this.#add(0, length);
    for (; at + 8 <= length; at += 8) {
      this.#xorRound(wordAt(text, at + 4), wordAt(text, at));
      this.#rotateLeft(27);
      this.#multiply(PRIME_1);
      this.#add(PRIME_4.high, PRIME_4.low);
    }
    if (at + 4 <= length) {
      this.#xorProduct(wordAt(text, at), PRIME_1);
      this.#rotateLeft(23);
      this.#multiply(PRIME_2);
      this.#add(PRIME_3.high, PRIME_3.low);
      at += 4;
    }
    for (; at < length; at++) {
      this.#xorProduct(text.charCodeAt(at) & 0xff, PRIME_5);
      this.#rotateLeft(11);
      this.#multiply(PRIME_1);
    }
    this.#xorShifted(33);
    this.#multiply(PRIME_2);
    this.#xorShifted(29);
    this.#multiply(PRIME_3);
    this.#xorShifted(32);
  }

  /** MurmurHash64A of `text` with the seed of libstdc++. */
  murmur(text: string): void {
    const { length } = text;
    const words = this.#words;
    this.#set(0, length);
    this.#multiply(MURMUR);
    this.#xor(0, MURMUR_SEED);
    let high = words[0] as number;
    let low = words[1] as number;
    let at = 0;
    for (; at + 8 <= length; at += 8) {
      this.#set(wordAt(text, at + 4), wordAt(text, at));
      this.#multiply(MURMUR);
      this.#xorShifted(MURMUR_SHIFT);
      this.#multiply(MURMUR);
      this.#xor(high, low);
      this.#multiply(MURMUR);
      high = words[0] as number;
      low = words[1] as number;
    }
    this.#set(high, low);
    if (at < length) {
      let tailLow = 0;
      let tailHigh = 0;
      for (let i = length - 1; i >= at; i--) {
        tailHigh = (tailHigh << 8) | (tailLow >>> 24);
        tailLow = (tailLow << 8) | (text.charCodeAt(i) & 0xff);
      }
      this.#xor(tailHigh, tailLow);
      this.#multiply(MURMUR);
    }
    this.#xorShifted(MURMUR_SHIFT);
    this.#multiply(MURMUR);
    this.#xorShifted(MURMUR_SHIFT);
  }

  #startLanes(seed: number, seedHigh: number): void {
    const words = this.#words;
    this.#set(PRIME_1.high, PRIME_1.low);
    this.#add(PRIME_2.high, PRIME_2.low);
    this.#add(seedHigh, seed);
    this.#copyTo(2);
    this.#set(PRIME_2.high, PRIME_2.low);
    this.#add(seedHigh, seed);
    this.#copyTo(4);
    words[6] = seedHigh;
    words[7] = seed;
    // seed - PRIME_1 is seed + ~PRIME_1 + 1.
    this.#set(~PRIME_1.high, ~PRIME_1.low);
    this.#add(0, 1);
    this.#add(seedHigh, seed);
    this.#copyTo(8);
  }

  #feedLane(lane: number, text: string, at: number): void {
    const words = this.#words;
    this.#set(wordAt(text, at + 4), wordAt(text, at));
    this.#multiply(PRIME_2);
    this.#add(words[lane] as number, words[lane + 1] as number);
    this.#rotateLeft(31);
    this.#multiply(PRIME_1);
    this.#copyTo(lane);
  }

  #mergeLanes(): void {
    const words = this.#words;
    let high = 0;
    let low = 0;
    for (let lane = 0; lane < 4; lane++) {
      this.#set(words[2 + lane * 2] as number, words[3 + lane * 2] as number);
      this.#rotateLeft(lane === 0 ? 1 : lane === 1 ? 7 : lane === 2 ? 12 : 18);
      this.#add(high, low);
      high = words[0] as number;
      low = words[1] as number;
    }
    for (let lane = 2; lane < 10; lane += 2) {
      this.#xorRound(words[lane] as number, words[lane + 1] as number);
      this.#multiply(PRIME_1);
      this.#add(PRIME_4.high, PRIME_4.low);
    }
  }

  /** XORs one round of the word given into the result. */
  #xorRound(wordHigh: number, wordLow: number): void {
    const words = this.#words;
    const high = words[0] as number;
    const low = words[1] as number;
    this.#set(wordHigh, wordLow);
    this.#multiply(PRIME_2);
    this.#rotateLeft(31);
    this.#multiply(PRIME_1);
    this.#xor(high, low);
  }

  #xorProduct(word: number, factor: Halves): void {
    const words = this.#words;
    const high = words[0] as number;
    const low = words[1] as number;
    this.#set(0, word);
    this.#multiply(factor);
    this.#xor(high, low);
  }

  #set(high: number, low: number): void {
    this.#words[0] = high;
    this.#words[1] = low;
  }

  #copyTo(index: number): void {
    const words = this.#words;
    words[index] = words[0] as number;
    words[index + 1] = words[1] as number;
  }

  #xor(high: number, low: number): void {
    const words = this.#words;
    words[0] = (words[0] as number) ^ high;
    words[1] = (words[1] as number) ^ low;
  }

  #add(high: number, low: number): void {
    const words = this.#words;
    const sum = ((words[1] as number) >>> 0) + (low >>> 0);
    words[1] = sum | 0;
    words[0] = ((words[0] as number) + high + (sum > 0xffffffff ? 1 : 0)) | 0;
  }

  #multiply(factor: Halves): void {
    const words = this.#words;
    const high = words[0] as number;
    const low = words[1] as number;
    words[0] = highOfProduct(low, factor.low) + Math.imul(high, factor.low) + Math.imul(low, factor.high);
    words[1] = Math.imul(low, factor.low);
  }

  /** `bits` from 1 to 31. */
  #rotateLeft(bits: number): void {
    const words = this.#words;
    const high = words[0] as number;
    const low = words[1] as number;
    words[0] = (high << bits) | (low >>> (32 - bits));
    words[1] = (low << bits) | (high >>> (32 - bits));
  }

  /** XORs the result shifted right into itself. */
  #xorShifted(bits: number): void {
    const words = this.#words;
    const high = words[0] as number;
    if (bits >= 32) words[1] = (words[1] as number) ^ (high >>> (bits - 32));
    else {
      words[1] = (words[1] as number) ^ (((words[1] as number) >>> bits) | (high << (32 - bits)));
      words[0] = high ^ (high >>> bits);
    }
  }
}

/** Four bytes of wire text, the first the lowest. */
function wordAt(text: string, at: number): number {
  return (
    (text.charCodeAt(at) & 0xff) |
    ((text.charCodeAt(at + 1) & 0xff) << 8) |
    ((text.charCodeAt(at + 2) & 0xff) << 16) |
    (text.charCodeAt(at + 3) << 24)
  );
}

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
function highOfProduct(left: number, right: number): number {
  const leftLow = left & 0xffff;
  const leftHigh = left >>> 16;
  const rightLow = right & 0xffff;
  const rightHigh = right >>> 16;
  const middle = leftHigh * rightLow + ((leftLow * rightLow) >>> 16);
  const carry = leftLow * rightHigh + (middle & 0xffff);
  return (leftHigh * rightHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) | 0;
}

/** A 64-bit number modulo `divisor`, which is at most 2^26. */
export function moduloOfHalves(high: number, low: number, divisor: number): number {
  return ((high % divisor) * (4294967296 % divisor) + (low % divisor)) % divisor;
}

/** Sixteen lower-case hexadecimal digits, as Envoy writes a hash. */
export function hexOfHalves(high: number, low: number): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
