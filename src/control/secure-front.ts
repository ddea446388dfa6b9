// The TLS port of the control service: handshakes, and which certificate came over which connection. gRPC gets the
// decrypted connections. A new certificate of ours, and other roots, hold for the handshakes that follow; connections
// that stand are not touched. Clients are asked for a certificate and may come without one, for at first they have none;
// sessions are never resumed, so that every connection is judged by the roots of its time.
import { constants, type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { PresentedCertificate } from './authentication/caller.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import type { ServerCertificate } from './server-certificate.ts';
import { makeNamedCertificate } from './server-names.ts';

export interface SecureFrontOptions {
  readonly authority: CertificateAuthority;
  /** `host:port`; port 0 picks one. */
  readonly address: string;
  /** What our certificate says that we are. */
  readonly names: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
  /** Takes a connection that speaks HTTP/2. */
  readonly onConnection: (socket: TLSSocket) => void;
  /** For a whole handshake; 10 s by default. */
  readonly handshakeTimeoutMs?: number;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 16_384;
const CHAIN_LENGTH_MAX = 10;
const LOOK_MS = 5_000;

export class SecureFront {
  readonly #options: SecureFrontOptions;
  readonly #server: Server;
  /** By `address:port` of the other end; one entry for each open connection. */
  readonly #connections = new Map<
    string,
    { readonly socket: TLSSocket; readonly shown: PresentedCertificate | null }
  >();
  /** Every TCP connection, those whose handshake is not over as well. */
  readonly #sockets = new Set<Socket>();
  #certificate: ServerCertificate | null = null;
  #renewing: Promise<void> = Promise.resolve();
  #look: NodeJS.Timeout | null = null;
  #unlisten: () => void = () => {};
  handshakesFailed = 0;

  constructor(options: SecureFrontOptions) {
    this.#options = options;
    this.#server = createServer({
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: ['h2'],
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('secureConnection', (socket) => this.#accept(socket));
    this.#server.on('tlsClientError', (cause: Error, socket: TLSSocket) => {
      this.handshakesFailed += 1;
      // Node tells of a handshake that takes too long, and leaves its connection open.
      socket.destroy();
      options.log.debug('a TLS handshake failed', { cause: cause.message });
    });
  }

  /** Resolves with the bound address; rejects when it is taken, or no certificate can be made. */
  async start(): Promise<string> {
    const { authority, address } = this.#options;
    await this.#renew();
    this.#unlisten = authority.onRootsChanged(() => void this.#renew());
    this.#look = setInterval(() => {
      if (this.#isDue()) void this.#renew();
    }, LOOK_MS).unref();
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon);
    return await new Promise((resolve, reject) => {
      this.#server.on('error', (cause) => reject(new Error(`secure port: cannot listen on ${address}`, { cause })));
      this.#server.listen(Number(address.slice(colon + 1)), host.replaceAll(/[[\]]/g, ''), () => {
        const bound = this.#server.address();
        resolve(`${host}:${bound !== null && typeof bound === 'object' ? bound.port : 0}`);
      });
    });
  }

  /** What the connection of a call showed: null when it showed no certificate, undefined when there is no such one. */
  shownBy(peer: string): PresentedCertificate | null | undefined {
    return this.#connections.get(peer)?.shown;
  }

  /** When our own certificate ends, on the wall clock; 0 before the start. */
  get notAfterMs(): number {
    return this.#certificate?.notAfterMs ?? 0;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** No new connections; those that stand may end by themselves for `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#unlisten();
    if (this.#look !== null) clearInterval(this.#look);
    await this.#renewing;
    const force = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    clearTimeout(force);
  }

  #accept(socket: TLSSocket): void {
    socket.on('error', (cause) => {
      // Node tells of a fault in TLS, and leaves the connection open.
      socket.destroy();
      this.#options.log.debug('a TLS connection failed', { cause: cause.message });
    });
    const { remoteAddress, remotePort } = socket;
    const peer = `${remoteAddress}:${remotePort}`;
    // Who reaches us under two of our addresses may do so from one port of theirs; calls are told apart by it alone.
    if (remoteAddress === undefined || this.#connections.has(peer) || socket.alpnProtocol !== 'h2') {
      socket.destroy();
      return;
    }
    this.#connections.set(peer, { socket, shown: shownOn(socket) });
    socket.on('close', () => {
      if (this.#connections.get(peer)?.socket === socket) this.#connections.delete(peer);
    });
    this.#options.onConnection(socket);
  }

  #isDue(): boolean {
    const { authority, clock } = this.#options;
    const certificate = this.#certificate;
    if (certificate === null) return true;
    return clock.wall() >= certificate.renewAtMs || certificate.signer !== authority.material.signer.fingerprint256;
  }

  /** One after the other, so that the newest roots are the last. Rejects only while there is no certificate at all. */
  #renew(): Promise<void> {
    const before = this.#renewing;
    this.#renewing = this.#swapAfter(before);
    return this.#renewing;
  }

  async #swapAfter(before: Promise<void>): Promise<void> {
    await before;
    try {
      await this.#swap();
    } catch (cause) {
      if (this.#certificate === null) throw cause;
      this.#options.log.error("the control service's certificate cannot be renewed", { cause: String(cause) });
    }
  }

  async #swap(): Promise<void> {
    const { authority, clock, log } = this.#options;
    const made = await makeNamedCertificate(authority.material, this.#options.names, clock.wall());
    const { certificate, names, leftOut } = made;
    this.#server.setSecureContext(contextOf(certificate, authority.trustBundlePem));
    this.#certificate = certificate;
    if (leftOut.length > 0)
      log.warning('ca-cert.pem may not sign for all names of the control service: nobody can join by these', {
        leftOut: leftOut.join(' '),
      });
    log.info('the control service has a certificate', {
      names: names.join(' '),
      notAfter: new Date(certificate.notAfterMs).toISOString(),
    });
  }
}

function contextOf({ chainPem, keyPem }: ServerCertificate, roots: readonly string[]): TlsOptions {
  return {
    cert: chainPem,
    key: keyPem,
    ca: [...roots],
    minVersion: 'TLSv1.2',
    // Without tickets nothing is resumed, for there is no cache of sessions either.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** With `rejectUnauthorized: false`, what is wrong with a chain stands in `authorizationError`. */
function shownOn(socket: TLSSocket): PresentedCertificate | null {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return null;
  const others: X509Certificate[] = [];
  for (let next = leaf.issuerCertificate; next !== undefined && others.length < CHAIN_LENGTH_MAX;) {
    if (others.some(({ raw }) => raw.equals(next?.raw ?? raw))) break;
    others.push(next);
    next = next.issuerCertificate;
  }
  const fault: unknown = socket.authorizationError;
  const chainError = socket.authorized ? '' : faultText(fault);
  return { leaf, others, chainError };
}

function faultText(fault: unknown): string {
  if (typeof fault === 'string' && fault !== '') return fault;
  return fault instanceof Error && 'code' in fault ? String(fault.code) : 'VERIFY_FAILED';
}
