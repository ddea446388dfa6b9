// Who this workload is: a key made in memory, a certificate for it from the control service, and the roots that the mesh
// trusts. Renews long before the end, with jitter, so that a fleet does not ask at once; while nobody answers, the last
// good certificate stays in force until it expires. Then it is taken away, so that no handshake begins with it, and comes
// back with the next answer. The key goes into the secrets of this process and of its own threads, and nowhere else.
//
//   asking ─► valid ─► (renewal is due) ─► asking ─► …          no answer: again after a jittered pause
//               └────► expired: secrets are revoked ─► asking ─► valid
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { error, formatProblem, refuses, type Problem } from '../base/problem.ts';
import type { Registry } from '../observe/registry.ts';
import type { Certificate } from '../tls/certificate.ts';
import { signingRequest } from '../tls/csr.ts';
import { SecretSchema, type Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { ContextCertificates } from './admin/certs.ts';
import {
  FAILURES,
  requestCertificate,
  type CertificateAnswer,
  type CertificateRequest,
  type FailureReason,
} from './certificate-request.ts';
import type { ControlAccess } from './control-access.ts';
import { isRoot, judgeAnswer, readRoots, vouchesFor, type Expected, type Issued } from './identity-answer.ts';
import { Lifetime } from './identity-lifetime.ts';
import { identityNotices } from './identity-notices.ts';
import { IdentityMetrics } from './identity-metrics.ts';
import { ADS, IDENTITY, type Attempt, type SecretStore } from './secrets.ts';

export interface IdentityOptions {
  readonly access: ControlAccess;
  readonly expected: Expected;
  /** Into the request; the authority goes by who asks, not by this. */
  readonly uri: string;
  /** The life that is asked for. */
  readonly lifetimeSeconds: number;
  readonly log: Log;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** requestCertificate() by default. */
  readonly request?: (access: ControlAccess, request: CertificateRequest) => Promise<CertificateAnswer>;
}

/** The names under which SDS has it, as Istio has them. */
export const OWN_CERTIFICATE = 'default';
export const ROOTS = 'ROOTCA';

/** Clocks are compared this often: a jump is noticed by then. */
const LOOK_MS = 5000;
const RETRY_MS_MIN = 250;
/** A service that comes back is found within 10 s where it matters: at the first certificate, and after the last. */
const RETRY_MS_URGENT = 4000;
const RETRY_MS_MAX = 60_000;
/** While the certificate is good, the pause may be this share of what is left of it. */
const RETRY_SHARE = 0.05;
/** Roots that do not vouch for our certificate any more: a new one is asked for within this time. */
const REPLACE_MS = 1000;
const ROOT_BYTES_MAX = 256 * 1024;

export class Identity {
  readonly access: ControlAccess;
  /** Resolves when there is a certificate for the first time. */
  readonly first: Promise<void>;
  readonly failures: ReadonlyMap<FailureReason, number>;
  renewals = 0;
  issued: Issued | null = null;
  lifetime: Lifetime | null = null;
  /** PEM of what the mesh trusts; empty before the first answer. */
  rootsPem = '';
  /** Of the failures since the last success, by the wall clock; null: the last attempt was one. */
  failingSinceMs: number | null = null;
  readonly #options: IdentityOptions;
  readonly #random: () => number;
  readonly #failures = new Map<FailureReason, number>(FAILURES.map((reason) => [reason, 0]));
  readonly #begun: PromiseWithResolvers<void> = Promise.withResolvers();
  #secrets: SecretStore | null = null;
  #metrics: IdentityMetrics | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Monotonic; null: when the certificate's life says so. */
  #retryAtMs: number | null = null;
  #attempts = 0;
  #isAsking = false;
  #isRevoked = false;
  #hasWarned = false;
  #isClosed = false;

  constructor(options: IdentityOptions) {
    this.#options = options;
    this.access = options.access;
    this.#random = options.random ?? Math.random;
    this.first = this.#begun.promise;
    this.failures = this.#failures;
  }

  /** Begins, and puts what comes into these secrets; roots that come by ADS count, too. */
  start(secrets: SecretStore, registry: Registry): void {
    this.#secrets = secrets;
    this.#metrics = new IdentityMetrics(registry);
    secrets.watch(ADS, ROOTS, (secret) => this.#readRoots(secret));
    this.#look();
  }

  /** Its secrets are revoked. */
  get isExpired(): boolean {
    return this.#isRevoked;
  }

  /** As /certs shows them. */
  get certificates(): Pick<ContextCertificates, 'authorities' | 'chains'> {
    const { issued } = this;
    const chains = issued === null ? [] : [{ path: '<inline>', certificates: readRoots(issued.chainPem) }];
    return { authorities: readRoots(this.rootsPem), chains };
  }

  /** For the readiness page. `awaySinceMs`: when the discovery stream was lost. */
  notices(awaySinceMs: number | null): readonly string[] {
    return identityNotices(this, awaySinceMs);
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #look(): void {
    if (this.#isClosed) return;
    const { lifetime } = this;
    if (lifetime !== null) this.#metrics?.look(lifetime);
    // When only the wall clock says so, it has jumped: one attempt to renew comes before the end.
    const isOver = lifetime?.isExpired === true && (lifetime.hasLivedOut || this.failingSinceMs !== null);
    if (lifetime !== null && isOver && !this.#isRevoked) this.#expire(lifetime);
    else if (lifetime?.isOverdue === true && !this.#hasWarned) this.#warn(lifetime);
    if (!this.#isAsking && this.#dueInMs() <= 0) void this.#ask();
    if (this.#timer !== null) clearTimeout(this.#timer);
    const waits = [LOOK_MS, ...(this.#isAsking ? [] : [this.#dueInMs()])];
    if (lifetime !== null && lifetime.leftMs > 0) waits.push(lifetime.leftMs);
    this.#timer = setTimeout(() => this.#look(), Math.max(1, Math.ceil(Math.min(...waits)))).unref();
  }

  #dueInMs(): number {
    if (this.#retryAtMs !== null) return this.#retryAtMs - this.#options.clock.now();
    return this.lifetime?.renewsInMs ?? 0;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const { access, uri, lifetimeSeconds, request = requestCertificate } = this.#options;
    // A new key for every certificate.
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const answer = await request(access, { csr: signingRequest(privateKey, uri), seconds: lifetimeSeconds });
    this.#isAsking = false;
    if (this.#isClosed) return;
    if (answer.kind === 'failed') this.#fail(answer.reason, answer.detail);
    else this.#take(answer.chain, privateKey);
    this.#look();
  }

  #take(chain: readonly string[], key: KeyObject): void {
    const { expected } = this.#options;
    const issued = judgeAnswer(chain, { key, expected, knownRootsPem: this.rootsPem });
    if (typeof issued === 'string') this.#fail('answer', issued);
    else this.#install(issued, key);
  }

  #install(issued: Issued, key: KeyObject): void {
    const { clock, log, lifetimeSeconds } = this.#options;
    const keyPem = key.export({ type: 'pkcs8', format: 'pem' });
    const problems = [
      ...this.#provide(rootsSecret(issued.rootsPem)),
      ...this.#provide(certificateSecret(issued.chainPem, keyPem)),
    ];
    if (refuses(problems)) {
      this.#fail('answer', problems.map(formatProblem).join(', '));
      return;
    }
    const lifetime = new Lifetime(issued.leaf, { clock, random: this.#random, askedMs: lifetimeSeconds * 1000 });
    const isFirst = this.issued === null;
    if (!isFirst) this.#countRenewal();
    this.issued = issued;
    this.lifetime = lifetime;
    this.rootsPem = issued.rootsPem;
    this.access.own = { chainPem: issued.chainPem, keyPem, rootsPem: issued.rootsPem };
    this.#retryAtMs = null;
    this.#attempts = 0;
    this.#isRevoked = false;
    this.#hasWarned = false;
    this.failingSinceMs = null;
    log.info(isFirst ? 'certificate' : 'certificate renewed', {
      id: issued.uri,
      serial: issued.leaf.serial,
      expires: new Date(lifetime.expiresAtMs).toISOString(),
      renewSeconds: Math.round(lifetime.renewAfterMs / 1000),
    });
    if (lifetime.skewMs !== 0) {
      const seconds = Math.round(lifetime.skewMs / 1000);
      log.warning('the clock of this machine is not that of the certificate authority', { seconds });
    }
    this.#begun.resolve();
  }

  #countRenewal(): void {
    this.renewals++;
    this.#metrics?.renewed();
  }

  #fail(reason: FailureReason, detail: string): void {
    const { clock, log } = this.#options;
    this.#metrics?.failed(reason);
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
    this.failingSinceMs ??= clock.wall();
    const retryMs = this.#pauseMs();
    this.#retryAtMs = clock.now() + retryMs;
    const { lifetime } = this;
    log.warning(lifetime === null ? 'no certificate yet' : 'the certificate was not renewed', {
      reason,
      detail,
      retryMs: Math.round(retryMs),
      ...(lifetime === null ? {} : { leftSeconds: Math.round(lifetime.leftMs / 1000) }),
    });
  }

  /** Doubles with each failure, and lies between half and the whole of that. */
  #pauseMs(): number {
    const leftMs = this.lifetime?.leftMs ?? 0;
    const most = Math.min(Math.max(leftMs * RETRY_SHARE, RETRY_MS_URGENT), RETRY_MS_MAX);
    const pauseMs = Math.min(RETRY_MS_MIN * 2 ** Math.min(this.#attempts++, 16), most);
    return pauseMs * (0.5 + this.#random() / 2);
  }

  #warn(lifetime: Lifetime): void {
    this.#hasWarned = true;
    this.#options.log.warning('the renewal of the certificate is overdue', {
      expires: new Date(lifetime.expiresAtMs).toISOString(),
      leftSeconds: Math.round(lifetime.leftMs / 1000),
    });
  }

  #expire(lifetime: Lifetime): void {
    this.#isRevoked = true;
    const at = new Date(lifetime.expiresAtMs).toISOString();
    this.access.own = { chainPem: '', keyPem: '', rootsPem: this.rootsPem };
    this.#secrets?.provide({
      source: IDENTITY,
      name: OWN_CERTIFICATE,
      secret: null,
      reason: `own certificate expired at ${at}`,
    });
    this.#options.log.error('the certificate has expired: no handshake begins until there is a new one', { at });
    // From now on every second counts.
    this.#attempts = 0;
    this.#retryAtMs = this.#options.clock.now();
  }

  /** The roots of the mesh have changed while the certificate is good. */
  #readRoots(secret: Secret): Attempt {
    const source = secret.type.case === 'validationContext' ? secret.type.value.trustedCa?.specifier : undefined;
    const problems: Problem[] = [];
    const pem =
      source?.case === 'inlineString'
        ? source.value
        : source?.case === 'inlineBytes'
          ? Buffer.from(source.value).toString('utf8')
          : '';
    const roots = pem.length > ROOT_BYTES_MAX ? [] : readRoots(pem);
    if (roots.length === 0 || !roots.every(isRoot)) {
      problems.push(error('validation_context.trusted_ca', 'does not hold the roots of the mesh', 'write them inline'));
    }
    return { problems, commit: () => (problems.length === 0 ? this.#takeRoots(roots) : undefined) };
  }

  #takeRoots(roots: readonly Certificate[]): void {
    const { log, clock } = this.#options;
    const pem = roots.map((root) => root.pem).join('');
    if (pem === this.rootsPem) return;
    this.rootsPem = pem;
    if (this.access.own !== null) this.access.own = { ...this.access.own, rootsPem: pem };
    this.#provide(rootsSecret(pem));
    log.info('the roots of the mesh have changed', {
      roots: roots.map(({ fingerprint256 }) => fingerprint256.slice(0, 16)).join(','),
    });
    if (this.issued === null || vouchesFor(roots, this.issued)) return;
    log.warning('the certificate is of a root that is no longer trusted: a new one is asked for');
    this.#retryAtMs = clock.now() + this.#random() * REPLACE_MS;
    this.#look();
  }

  #provide(secret: Secret): readonly Problem[] {
    return this.#secrets?.provide({ source: IDENTITY, name: secret.name, secret, reason: '' }) ?? [];
  }
}

function certificateSecret(chainPem: string, keyPem: string): Secret {
  return create(SecretSchema, {
    name: OWN_CERTIFICATE,
    type: {
      case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { case: 'inlineString', value: chainPem } },
        privateKey: { specifier: { case: 'inlineString', value: keyPem } },
      },
    },
  });
}

function rootsSecret(pem: string): Secret {
  return create(SecretSchema, {
    name: ROOTS,
    type: {
      case: 'validationContext',
      value: { trustedCa: { specifier: { case: 'inlineString', value: pem } } },
    },
  });
}
