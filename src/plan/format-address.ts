// Addresses in formats: `ip:port` as it stands in logs, its parts, and the network that an address is
// in (`10.1.0.0/16`). Refuses nothing; text that is no IP address is given back as it is.
import { isIPv4, isIPv6 } from 'node:net';

/** The host part of `ip:port` or `[ip]:port`; text without a port as it is. */
export function addressOf(authority: string): string {
  if (authority.startsWith('[')) return authority.slice(1, authority.indexOf(']'));
  const colon = authority.lastIndexOf(':');
  return colon === -1 || isIPv6(authority) ? authority : authority.slice(0, colon);
}

/** The port of `ip:port` or `[ip]:port`; null when there is none. */
export function portOf(authority: string): number | null {
  const colon = authority.lastIndexOf(':');
  if (colon === -1 || isIPv6(authority)) return null;
  const port = Number(authority.slice(colon + 1));
  return Number.isInteger(port) ? port : null;
}

/** The network of `bits` bits that `address` is in, in CIDR notation; null when it has no such network. */
export function networkOf(address: string, bits: number): string | null {
  if (isIPv4(address)) return bits <= 32 ? `${maskIpv4(address, bits)}/${bits}` : null;
  if (isIPv6(address)) return bits <= 128 ? `${maskIpv6(address, bits)}/${bits}` : null;
  return null;
}

function maskIpv4(address: string, bits: number): string {
  const bytes = address.split('.').map(Number);
  return bytes.map((byte, i) => byte & maskOf(bits - i * 8, 8)).join('.');
}

/** The mask of one group of `width` bits of which the first `bits` count. */
function maskOf(bits: number, width: number): number {
  const kept = Math.max(0, Math.min(width, bits));
  return ((1 << width) - 1) ^ ((1 << (width - kept)) - 1);
}

function maskIpv6(address: string, bits: number): string {
  const groups = groupsOf(address).map((group, i) => group & maskOf(bits - i * 16, 16));
  return compress(groups);
}

function groupsOf(address: string): number[] {
  const plain = withHexTail(address.replace(/%.*$/, ''));
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}

/** Writes the dotted end of `::ffff:10.0.0.1` as two groups. */
function withHexTail(address: string): string {
  const dotted = /\d+\.\d+\.\d+\.\d+$/.exec(address);
  if (dotted === null) return address;
  const bytes = dotted[0].split('.').map(Number);
  const tail = [((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)];
  return address.slice(0, dotted.index) + hex(tail);
}

/** RFC 5952: the longest run of two or more zero groups becomes `::`. */
function compress(groups: readonly number[]): string {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < groups.length; i++) {
    let length = 0;
    while (groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
  }
  return best === -1 ? hex(groups) : `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}
