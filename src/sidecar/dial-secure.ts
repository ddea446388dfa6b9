// Dials an endpoint as its cluster wants it: in plaintext, or over TLS once the handshake is over and the server
// was accepted. Either way exactly one of the two callbacks is called, later, unless the dial is cancelled.
import { SECRETS_MISSING, type UpstreamTls } from '../tls/upstream-tls.ts';
import type { Endpoint } from '../plan/cluster.ts';
import { tlsFacts } from './connection.ts';
import { dial, type Dial, type DialUser } from './wire-dial.ts';
import type { Wire } from './wire.ts';
import { wireOf } from './wire-socket.ts';

/** TLS of one connection: the context, and the names that the request brings (auto_sni); empty: as configured. */
export interface SecureTarget {
  readonly tls: UpstreamTls;
  readonly serverName: string;
  readonly expectedName: string;
}

/** `secure` null is plaintext. */
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
    const { tls, serverName, expectedName } = this.#secure;
    if (!tls.isReady) {
      tls.init.tally.secretsNotReady++;
      wire.destroy();
      this.onDialFailed(SECRETS_MISSING);
      return;
    }
    const target = { authority: this.#endpoint.authority, serverName, expectedName };
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
