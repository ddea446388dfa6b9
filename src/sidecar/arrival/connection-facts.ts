// What is known of a connection beyond the kernel's word, once its listener filters have run: the addresses
// that a PROXY header or the kernel's redirect restored, and what its client asked for. A wire carries
// them to whoever takes the connection; a connection that went through no filter has none.

export interface ConnectionFacts {
  /** Textual IPs, an IPv4 address without IPv6 clothing; empty for a Unix socket. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** The peer of the socket itself: a load balancer where a PROXY header told of a client. */
  readonly directAddress: string;
  /** True when the local address is where the client meant to go. */
  readonly isRestored: boolean;
  /** SNI, lower-case; empty when none was read. */
  readonly serverName: string;
  /** `raw_buffer`, or `tls` when an inspector has seen a ClientHello. */
  readonly transportProtocol: string;
  /** ALPN in the client's order, or what the HTTP inspector found. */
  readonly applicationProtocols: readonly string[];
}

/** IPv4 addresses on a dual-stack socket lose their IPv6 clothing. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
