// The client end of TLS towards the endpoints of a cluster (Envoy UpstreamTlsContext). `connect` dials and
// answers once: secure, with the server judged, or failed and closed. As in Envoy the server's name is
// checked only where a matcher says so, and its chain only where there is something to trust. Sessions are
// kept per endpoint and are given up with the version of the secrets that they began under.
import { constants, createHash } from 'node:crypto';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import type { KeyPair } from './key-pair.ts';
import { hostMatcher } from './name-match.ts';
import { nodeTls } from './node-tls.ts';
import { SessionCache } from './session-cache.ts';
import { revocationOf, type Slot } from './slot.ts';
import { TlsPeer } from './tls-peer.ts';
import { contextOptions, type TlsSettings } from './tls-settings.ts';
import type { TlsTally } from './tls-tally.ts';
import { judge, type Trust } from './trust.ts';
import { verifyErrorOf } from './verify-error.ts';

export interface UpstreamTlsInit {
  readonly settings: TlsSettings;
  /** What the client shows when it is asked to; empty: nothing. */
  readonly certificates: readonly Slot<KeyPair>[];
  /** Null: any server is taken, as Envoy does. */
  readonly trust: Slot<Trust> | null;
  /** SNI; empty: none is sent, unless the request brings one. */
  readonly serverName: string;
  /** Sessions kept for resumption per endpoint; 0: none (UpstreamTlsContext.max_session_keys, 1 by default). */
  readonly sessionsMax: number;
  readonly tally: TlsTally;
}

export interface UpstreamTarget {
  /** Names the endpoint in the session cache. */
  readonly authority: string;
  /** SNI of this connection (auto_sni); empty: as configured. */
  readonly serverName: string;
  /** A DNS name that the server must have beside the configured ones (auto_san_validation); empty for none. */
  readonly expectedName: string;
  /** ALPN of this connection; absent or empty: as configured. */
  readonly protocols?: readonly string[];
}

/** Called once: with the peer, or with the reason why there is none and the socket is closed. */
export type Connected = (peer: TlsPeer | null, cause: string) => void;

interface Context {
  readonly generation: string;
  readonly secure: SecureContext;
  readonly trust: Trust | null;
  readonly own: KeyPair | null;
  readonly sessions: SessionCache;
}

/** The cause of a connection that could not begin, as Envoy words it. */
const SECRETS_MISSING = 'Secret is not supplied by SDS';

/** As Envoy frames it in %UPSTREAM_TRANSPORT_FAILURE_REASON%, with its library's name and without a number. */
function tlsError(text: string): string {
  return `TLS_error:|SSL routines:OPENSSL_internal:${text}:TLS_error_end`;
}

export class UpstreamTls {
  readonly init: UpstreamTlsInit;
  #context: Context | null = null;
  /** The generation that no context could be made of. */
  #refused = '';

  constructor(init: UpstreamTlsInit) {
    this.init = init;
    init.tally.use(init.certificates, init.trust);
  }

  get isReady(): boolean {
    return this.#current() !== null;
  }

  /** Why no connection can begin while it is not ready. */
  get obstacle(): string {
    return `TLS_error:${revocationOf([...this.init.certificates, this.init.trust]) || SECRETS_MISSING}`;
  }

  /** Dials `options` (address and stream options); null, and `connected` is never called, when secrets are missing. */
  connect(options: ConnectionOptions, target: UpstreamTarget, connected: Connected): TLSSocket | null {
    const context = this.#current();
    if (context === null) {
      this.init.tally.secretsNotReady++;
      return null;
    }
    const serverName = target.serverName === '' ? this.init.serverName : target.serverName;
    const key = `${target.authority} ${serverName} ${target.expectedName}`;
    const known = context.sessions.take(key, Date.now());
    const { protocols: own = [] } = target;
    const protocols = own.length > 0 ? own : this.init.settings.protocols;
    const socket = nodeTls().connect({
      ...options,
      secureContext: context.secure,
      servername: serverName,
      ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
      ...(known === null ? {} : { session: known.session }),
      // Who the server may be is judged by Envoy's rules when the handshake is over.
      rejectUnauthorized: false,
      checkServerIdentity: acceptAny,
    });
    // Sessions of a server that is refused in the end are not kept.
    const early: Buffer[] = [];
    let isAccepted = false;
    let untilMs = 0;
    const onSession = (session: Buffer): void => {
      if (isAccepted) context.sessions.put(key, { session, untilMs });
      else early.push(session);
    };
    const finish = (peer: TlsPeer | null, cause: string): void => {
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off('secureConnect', onSecure);
      if (peer === null) {
        socket.on('error', ignore);
        socket.destroy();
      } else {
        // Node tells of a fault in TLS after the handshake, and leaves the socket open.
        socket.on('error', () => socket.destroy());
      }
      connected(peer, cause);
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      this.init.tally.connectionErrors++;
      finish(null, causeOf(error));
    };
    const onClose = (): void => finish(null, 'closed');
    const onSecure = (): void => {
      const fault = this.#judge(socket, context, target.expectedName);
      isAccepted = fault === '';
      const isResumed = known !== null && socket.isSessionReused();
      untilMs = isResumed ? known.untilMs : endOf(socket, context.trust);
      // A server need not send another session when it resumes one: until it does, this one is used again.
      if (isAccepted && isResumed) context.sessions.put(key, known);
      if (isAccepted) for (const session of early) context.sessions.put(key, { session, untilMs });
      finish(fault === '' ? this.#peerOf(socket, context) : null, fault);
    };
    socket.once('error', onError);
    socket.once('close', onClose);
    socket.once('secureConnect', onSecure);
    if (context.sessions.isOn) socket.on('session', onSession);
    return socket;
  }

  #peerOf(socket: TLSSocket, { trust, own }: Context): TlsPeer {
    const peer = new TlsPeer(socket, trust !== null, own);
    this.init.tally.countSession(peer.version, peer.cipher, peer.isResumed);
    return peer;
  }

