// Reads the lists in the options of `outrigger redirect`: ports and ranges of ports, CIDRs, interfaces and
// numeric ids, each in the one spelling that iptables prints, so that rules can be compared as text. What
// cannot be read is a mistake in a sentence, which says what to write.
import { isIP, SocketAddress } from 'node:net';

/** Addresses of one family. */
export interface IpRange {
  readonly family: 'ipv4' | 'ipv6';
  /** `ADDRESS/BITS`, host bits cleared. */
  readonly text: string;
  readonly bits: number;
}

/** Everything, or these. */
export type Choice<Item> = { readonly kind: 'all' } | { readonly kind: 'some'; readonly items: readonly Item[] };

const INTERFACE_LENGTH_MAX = 15;

export class ListReader {
  readonly mistakes: string[] = [];

  /** `80` or `8000:8100`, as --dport takes them. */
  ports(option: string, text: string): readonly string[] {
    const ports = items(text).map((item) => {
      const [, first = '', last = first] = /^(\d{1,5})(?:[-:](\d{1,5}))?$/.exec(item) ?? [];
      const [low, high] = [Number(first), Number(last)];
      if (first === '' || low < 1 || low > high || high > 65_535) {
        this.mistakes.push(
          `--${option}: ${JSON.stringify(item)} is not a port; write 1 to 65535, or a range 8000-8100`,
        );
      }
      return low === high ? String(low) : `${low}:${high}`;
    });
    return [...new Set(ports)];
  }

  port(option: string, text: string): number {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (port < 1 || port > 65_535)
      this.mistakes.push(`--${option}: ${JSON.stringify(text)} is not a port; write 1 to 65535`);
    return port;
  }

  portChoice(option: string, text: string): Choice<string> {
    return text.trim() === '*' ? { kind: 'all' } : { kind: 'some', items: this.ports(option, text) };
  }

  ranges(option: string, text: string): readonly IpRange[] {
    const ranges = items(text).flatMap((item) => {
      const range = readRange(item);
      if (range !== null) return [range];
      this.mistakes.push(`--${option}: ${JSON.stringify(item)} is not a range; write 10.0.0.0/8 or fd00::/8`);
      return [];
    });
    return ranges.filter(({ text: one }, index) => ranges.findIndex(({ text: other }) => one === other) === index);
  }

  rangeChoice(option: string, text: string): Choice<IpRange> {
    return text.trim() === '*' ? { kind: 'all' } : { kind: 'some', items: this.ranges(option, text) };
  }

  interfaces(option: string, text: string): readonly string[] {
    const names = items(text);
    for (const name of names) {
      if (/^[\w.@+-]+$/.test(name) && name.length <= INTERFACE_LENGTH_MAX) continue;
      this.mistakes.push(`--${option}: ${JSON.stringify(name)} is not an interface; write a name such as eth1`);
    }
    return [...new Set(names)];
  }

  ids(option: string, text: string): readonly string[] {
    const ids = items(text);
    for (const id of ids) {
      if (/^\d{1,10}$/.test(id) && Number(id) < 2 ** 32) continue;
      this.mistakes.push(`--${option}: ${JSON.stringify(id)} is not a numeric id; write a number such as 1337`);
    }
    return [...new Set(ids.map((id) => String(Number(id))))];
  }

  oneOf<Value extends string>(option: string, text: string, values: readonly Value[]): Value | null {
    const found = values.find((value) => value === text) ?? null;
    if (found === null)
      this.mistakes.push(`--${option}: ${JSON.stringify(text)} is unknown; write ${values.join(' or ')}`);
    return found;
  }
}

function items(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** `10.1.2.3/8` is `10.0.0.0/8`; an address alone is all of its bits. */
function readRange(text: string): IpRange | null {
  const [address = '', length, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0 || address.includes('%')) return null;
  const width = version === 4 ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return null;
  const bits = length === undefined ? width : Number(length);
  if (bits > width) return null;
  const bytes = version === 4 ? address.split('.').map(Number) : ipv6Bytes(address);
  const masked = bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 0xff);
  const family = version === 4 ? 'ipv4' : 'ipv6';
  return { family, text: `${version === 4 ? masked.join('.') : ipv6Text(masked)}/${bits}`, bits };
}

function ipv6Bytes(text: string): number[] {
  const [left = '', right] = text.split('::');
  const head = groupBytes(left);
  const tail = right === undefined ? [] : groupBytes(right);
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

function groupBytes(text: string): number[] {
  return text
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => {
      if (group.includes('.')) return group.split('.').map(Number);
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    });
}

function ipv6Text(bytes: readonly number[]): string {
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address;
}
