// A map from ranges of IP addresses to values, asked for the longest prefix that holds an address. Made at
// config time; a look-up costs one map access for each prefix length in use. Beside the ranges it has a
// place for `any`, which is less than every range and also takes what is no IP address.
import { isIP } from 'node:net';

export interface AddressRange {
  readonly address: string;
  readonly prefixBits: number;
}

interface Length {
  readonly bits: number;
  readonly values: Map<bigint, unknown>;
}

export class PrefixMap<Value> {
  #any: Value | null = null;
  /** Longest first. */
  readonly #ipv4: { bits: number; values: Map<bigint, Value> }[] = [];
  readonly #ipv6: { bits: number; values: Map<bigint, Value> }[] = [];

  /** The value of this very range (null: any address), made when it is missing. */
  at(range: AddressRange | null, make: () => Value): Value {
    if (range === null) {
      this.#any ??= make();
      return this.#any;
    }
    const lengths = isIP(range.address) === 4 ? this.#ipv4 : this.#ipv6;
    let length = lengths.find(({ bits }) => bits === range.prefixBits);
    if (length === undefined) {
      length = { bits: range.prefixBits, values: new Map() };
      lengths.push(length);
      lengths.sort(longestFirst);
    }
    const key = prefixOf(addressBits(range.address) ?? 0n, range.prefixBits, lengths === this.#ipv4 ? 32 : 128);
    let value = length.values.get(key);
    if (value === undefined) {
      value = make();
      length.values.set(key, value);
    }
    return value;
  }

  /** The value of the longest prefix that holds `address`, else that of `any`; null for neither. */
  find(address: string): Value | null {
    if (this.#ipv4.length === 0 && this.#ipv6.length === 0) return this.#any;
    const family = isIP(address);
    const bits = family === 0 ? null : addressBits(address);
    if (bits === null) return this.#any;
    for (const length of family === 4 ? this.#ipv4 : this.#ipv6) {
      const value = length.values.get(prefixOf(bits, length.bits, family === 4 ? 32 : 128));
      if (value !== undefined) return value;
    }
    return this.#any;
  }
}

function longestFirst(one: Length, other: Length): number {
  return other.bits - one.bits;
}

function prefixOf(bits: bigint, prefixBits: number, width: number): bigint {
  return bits >> BigInt(width - prefixBits);
}

/** An IP address as a number of 32 or 128 bits; null when it is none. */
export function addressBits(address: string): bigint | null {
  const family = isIP(address);
  if (family === 4) return joined(address.split('.'), 8n, 10);
  if (family === 0 || address.includes('%')) return null;
  const [head = '', tail] = withoutDots(address).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeroes = new Array<string>(8 - before.length - after.length).fill('0');
  return joined([...before, ...zeroes, ...after], 16n, 16);
}

/** `::ffff:1.2.3.4` in groups of hexadecimal. */
function withoutDots(address: string): string {
  const at = address.lastIndexOf(':') + 1;
  const ipv4 = address.slice(at);
  if (!ipv4.includes('.')) return address;
  const bits = joined(ipv4.split('.'), 8n, 10);
  return `${address.slice(0, at)}${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
}

function joined(parts: readonly string[], bitsEach: bigint, radix: number): bigint {
  return parts.reduce((bits, part) => (bits << bitsEach) | BigInt(Number.parseInt(part, radix)), 0n);
}
