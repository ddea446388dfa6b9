// Writes the PROXY protocol header that tells an upstream whose connection it is given. Addresses that are
// no IP addresses of one family become UNKNOWN (version 1) or LOCAL (version 2), as there is no client to
// tell of. Source: haproxy.org, The PROXY protocol, sections 2.1 and 2.2.
import { isIP } from 'node:net';
import { addressBits } from './prefix-map.ts';
import type { ProxiedAddresses } from './proxy-protocol.ts';

const V2_START = '\r\n\r\n\0\r\nQUIT\n';
const NOBODY = Buffer.from(`${V2_START}\x20\0\0\0`, 'latin1');

export function proxyHeader(version: 1 | 2, addresses: ProxiedAddresses): Buffer {
  const { sourceAddress, destinationAddress, sourcePort, destinationPort } = addresses;
  const family = isIP(sourceAddress);
  const isKnown = family !== 0 && family === isIP(destinationAddress);
  if (version === 1) {
    const ports = `${sourcePort} ${destinationPort}`;
    const text = isKnown ? `TCP${family} ${sourceAddress} ${destinationAddress} ${ports}` : 'UNKNOWN';
    return Buffer.from(`PROXY ${text}\r\n`, 'latin1');
  }
  if (!isKnown) return NOBODY;
  const size = family === 4 ? 4 : 16;
  const header = Buffer.alloc(16 + 2 * size + 4);
  header.write(V2_START, 'latin1');
  header[12] = 0x21;
  header[13] = family === 4 ? 0x11 : 0x21;
  header.writeUInt16BE(2 * size + 4, 14);
  header.write(hexOf(sourceAddress, size), 16, 'hex');
  header.write(hexOf(destinationAddress, size), 16 + size, 'hex');
  header.writeUInt16BE(sourcePort, 16 + 2 * size);
  header.writeUInt16BE(destinationPort, 18 + 2 * size);
  return header;
}

function hexOf(address: string, size: number): string {
  return (addressBits(address) ?? 0n).toString(16).padStart(2 * size, '0');
}
