// Dials an endpoint as its cluster wants it: in plaintext, or over TLS once the handshake is over and the server
// was accepted; with a PROXY header as the very first bytes of the connection, before TLS, where the cluster
// announces whom it forwards. Either way exactly one of the two callbacks is called, later, unless the dial is cancelled.
import type { UpstreamTls } from '../tls/upstream-tls.ts';
import type { Endpoint } from '../plan/cluster.ts';
import type { Connection } from '../plan/exchange.ts';
import { proxyHeader } from './arrival/proxy-protocol-writer.ts';
import { tlsFacts } from './connection.ts';
import { dial, type Dial, type DialUser } from './wire-dial.ts';
import type { Wire } from './wire.ts';
import { wireOf } from './wire-socket.ts';

/** What comes first on one connection. */
export interface SecureTarget {
  /** Null: plaintext. */
  readonly tls: UpstreamTls | null;
  /** The names that the request brings (auto_sni); empty: as configured. */
  readonly serverName: string;
  readonly expectedName: string;
  /** Of the PROXY header; null: there is none. */
  readonly proxyVersion: 1 | 2 | null;
  /** Whom the header tells of; null: no downstream, as for a health check. */
  readonly client: Connection | null;
  /** ALPN; absent: as configured. */
  readonly protocols?: readonly string[];
}

/** `secure` null is plaintext without a header. */
export function dialEndpoint(endpoint: Endpoint, secure: SecureTarget | null, user: DialUser): Dial {
  return secure === null ? dial(endpoint, user) : new SecureDial(endpoint, secure, user);
}

class SecureDial implements Dial, DialUser {
  readonly #endpoint: Endpoint;
  readonly #secure: SecureTarget;
  readonly #user: DialUser;
  readonly #dial: Dial;
  #isOver = false;
  #abort: (() => void) | null = null;

  constructor(endpoint: Endpoint, secure: SecureTarget, user: DialUser) {
    this.#endpoint = endpoint;
    this.#secure = secure;
    this.#user = user;
    this.#dial = dial(endpoint, this);
  }

  cancel(): void {
    this.#isOver = true;
    this.#dial.cancel();
    this.#abort?.();
  }

  onDialled(wire: Wire): void {
    const { tls, serverName, expectedName, proxyVersion, client } = this.#secure;
    if (proxyVersion !== null) wire.writeBytes(announcement(proxyVersion, client, wire));
    if (tls === null) {
      this.#isOver = true;
      this.#user.onDialled(wire);
      return;
    }
    if (!tls.isReady) {
      tls.init.tally.secretsNotReady++;
      wire.destroy();
      this.onDialFailed(tls.obstacle);
      return;
    }
    const { protocols = [] } = this.#secure;
    const target = { authority: this.#endpoint.authority, serverName, expectedName, protocols };
    const socket = tls.connect({ socket: wire.toSocket() }, target, (peer, cause) => {
      this.#abort = null;
      if (this.#isOver) return;
      if (peer === null || socket === null) {
        this.onDialFailed(cause);
        return;
      }
      this.#isOver = true;
      const secured = wireOf(socket);
      tlsFacts.set(secured, peer);
      this.#user.onDialled(secured);
    });
    if (socket !== null) this.#abort = () => socket.destroy();
  }

  onDialFailed(cause: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#user.onDialFailed(cause);
  }
}

/** Without a client, version 1 tells of the connection itself, and version 2 that it is local, as Envoy does. */
export function announcement(version: 1 | 2, client: Connection | null, wire: Wire): Buffer {
  if (client !== null) {
    return proxyHeader(version, {
      sourceAddress: client.remoteAddress,
      sourcePort: client.remotePort,
      destinationAddress: client.localAddress,
      destinationPort: client.localPort,
    });
  }
  const isTold = version === 1;
  return proxyHeader(version, {
    sourceAddress: isTold ? wire.localAddress : '',
    sourcePort: isTold ? wire.localPort : 0,
    destinationAddress: isTold ? wire.remoteAddress : '',
    destinationPort: isTold ? wire.remotePort : 0,
  });
}
