// The server end of TLS on one filter chain (Envoy DownstreamTlsContext). `secure` takes an accepted
// connection, whose first bytes may have been put back, and answers once: secure with the peer's facts, or failed
// and already closed. Secrets are looked at per handshake: a rotation makes new contexts for new handshakes
// and leaves open connections alone. Sessions are bound to the version of certificates and trust that they
// began under, so a resumed one was judged by the rules of today.
import { constants, createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { SecureContext, SecureContextOptions, TLSSocket } from 'node:tls';
import { WheelTimer, type TimerWheel } from '../base/timer-wheel.ts';
import { serverNamesOf, type KeyPair } from './key-pair.ts';
import { nodeTls } from './node-tls.ts';
import { revocationOf, type Slot } from './slot.ts';
import { TlsPeer } from './tls-peer.ts';
import { contextOptions, type TlsSettings } from './tls-settings.ts';
import type { TlsTally } from './tls-tally.ts';
import { judge, type Trust } from './trust.ts';
import { verifyErrorOf } from './verify-error.ts';

export interface DownstreamTlsInit {
  readonly settings: TlsSettings;
  /** In the order of the configuration; the first is the one for names that no certificate has. */
  readonly certificates: readonly Slot<KeyPair>[];
  /** Null: no certificate is asked for unless one is required, and none is judged. */
  readonly trust: Slot<Trust> | null;
  readonly requiresCertificate: boolean;
  readonly requiresServerName: boolean;
  /** Looks for any certificate that a client can use when its SNI is nobody's. */
  readonly scansAllOnMismatch: boolean;
  readonly resumes: boolean;
  /** 48 bytes; null: random ones, new with each version of the secrets. */
  readonly ticketKeys: Slot<Buffer> | null;
  /** How long a session may be resumed; null: OpenSSL's 300 s (7200 s for TLS 1.3). */
  readonly sessionTimeoutSeconds: number | null;
  /** How long a handshake may take, in milliseconds; 0 is for ever. */
  readonly handshakeTimeoutMs: number;
  readonly tally: TlsTally;
}

export interface DownstreamUser {
  /** The handshake is over and the peer was accepted. */
  onSecure(socket: TLSSocket, peer: TlsPeer): void;
  /** It failed; the connection is closed. `cause` is for logs. */
  onInsecure(cause: string): void;
}

interface Contexts {
  /** The generations of all slots that these were made of. */
  readonly generation: string;
  readonly nameless: SecureContext;
  readonly mismatched: SecureContext;
  readonly exact: ReadonlyMap<string, SecureContext>;
  /** By what stands behind `*.`. */
  readonly wildcard: ReadonlyMap<string, SecureContext>;
  readonly trust: Trust | null;
  readonly own: ReadonlyMap<SecureContext, KeyPair>;
}

export class DownstreamTls {
  readonly init: DownstreamTlsInit;
  #contexts: Contexts | null = null;
  /** The generations that no contexts could be made of. */
  #refused = '';

  constructor(init: DownstreamTlsInit) {
    this.init = init;
    init.tally.use(init.certificates, init.trust);
  }

  /**
   * Starts the handshake on a connection, which must not be flowing. `offered`: the protocols of the client's
   * hello; null when they are not known. With none in common there is no ALPN, as in Envoy.
   */
  secure(socket: Socket, offered: readonly string[] | null, wheel: TimerWheel, user: DownstreamUser): void {
    const contexts = this.#current();
    if (contexts === null) {
      this.init.tally.secretsNotReady++;
      socket.destroy();
      user.onInsecure(revocationOf([...this.init.certificates, this.init.trust]) || 'secrets are not ready');
      return;
    }
    const { protocols } = this.init.settings;
    const agreed = offered === null || offered.some((name) => protocols.includes(name)) ? protocols : [];
    new Handshake({ init: this.init, contexts, protocols: agreed, user }, socket).start(wheel);
  }

  /** True when a connection can be made secure now. */
  get isReady(): boolean {
    return this.#current() !== null;
  }

  /** The newest contexts; made again when a secret is newer than they are. */
  #current(): Contexts | null {
    const { certificates, trust, ticketKeys } = this.init;
    let generation = '';
    for (const slot of [...certificates, trust, ticketKeys]) generation += `${slot?.generation ?? 0} `;
    if (this.#contexts?.generation === generation) return this.#contexts;
    if (revocationOf([...certificates, trust]) !== '') return null;
    const pairs = certificates.flatMap(({ value }) => (value === null ? [] : [value]));
    const isMissing = pairs.length < certificates.length || (trust !== null && trust.value === null);
    if (isMissing || pairs.length === 0 || (ticketKeys !== null && ticketKeys.value === null)) return this.#contexts;
    if (this.#refused === generation) return this.#contexts;
    try {
      const built = buildContexts(this.init, pairs, generation);
      if (this.#contexts !== null) this.init.tally.contextUpdates++;
      this.#contexts = built;
    } catch {
      // Each part was good alone, so OpenSSL dislikes them together: the version before stays in force.
      this.#refused = generation;
      this.init.tally.contextFailures++;
    }
    return this.#contexts;
  }
}

interface HandshakeInit {
  readonly init: DownstreamTlsInit;
  readonly contexts: Contexts;
  /** What ALPN may choose; empty: nothing. */
  readonly protocols: readonly string[];
  readonly user: DownstreamUser;
}

/** One connection until its handshake is over. */
class Handshake {
  readonly #init: DownstreamTlsInit;
  readonly #contexts: Contexts;
  readonly #socket: TLSSocket;
  readonly #user: DownstreamUser;
  readonly #timer: WheelTimer;
  #chosen: SecureContext;
  #wheel: TimerWheel | null = null;
  #isEstablished = false;

  constructor({ init, contexts, protocols, user }: HandshakeInit, socket: Socket) {
    this.#init = init;
    this.#contexts = contexts;
    this.#user = user;
    this.#chosen = contexts.nameless;
    this.#timer = new WheelTimer(() => this.#fail('handshake timeout'));
    this.#socket = new (nodeTls().TLSSocket)(socket, {
      isServer: true,
      secureContext: contexts.nameless,
      requestCert: contexts.trust !== null || init.requiresCertificate,
      // True has OpenSSL say so when no certificate comes; which one may come is judged below.
      rejectUnauthorized: init.requiresCertificate,
      ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
      SNICallback: (name, callback) => {
        this.#chosen = chooseByName(contexts, name);
        callback(null, this.#chosen);
      },
    });
  }

  start(wheel: TimerWheel): void {
    const socket = this.#socket;
    this.#wheel = wheel;
    if (this.#init.handshakeTimeoutMs > 0) wheel.arm(this.#timer, this.#init.handshakeTimeoutMs);
    socket.once('secure', this.#onSecure);
    socket.once('error', this.#onError);
    socket.once('close', this.#onClose);
  }

  readonly #onSecure = (): void => {
    this.#isEstablished = true;
    const socket = this.#socket;
    const { tally, requiresCertificate, requiresServerName } = this.#init;
    const { trust } = this.#contexts;
    const leaf = socket.getPeerX509Certificate();
    let isVerified = false;
    if (leaf === undefined) {
      tally.withoutCertificate++;
      if (requiresCertificate) {
        tally.failNoCertificate++;
        this.#fail('no client certificate');
        return;
      }
    } else if (trust !== null) {
      const isResumed = socket.isSessionReused();
      const verdict = judge(trust, { leaf, chainError: verifyErrorOf(socket), isResumed });
      if (verdict.kind === 'refused') {
        countRefusal(tally, verdict.reason);
        this.#fail(`client certificate refused: ${verdict.details}`);
        return;
      }
      ({ isVerified } = verdict);
    }
    const peer = new TlsPeer(socket, isVerified, this.#contexts.own.get(this.#chosen) ?? null);
    if (requiresServerName && peer.serverName === '' && !peer.isResumed) {
      this.#fail('no server name');
      return;
    }
    tally.countSession(peer.version, peer.cipher, peer.isResumed);
    this.#release();
    this.#user.onSecure(socket, peer);
  };

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    const { tally } = this.#init;
    if (error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') tally.failNoCertificate++;
    else tally.connectionErrors++;
    this.#fail(error.code ?? error.message);
  };

  readonly #onClose = (): void => {
    this.#init.tally.connectionErrors++;
    this.#fail('closed in the handshake');
  };

  #fail(cause: string): void {
    this.#release();
    this.#socket.on('error', ignore);
    // Where the handshake is over the client gets a close_notify, and not just a reset.
    if (this.#isEstablished) this.#socket.destroySoon();
    else this.#socket.destroy();
    this.#user.onInsecure(cause);
  }

  #release(): void {
    this.#wheel?.disarm(this.#timer);
    this.#socket.off('secure', this.#onSecure);
    this.#socket.off('error', this.#onError);
    this.#socket.off('close', this.#onClose);
  }
}

/** Envoy's order: the exact name, a wildcard of its domain, then the certificate for all others. */
function chooseByName(contexts: Contexts, serverName: string): SecureContext {
  const name = serverName.toLowerCase();
  const exact = contexts.exact.get(name);
  if (exact !== undefined) return exact;
  const dot = name.indexOf('.');
  return (dot === -1 ? undefined : contexts.wildcard.get(name.slice(dot + 1))) ?? contexts.mismatched;
}

function buildContexts(init: DownstreamTlsInit, pairs: readonly KeyPair[], generation: string): Contexts {
  const trust = init.trust?.value ?? null;
  const options = optionsOf(init, pairs, trust);
  const own = new Map<SecureContext, KeyPair>();
  const made = new Map<string, SecureContext>();
  const contextOf = (chosen: readonly KeyPair[]): SecureContext => {
    const key = chosen.map((pair) => pairs.indexOf(pair)).join();
    const known = made.get(key);
    if (known !== undefined) return known;
    const context = nodeTls().createSecureContext({
      ...options,
      cert: chosen.map(({ source }) => source.chain),
      key: chosen.map(({ source }) => ({ pem: source.key, passphrase: source.password })),
    });
    made.set(key, context);
    const [first] = chosen;
    if (first !== undefined) own.set(context, first);
    return context;
  };
  const exact = new Map<string, SecureContext>();
  const wildcard = new Map<string, SecureContext>();
  for (const [name, chosen] of pairsByName(pairs)) {
    if (name.startsWith('*.')) wildcard.set(name.slice(2), contextOf(chosen));
    else exact.set(name, contextOf(chosen));
  }
  const nameless = contextOf(firstOfEachType(pairs));
  const mismatched = init.scansAllOnMismatch ? nameless : contextOf(pairs.slice(0, 1));
  return { generation, nameless, mismatched, exact, wildcard, trust, own };
}

function optionsOf(init: DownstreamTlsInit, pairs: readonly KeyPair[], trust: Trust | null): SecureContextOptions {
  // Expired clients are judged by their whole chain, which a resumed session does not carry.
  const resumes = init.resumes && trust?.allowsExpired !== true;
  return {
    ...contextOptions(init.settings),
    honorCipherOrder: true,
    ca: trust === null ? [] : trust.authorities.map(({ x509 }) => x509.toString()),
    ...(trust === null || trust.revocations.length === 0 ? {} : { crl: [...trust.revocations] }),
    allowPartialTrustChain: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (resumes ? 0 : constants.SSL_OP_NO_TICKET),
    sessionIdContext: sessionIdOf(init, pairs, trust),
    ticketKeys: init.ticketKeys?.value ?? randomBytes(48),
    ...(init.sessionTimeoutSeconds === null ? {} : { sessionTimeout: init.sessionTimeoutSeconds }),
  };
}

/** By server name: the first certificate of each key type, so that a client gets the one that it can check. */
function pairsByName(pairs: readonly KeyPair[]): ReadonlyMap<string, readonly KeyPair[]> {
  const named = new Map<string, KeyPair[]>();
  for (const pair of pairs) {
    for (const name of serverNamesOf(pair)) {
      const same = named.get(name) ?? [];
      named.set(name, same);
      if (!same.some(({ keyType }) => keyType === pair.keyType)) same.push(pair);
    }
  }
  return named;
}

function firstOfEachType(pairs: readonly KeyPair[]): readonly KeyPair[] {
  return pairs.filter(({ keyType }, at) => pairs.findIndex((one) => one.keyType === keyType) === at);
}

/** 32 characters: sessions of other certificates or other trust are not resumed, even under the same ticket keys. */
function sessionIdOf(init: DownstreamTlsInit, pairs: readonly KeyPair[], trust: Trust | null): string {
  const hash = createHash('sha256').update(`${trust?.id ?? ''} ${init.requiresCertificate}`);
  for (const { leaf } of pairs) hash.update(leaf.x509.raw);
  return hash.digest('hex').slice(0, 32);
}

function countRefusal(tally: TlsTally, reason: 'chain' | 'names' | 'hash'): void {
  if (reason === 'chain') tally.failError++;
  else if (reason === 'names') tally.failNames++;
  else tally.failHash++;
}

function ignore(): void {}
