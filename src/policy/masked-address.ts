// An IP address without its last bits, written as a range: `192.168.1.0/24`. IPv6 is written in its short form
// (RFC 5952), as Envoy writes it.
import { isIPv6 } from 'node:net';

/** Null when `address` is none. Lengths of at most 32 and 128 bits. */
export function maskedAddress(address: string, v4Bits: number, v6Bits: number): string | null {
  if (isIPv6(address)) return maskedV6(address, v6Bits);
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) return null;
  const kept = parts.map((part, index) => part & maskOf(v4Bits - index * 8, 8));
  return `${kept.join('.')}/${v4Bits}`;
}

/** The first `bits` of `width` bits. */
function maskOf(bits: number, width: number): number {
  const ones = Math.max(0, Math.min(width, bits));
  return (2 ** width - 1) & ~(2 ** (width - ones) - 1);
}

function maskedV6(address: string, bits: number): string {
  const bare = address.replace(/%.*$/, '');
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const plain = dotted === null ? bare : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`;
  const [head = '', tail] = plain.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - first.length - last.length;
  const groups = [...first, ...Array.from({ length: gap }, () => '0'), ...last].map((group) => parseInt(group, 16));
  const kept = groups.map((group, index) => group & maskOf(bits - index * 16, 16));
  return `${shortest(kept)}/${bits}`;
}

function pair(high = '0', low = '0'): string {
  return (Number(high) * 256 + Number(low)).toString(16);
}

/** RFC 5952 section 4: the longest run of zero groups, the first of equals, becomes `::`. */
function shortest(groups: readonly number[]): string {
  let [start, length] = [-1, 1];
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  const text = groups.map((group) => group.toString(16));
  if (start < 0) return text.join(':');
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`;
}