  /** Empty when the server is accepted, else Envoy's reason. */
  #judge(socket: TLSSocket, { trust }: Context, expectedName: string): string {
    const { tally } = this.init;
    if (trust === null && expectedName === '') return '';
    // Only sessions of servers that were accepted by these very rules are kept; with one of them no certificate comes.
    if (socket.isSessionReused()) return '';
    const leaf = socket.getPeerX509Certificate();
    if (leaf === undefined) {
      tally.failNoCertificate++;
      return tlsError('no server certificate');
    }
    const presented = { leaf, chainError: trust === null ? '' : verifyErrorOf(socket), isResumed: false };
    const base = trust ?? NO_TRUST;
    const verdict = judge(expectedName === '' ? base : { ...base, names: [hostMatcher(expectedName)] }, presented);
    if (verdict.kind === 'accepted') return '';
    if (verdict.reason === 'chain') tally.failError++;
    else if (verdict.reason === 'names') tally.failNames++;
    else tally.failHash++;
    return tlsError(`CERTIFICATE_VERIFY_FAILED:verify cert failed: ${verdict.details}`);
  }

  #current(): Context | null {
    const { certificates, trust } = this.init;
    let generation = '';
    for (const slot of certificates) generation += `${slot.generation} `;
    generation += trust?.generation ?? 0;
    if (this.#context?.generation === generation) return this.#context;
    if (revocationOf([...certificates, trust]) !== '') return null;
    const pairs = certificates.flatMap(({ value }) => (value === null ? [] : [value]));
    if (pairs.length < certificates.length || (trust !== null && trust.value === null)) return this.#context;
    if (this.#refused === generation) return this.#context;
    try {
      const built = this.#build(pairs, trust?.value ?? null, generation);
      if (this.#context !== null) this.init.tally.contextUpdates++;
      this.#context = built;
    } catch {
      // Each part was good alone, so OpenSSL dislikes them together: the version before stays in force.
      this.#refused = generation;
      this.init.tally.contextFailures++;
    }
    return this.#context;
  }

  #build(pairs: readonly KeyPair[], trust: Trust | null, generation: string): Context {
    const { settings, sessionsMax } = this.init;
    const secure = nodeTls().createSecureContext({
      ...contextOptions(settings),
      ca: trust === null ? [] : trust.authorities.map(({ x509 }) => x509.toString()),
      ...(trust === null || trust.revocations.length === 0 ? {} : { crl: [...trust.revocations] }),
      allowPartialTrustChain: true,
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ...(pairs.length === 0
        ? {}
        : {
            cert: pairs.map(({ source }) => source.chain),
            key: pairs.map(({ source }) => ({ pem: source.key, passphrase: source.password })),
          }),
    });
    const resumes = trust?.allowsExpired !== true;
    const sessions = new SessionCache(resumes ? sessionsMax : 0);
    return { generation, secure, trust, own: pairs[0] ?? null, sessions };
  }
}

const NO_TRUST: Trust = {
  id: '',
  authorities: [],
  path: '',
  revocations: [],
  allowsExpired: false,
  acceptsUntrusted: false,
  depthMax: null,
  asksSpiffeId: false,
  names: [],
  hashes: new Set(),
  keyHashes: new Set(),
};

/** When the server's certificate ends, by the wall clock, where certificates are looked at. */
function endOf(socket: TLSSocket, trust: Trust | null): number {
  if (trust === null) return Infinity;
  return socket.getPeerX509Certificate()?.validToDate.getTime() ?? 0;
}

function causeOf(error: NodeJS.ErrnoException): string {
  const { code, syscall, message } = error;
  if (code === undefined) return tlsError(message);
  return syscall === undefined && code.startsWith('ERR_SSL_') ? tlsError(code.slice('ERR_SSL_'.length)) : code;
}

function acceptAny(): undefined {
  return undefined;
}

function ignore(): void {}

/** A short text that is equal for equal parts. */
export function fingerprintOf(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}
