// All that listens on the TLS port: who calls is found out first, then the call goes to the discovery server or to the
// certificate service. Loaded only when the control service has an authority. Plaintext calls never come here, so that
// nothing in here can be mistaken for one of them.
import { hostname, networkInterfaces } from 'node:os';
import { Server, ServerCredentials, type ConnectionInjector, type Metadata } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { formatProblem } from '../base/problem.ts';
import type { KubeAccess } from '../kube/access.ts';
import { Authentication, type Authenticator } from './authentication/authentication.ts';
import { bearerTokens, type PresentedCertificate } from './authentication/caller.ts';
import { ClientCertificate } from './authentication/client-certificate.ts';
import { JoinTokenCaller } from './authentication/join-token-caller.ts';
import { KUBERNETES_AUDIENCE, KubernetesCaller } from './authentication/kubernetes-caller.ts';
import { refusal, type Refusal } from './authentication/refusal.ts';
import type { RefusalBook } from './authentication/refusal-book.ts';
import { TokenReviewer } from './authentication/token-reviewer.ts';
import { CertificateAuthority } from './ca/certificate-authority.ts';
import type { AuthorityStore } from './ca/authority-files.ts';
import { DirectoryStore } from './ca/directory-store.ts';
import { PatientStore } from './ca/patient-store.ts';
import { JoinTokens } from './ca/join-token.ts';
import { CallerRate } from './caller-rate.ts';
import { CertificateService } from './certificate-service.ts';
import type { Admitted, DiscoveryServer } from './discovery.ts';
import { PagesAccess } from './pages-access.ts';
import { SecureFront } from './secure-front.ts';

export interface SecureOptions {
  /** Where the authority's files are; a text is a directory. */
  readonly authority: AuthorityStore | string;
  /** `0.0.0.0:15012` by default; port 0 picks one. */
  readonly address?: string;
  /** More names and IP addresses for our certificate. */
  readonly names?: readonly string[];
  /** Null, the default: tokens of Kubernetes are not taken. */
  readonly kubernetes?: KubeAccess | null;
}

export interface SecureSurroundings {
  readonly discovery: DiscoveryServer;
  readonly refusals: RefusalBook;
  readonly log: Log;
  readonly clock: Clock;
  /** The trust bundle is another one. */
  readonly onRootsChanged: () => void;
  /** Why its authority is waited for; empty: it is not any more. */
  readonly onWaiting: (why: string) => void;
  /** Nobody needs it any more. */
  readonly ending: AbortSignal;
  /** As they are now: the trust domain that certificates are signed for first, then its aliases. */
  readonly trustDomains: () => readonly [string, ...string[]];
}

/** What a call brings; every kind of call of gRPC has it. */
interface IncomingCall {
  readonly metadata: Metadata;
  getPeer(): string;
}

const NAMES = ['istiod.istio-system.svc', 'outrigger-control', 'localhost', '127.0.0.1', '::1'];
const REQUEST_BYTES_MAX = 4 * 1024 * 1024;
const STREAMS_MAX = 100;
const IDLE_MS = 300_000;
const KEEPALIVE_MS = 10_000;
/** Of one host: many pods may share an address. */
const REVIEWS_AT_ONCE = 200;
const REVIEWS_PER_SECOND = 10;
const DRAIN_MS = 500;

export class SecureEndpoint {
  readonly #around: SecureSurroundings;
  readonly #authority: CertificateAuthority;
  readonly #joinTokens: JoinTokens;
  readonly #reviewer: TokenReviewer | null;
  readonly #certificates: ClientCertificate;
  readonly #authentication: Authentication;
  readonly #certificateService: CertificateService;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #front: SecureFront;

  readonly pages: PagesAccess;

  get authority(): CertificateAuthority {
    return this.#authority;
  }

  /** Rejects when the authority's files are not fit, with what is wrong with them. */
  static async open(options: SecureOptions, around: SecureSurroundings): Promise<SecureEndpoint> {
    const { authority } = options;
    const [trustDomain] = around.trustDomains();
    const log = around.log.child('ca');
    const store = new PatientStore(typeof authority === 'string' ? new DirectoryStore(authority) : authority, {
      ending: around.ending,
      onWaiting: (why) => {
        if (why !== '') log.warning('the authority cannot be reached, and is waited for', { cause: why });
        around.onWaiting(why);
      },
    });
    const opened = await CertificateAuthority.open({ store, log, trustDomain, clock: around.clock });
    if (opened.kind === 'refused') {
      const why = opened.problems.map((problem) => formatProblem(problem)).join('; ');
      throw new Error(`certificate authority ${store.place}: ${why}`);
    }
    const joinTokens = await JoinTokens.open(store);
    store.end();
    return new SecureEndpoint(options, around, opened.authority, joinTokens);
  }

