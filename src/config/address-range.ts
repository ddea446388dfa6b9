// Address ranges as users write them, `10.1.0.0/16` or a single address, in the one spelling that two equal ranges
// share: Envoy refuses two conditions of one listener that are equal once the host bits are cleared.
import { isIP } from 'node:net';

/** `ADDRESS/BITS` with the host bits cleared; null when it is no range. */
export function readRange(text: string): string | null {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes('%')) return null;
  const most = family === 4 ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return null;
  const bits = length === undefined ? most : Number(length);
  if (bits > most) return null;
  const groups = family === 4 ? address.split('.').map(Number) : groupsOf(address);
  const width = family === 4 ? 8 : 16;
  const kept = groups.map((group, index) => {
    const own = Math.min(Math.max(bits - index * width, 0), width);
    return group - (group % 2 ** (width - own));
  });
  const written = family === 4 ? kept.join('.') : shortest(kept.map((group) => group.toString(16)).join(':'));
  return `${written}/${bits}`;
}

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [before = '', after] = shortest(address).split('::');
  const [head, tail] = [numbersOf(before), numbersOf(after ?? '')];
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0);
  return [...head, ...zeros, ...tail];
}

function numbersOf(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

/** The text of RFC 5952 without an embedded IPv4 address, which is what a URL makes of it. */
function shortest(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}
