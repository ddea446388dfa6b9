// Reads the header that a load balancer puts before a connection's own bytes to tell whose connection it
// is: PROXY protocol, version 1 (a line of text) and 2 (binary). Strict: an address of the wrong family, a
// number with a leading zero, a checksum that is wrong or a length that does not fit refuses the
// connection. It never throws, and the same bytes give the same answer wherever they are cut.
// Source: haproxy.org, The PROXY protocol, sections 2.1 and 2.2.
import { SocketAddress, isIPv4, isIPv6 } from 'node:net';
import { crc32c } from './crc32c.ts';

/** An IP address and port; `null` addresses: the connection's own hold (LOCAL, UNKNOWN, UNSPEC, AF_UNIX). */
export interface ProxiedAddresses {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  /** The bytes do not begin with a PROXY header. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'invalid'; readonly reason: string }
  | {
      readonly kind: 'header';
      readonly version: 1 | 2;
      /** Length of the header: what follows belongs to the connection. */
      readonly bytes: number;
      readonly addresses: ProxiedAddresses | null;
    };

/** Version 1 with its line end (section 2.1). */
export const V1_BYTES_MAX = 107;
/** Version 2 with its vectors: more than any sender needs, and what fits the buffer of an arrival. */
export const V2_BYTES_MAX = 16 + 4096;

const V1_START = Buffer.from('PROXY ', 'latin1');
const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_HEADER_BYTES = 16;
const TLV_HEADER_BYTES = 3;
const TLV_CRC32C = 0x03;

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };
const ABSENT: ProxyHeader = { kind: 'absent' };

/** `bytes` are all that have arrived so far. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsAs(bytes, V2_START)) return bytes.length < V2_HEADER_BYTES ? INCOMPLETE : parseV2(bytes);
  if (beginsAs(bytes, V1_START)) return bytes.length < V1_START.length ? INCOMPLETE : parseV1(bytes);
  return ABSENT;
}

/** True when as many bytes as there are of both agree. */
function beginsAs(bytes: Buffer, start: Buffer): boolean {
  const count = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, count, 0, count) === 0;
}

function invalid(reason: string): ProxyHeader {
  return { kind: 'invalid', reason };
}

function parseV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n', 0, 'latin1');
  if (end === -1) {
    return bytes.length >= V1_BYTES_MAX ? invalid('a line of version 1 is longer than 107 bytes') : INCOMPLETE;
  }
  const header = (addresses: ProxiedAddresses | null): ProxyHeader => {
    return { kind: 'header', version: 1, bytes: end + 2, addresses };
  };
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = '', ...rest] = bytes
    .toString('latin1', 0, end)
    .split(' ');
  // What stands behind UNKNOWN is ignored.
  if (family === 'UNKNOWN') return header(null);
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  if (family !== 'TCP4' && family !== 'TCP6') return invalid('version 1 with an unknown family');
  if (rest.length > 0 || !isAddress(source) || !isAddress(destination)) return invalid('version 1 with odd addresses');
  if (source.includes('%') || destination.includes('%')) return invalid('version 1 with odd addresses');
  const ports = [portOf(sourcePort), portOf(destinationPort)] as const;
  if (ports[0] === -1 || ports[1] === -1) return invalid('version 1 with an odd port');
  return header({
    sourceAddress: canonical(source),
    sourcePort: ports[0],
    destinationAddress: canonical(destination),
    destinationPort: ports[1],
  });
}

function portOf(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,4})$/.test(text)) return -1;
  const port = Number(text);
  return port > 65_535 ? -1 : port;
}

function canonical(address: string): string {
  return isIPv4(address) ? address : new SocketAddress({ family: 'ipv6', address }).address;
}

function parseV2(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes.readUInt8(12);
  const familyAndTransport = bytes.readUInt8(13);
  const total = V2_HEADER_BYTES + bytes.readUInt16BE(14);
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return invalid('version 2 with an unknown command');
  const addressBytes = ADDRESS_BYTES.get(familyAndTransport);
  if (addressBytes === undefined) return invalid('version 2 with an unknown family or transport');
  if (total > V2_BYTES_MAX) return invalid('version 2 that is too long');
  const isLocal = versionAndCommand === 0x20;
  // A LOCAL header may leave its addresses out, whatever family it names.
  const isBare = isLocal && total === V2_HEADER_BYTES;
  if (!isBare && total < V2_HEADER_BYTES + addressBytes) return invalid('version 2 that is too short');
  if (bytes.length < total) return INCOMPLETE;
  const header = bytes.subarray(0, total);
  if (!isBare && !areVectorsGood(header, V2_HEADER_BYTES + addressBytes)) {
    return invalid('version 2 with broken vectors or a wrong checksum');
  }
  const addresses = isLocal ? null : addressesOf(header, familyAndTransport);
  return { kind: 'header', version: 2, bytes: total, addresses };
}

const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;

/** Family and transport to the length of both addresses: UNSPEC, TCP over IPv4, over IPv6, a Unix stream. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [TCP_OVER_IPV4, 12],
  [TCP_OVER_IPV6, 36],
  [0x31, 216],
]);

function addressesOf(header: Buffer, familyAndTransport: number): ProxiedAddresses | null {
  if (familyAndTransport !== TCP_OVER_IPV4 && familyAndTransport !== TCP_OVER_IPV6) return null;
  const size = familyAndTransport === TCP_OVER_IPV4 ? 4 : 16;
  const sourceEnd = V2_HEADER_BYTES + size;
  const destinationEnd = sourceEnd + size;
  return {
    sourceAddress: addressText(header.subarray(V2_HEADER_BYTES, sourceEnd)),
    sourcePort: header.readUInt16BE(destinationEnd),
    destinationAddress: addressText(header.subarray(sourceEnd, destinationEnd)),
    destinationPort: header.readUInt16BE(destinationEnd + 2),
  };
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let at = 0; at < bytes.length; at += 2) groups.push(bytes.readUInt16BE(at).toString(16));
  return canonical(groups.join(':'));
}

/** Type-length-value vectors must fill the rest exactly; a checksum among them must be right. */
function areVectorsGood(header: Buffer, from: number): boolean {
  let at = from;
  while (at < header.length) {
    if (at + TLV_HEADER_BYTES > header.length) return false;
    const value = at + TLV_HEADER_BYTES;
    const size = header.readUInt16BE(at + 1);
    if (value + size > header.length) return false;
    if (header[at] === TLV_CRC32C && !isChecksumRight(header, value, size)) return false;
    at = value + size;
  }
  return true;
}

/** Made over the whole header with zeroes where the checksum stands (section 2.2.4). */
function isChecksumRight(header: Buffer, at: number, size: number): boolean {
  if (size !== 4) return false;
  const zeroed = Buffer.from(header);
  zeroed.fill(0, at, at + size);
  return crc32c(zeroed) === header.readUInt32BE(at);
}