  private constructor(
    options: SecureOptions,
    around: SecureSurroundings,
    authority: CertificateAuthority,
    joinTokens: JoinTokens,
  ) {
    this.#around = around;
    this.#authority = authority;
    this.#joinTokens = joinTokens;
    const { clock, log, refusals, trustDomains, discovery } = around;
    const { kubernetes = null, address = '0.0.0.0:15012', names = [] } = options;
    this.pages = new PagesAccess({ authority, trustDomain: () => trustDomains()[0], clock });
    this.#reviewer =
      kubernetes === null ? null : new TokenReviewer({ access: kubernetes, audience: KUBERNETES_AUDIENCE, log, clock });
    this.#certificates = new ClientCertificate({
      clock,
      trustBundlePem: () => authority.trustBundlePem.join(''),
      trustDomains: () => new Set(trustDomains()),
    });
    this.#authentication = new Authentication(this.#authenticators());
    this.#certificateService = new CertificateService({
      authority,
      authenticate: async (call) => await this.#authenticate(call),
      trustDomain: () => trustDomains()[0],
      refusals,
      log,
      clock,
    });
    this.#server = new Server({
      'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': STREAMS_MAX,
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_MS,
    });
    discovery.serve(this.#server, async (call) => await this.#admit(call));
    this.#server.addService(this.#certificateService.definition, this.#certificateService.implementation);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#front = new SecureFront({
      authority,
      address,
      names: [...new Set([...NAMES, hostname(), ...addresses(), ...names])],
      log: log.child('tls'),
      clock,
      onConnection: (socket) => this.#injector.injectConnection(socket),
    });
    authority.onRootsChanged(() => {
      around.onRootsChanged();
      discovery.recheck();
    });
  }

  /** Resolves with the bound address. */
  async start(): Promise<string> {
    return await this.#front.start();
  }

  async stop(): Promise<void> {
    this.#injector.drain(DRAIN_MS);
    await this.#front.stop(DRAIN_MS);
    this.#injector.destroy();
    this.#server.forceShutdown();
    this.#joinTokens.close();
    await this.#reviewer?.close();
    await this.#authority.close();
  }

  /** PEM of whom the mesh trusts now. */
  get rootsPem(): string {
    return this.#authority.trustBundlePem.join('');
  }

  counters(): ReadonlyMap<string, number> {
    return new Map([
      ...this.#authority.counters(),
      ...this.#certificateService.counters(),
      ['outrigger_secure_connections', this.#front.connections],
      ['outrigger_secure_handshakes_failed_total', this.#front.handshakesFailed],
      ['outrigger_secure_certificate_expiry_seconds', Math.floor(this.#front.notAfterMs / 1000)],
    ]);
  }

  #authenticators(): readonly Authenticator[] {
    const trustDomain = (): string => this.#around.trustDomains()[0];
    const reviewer = this.#reviewer;
    const join = new JoinTokenCaller({
      verify: async (token, nowMs) => await this.#joinTokens.verify(token, nowMs),
      clock: this.#around.clock,
      trustDomain,
      isLast: reviewer === null,
    });
    if (reviewer === null) return [this.#certificates, join];
    const review = async (token: string) => await reviewer.review(token);
    const rate = new CallerRate({ clock: this.#around.clock, burst: REVIEWS_AT_ONCE, perSecond: REVIEWS_PER_SECOND });
    const mayAsk = (host: string): boolean => rate.admits(host);
    return [this.#certificates, join, new KubernetesCaller({ review, trustDomain, mayAsk })];
  }

  async #authenticate(call: IncomingCall) {
    // Asked for at once: after a wait the connection may be gone, and another have its address.
    const address = call.getPeer();
    const certificate = this.#front.shownBy(address);
    if (certificate === undefined) return refusal('no_credentials', 'the connection is gone');
    return await this.#authentication.authenticate({ address, certificate, tokens: bearerTokens(call.metadata) });
  }

  async #admit(call: IncomingCall): Promise<Admitted | Refusal> {
    const shown = this.#front.shownBy(call.getPeer()) ?? null;
    const answer = await this.#authenticate(call);
    if (answer.kind === 'refused') return answer;
    const { peer } = answer;
    return {
      kind: 'admitted',
      peer,
      recheck: () => this.#recheck(peer.by === 'certificate' ? shown : null, peer.untilMs),
    };
  }

  /** What let somebody in is judged as it would be now; null: it still would let them in. */
  #recheck(shown: PresentedCertificate | null, untilMs: number): Refusal | null {
    if (shown === null) {
      const isOver = this.#around.clock.wall() >= untilMs;
      return isOver ? refusal('token_expired', 'the token that the stream began with has expired') : null;
    }
    const judged = this.#certificates.judge(shown);
    return judged.kind === 'refused' ? judged : null;
  }
}

/** Of this machine, link-local ones aside: callers may know the control service by any of them. */
function addresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.map(({ address }) => address).filter((address) => !address.startsWith('fe80:'));
}
