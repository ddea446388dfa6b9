// Where a connection was going before the kernel's redirect (iptables REDIRECT or DNAT) brought it here:
// SO_ORIGINAL_DST, and IP6T_SO_ORIGINAL_DST for IPv6. The kernel answers from its connection tracking, so
// it also answers for a connection that was tracked and never redirected: with the address that was
// dialled. That is no original destination, and whoever forwarded to it would meet itself for ever; such
// a connection has none here. Source: linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h.
import { SocketAddress } from 'node:net';
import { loadDescriptorCalls, type DescriptorCalls } from './descriptor-calls.ts';

export interface SocketPlace {
  /** A textual IP in its canonical form; IPv4 without IPv6 clothing. */
  readonly address: string;
  readonly port: number;
}

/** `fd` is the accepted socket's, `own` its local address. Null: not redirected, or the kernel does not know. */
export type OriginalDestination = (fd: number, own: SocketPlace) => SocketPlace | null;

/** Of Linux on every architecture (include/uapi/linux). */
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
/** sizeof(struct sockaddr_in) and of sockaddr_in6. */
const IPV4_BYTES = 16;
const IPV6_BYTES = 28;

/** Rejects where there is no such thing: the listener that asked cannot be put in force. */
export async function loadOriginalDestination(): Promise<OriginalDestination> {
  const calls = await loadDescriptorCalls();
  if (calls === null) throw new Error(`${process.platform} ${process.arch} cannot tell original destinations`);
  return originalDestinationBy(calls);
}

export function originalDestinationBy(calls: Pick<DescriptorCalls, 'getSocketOption'>): OriginalDestination {
  const bytes = Buffer.alloc(IPV6_BYTES);
  return (fd, own) => {
    const isIpv6 = own.address.includes(':');
    const wanted = isIpv6 ? IPV6_BYTES : IPV4_BYTES;
    const level = isIpv6 ? SOL_IPV6 : SOL_IP;
    if (calls.getSocketOption(fd, level, SO_ORIGINAL_DST, bytes.subarray(0, wanted)) < wanted) return null;
    const address = isIpv6 ? ipv6Text(bytes) : `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`;
    const port = bytes.readUInt16BE(2);
    return address === own.address && port === own.port ? null : { address, port };
  };
}

/** sin6_addr stands behind family, port and flow information. */
function ipv6Text(bytes: Buffer): string {
  const groups: string[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(bytes.readUInt16BE(at).toString(16));
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address;
}
