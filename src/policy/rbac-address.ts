// @hot
// Ranges of addresses, as RBAC asks for them (Envoy CidrRange), compared with textual IPs. An IPv4 address in IPv6
// clothing is the IPv4 address, in a range and in what is compared: who is let in does not depend on how it is spelt.
// The numbers of the last address are kept, because the next range mostly asks about the same one.
import { isIP } from 'node:net';
import { error, type Problem } from '../base/problem.ts';
import type { CidrRange } from '../xds/gen/envoy/config/core/v3/address_pb.js';

export interface AddressBlock {
  readonly family: 4 | 6;
  readonly bits: number;
  /** 32-bit words, one for IPv4 and four for IPv6, with the host bits cleared. */
  readonly words: readonly number[];
}

const WORD_BITS = 32;
const MAPPED_BITS = 96;
const MAPPED_WORD = 0xffff;

let lastText = '';
let lastFamily: 0 | 4 | 6 = 0;
const last: [number, number, number, number] = [0, 0, 0, 0];
const groups = new Uint16Array(8);

/** False for what is no IP address: the path of a Unix socket, nothing. */
export function isInBlock(text: string, block: AddressBlock): boolean {
  if (text !== lastText) read(text);
  if (lastFamily !== block.family) return false;
  const { words } = block;
  let left = block.bits;
  for (let i = 0; i < words.length && left > 0; i++, left -= WORD_BITS) {
    if (maskWord(last[i] ?? 0, left) !== words[i]) return false;
  }
  return true;
}

/** Null after reporting why the range is refused: config time. */
export function compileBlock(config: CidrRange, problems: Problem[], path: string): AddressBlock | null {
  const { addressPrefix, prefixLen } = config;
  const family = addressPrefix.includes('%') ? 0 : isIP(addressPrefix);
  const most = family === 4 ? WORD_BITS : 4 * WORD_BITS;
  const bits = prefixLen ?? 0;
  if (family === 0 || bits > most) {
    const text = `${addressPrefix}/${bits} is not a range of addresses`;
    problems.push(error(path, text, 'write address_prefix and prefix_len, such as 10.1.0.0 and 16'));
    return null;
  }
  read(addressPrefix);
  const isUnwrapped = family === 6 && lastFamily === 4;
  // A range wider than all of IPv4 is left as it is spelt: it speaks of IPv6.
  if (isUnwrapped && bits < MAPPED_BITS) return { family: 6, bits, words: [0, 0, maskWord(0, bits - 64), 0] };
  const own = isUnwrapped ? bits - MAPPED_BITS : bits;
  const count = lastFamily === 4 ? 1 : 4;
  const words: number[] = [];
  for (let i = 0; i < count; i++) words.push(maskWord(last[i] ?? 0, own - i * WORD_BITS));
  return { family: lastFamily === 4 ? 4 : 6, bits: own, words };
}

/** The first `bits` of a word; all of it from 32 on, none at 0 and below. */
function maskWord(word: number, bits: number): number {
  if (bits >= WORD_BITS) return word >>> 0;
  return bits <= 0 ? 0 : (word & (0xffffffff << (WORD_BITS - bits))) >>> 0;
}

function read(text: string): void {
  lastText = text;
  lastFamily = 0;
  if (text.indexOf(':') === -1) {
    const word = readFour(text, 0);
    if (word < 0) return;
    lastFamily = 4;
    last[0] = word;
    return;
  }
  if (!readSix(text)) return;
  for (let i = 0; i < 4; i++) last[i] = (((groups[i * 2] ?? 0) << 16) | (groups[i * 2 + 1] ?? 0)) >>> 0;
  lastFamily = 6;
  if (last[0] === 0 && last[1] === 0 && last[2] === MAPPED_WORD) {
    lastFamily = 4;
    last[0] = last[3];
  }
}

/** Four decimal numbers from `at` to the end; -1 when it is something else. */
function readFour(text: string, at: number): number {
  let word = 0;
  let part = -1;
  let dots = 0;
  for (let i = at; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (part < 0) return -1;
      word = word * 256 + part;
      part = -1;
      dots++;
    } else {
      const digit = code - 0x30;
      if (digit < 0 || digit > 9) return -1;
      part = (part < 0 ? 0 : part) * 10 + digit;
      if (part > 255) return -1;
    }
  }
  return dots === 3 && part >= 0 ? word * 256 + part : -1;
}

/** Eight groups, with one `::` at most, perhaps IPv4 at the end, perhaps a zone behind `%`. */
function readSix(text: string): boolean {
  groups.fill(0);
  const zone = text.indexOf('%');
  const end = zone === -1 ? text.length : zone;
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.startsWith('::')) {
    gap = 0;
    i = 2;
  }
  while (i < end) {
    const dot = text.indexOf('.', i);
    const colon = text.indexOf(':', i);
    if (dot !== -1 && dot < end && (colon === -1 || colon > dot)) {
      const word = readFour(end === text.length ? text : text.slice(0, end), i);
      if (word < 0 || count > 6) return false;
      groups[count++] = Math.floor(word / 65_536);
      groups[count++] = word % 65_536;
      break;
    }
    let group = 0;
    const start = i;
    for (; i < end && text.charCodeAt(i) !== 0x3a; i++) {
      const digit = Number.parseInt(text.charAt(i), 16);
      if (Number.isNaN(digit) || i - start > 3) return false;
      group = group * 16 + digit;
    }
    if (i === start || count > 7) return false;
    groups[count++] = group;
    if (i === end) break;
    i++;
    if (i < end && text.charCodeAt(i) === 0x3a) {
      if (gap !== -1) return false;
      gap = count;
      i++;
    }
  }
  if (gap === -1) return count === 8;
  const shift = 8 - count;
  for (let from = count - 1; from >= gap; from--) {
    groups[from + shift] = groups[from] ?? 0;
    if (shift > 0) groups[from] = 0;
  }
  return shift > 0;
}
