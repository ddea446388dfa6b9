// The mesh's certificate authority: signs certificates for workloads whose identity the caller has verified, and
// says which roots are trusted. It reads its files again when they change, keeps the last good ones, and makes a
// root of its own where there is nothing yet. What a request asks for is never granted, only compared: one that
// wants another identity than its caller's is refused, logged and counted.
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { error, formatProblem, type Problem } from '../../base/problem.ts';
import type { Certificate } from '../../tls/certificate.ts';
import { spiffeId, type WorkloadId } from '../../tls/spiffe-id.ts';
import {
  CHAIN,
  LIFETIME,
  ROOTS,
  SIGNER_CERTIFICATE,
  SIGNER_KEY,
  type AuthorityFiles,
  type AuthorityStore,
} from './authority-files.ts';
import { readMaterial, type AuthorityMaterial } from './authority-material.ts';
import { ExpiryWatch } from './expiry-watch.ts';
import { makeFirstRoot } from './first-root.ts';
import { webKeyOf } from './signing-key.ts';
import { workloadFault } from './signer-trial.ts';
import { readSigningRequest } from './signing-request.ts';
import { issue, issuerOf, type Issuer } from './workload-certificate.ts';

export interface AuthorityOptions {
  readonly store: AuthorityStore;
  readonly log: Log;
  /** Stands in the subject of a root that is made. */
  readonly trustDomain: string;
  /** The most that a certificate may live; 24 hours by default, and it is what a caller who asks for nothing gets. */
  readonly lifetimeMaxMs?: number;
  readonly clock?: Clock;
}

export type Signature =
  /** PEM: the certificate, then what leads to a root; the root itself is not among them. */
  | { readonly kind: 'signed'; readonly chainPem: readonly string[]; readonly notAfterMs: number }
  /**
   * `request`: the request is malformed, weak, or not signed by its own key. `identity`: it asks for another
   * identity, or the caller's is none. `authority`: we cannot sign now. The reason may be told to the caller.
   */
  | { readonly kind: 'refused'; readonly fault: 'request' | 'identity' | 'authority'; readonly reason: string };

export type OpenedAuthority =
  | { readonly kind: 'open'; readonly authority: CertificateAuthority }
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] };

export const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of peers may be late by so much. */
const BACKDATED_MS = 2 * 60 * 1000;
const SECOND_MS = 1000;

/** What one reading of the files gave. */
interface Standing {
  readonly material: AuthorityMaterial;
  readonly issuer: Issuer;
  readonly intermediatesPem: readonly string[];
  readonly rootsPem: readonly string[];
  /** Tells one reading from another. */
  readonly text: string;
  /** By trust domain: what peers will find wrong with its certificates; empty: nothing. */
  readonly faults: Map<string, Promise<string>>;
}

export class CertificateAuthority {
  readonly lifetimeMaxMs: number;
  readonly #options: AuthorityOptions;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #counts = { asked: 0, issued: 0, malformed: 0, otherIdentity: 0, failed: 0, reloadsRefused: 0 };
  readonly #expiry: ExpiryWatch;
  #standing: Standing;
  #unwatch: () => void = () => {};
  #reading: Promise<void> = Promise.resolve();
  #complaint = '';
  /** For which it signed last. */
  #trustDomain: string;

  /** Reads the files, or makes a root where there are none. Rejects when the place cannot be read or written. */
  static async open(options: AuthorityOptions): Promise<OpenedAuthority> {
    const { store, trustDomain, clock = systemClock, log } = options;
    await makeFirstRoot(store, trustDomain, clock.wall());
    const files = await store.read();
    const problems: Problem[] = [];
    const standing = await stand(files, { nowMs: clock.wall(), trustDomain }, problems);
    if (standing === null) return { kind: 'refused', problems };
    for (const problem of problems) log.warning(`certificate authority: ${formatProblem(problem)}`);
    const authority = new CertificateAuthority(options, standing);
    await authority.#start(files);
    return { kind: 'open', authority };
  }

  private constructor(options: AuthorityOptions, standing: Standing) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#standing = standing;
    this.#trustDomain = options.trustDomain;
    this.lifetimeMaxMs = options.lifetimeMaxMs ?? DAY_MS;
    this.#expiry = new ExpiryWatch(options.log, this.#clock);
  }

  /** Every trusted root in PEM, one certificate in each; the one of the certificate that signs comes first. */
  get trustBundlePem(): readonly string[] {
    return this.#standing.rootsPem;
  }

  /** What signs now, and since when to when; for pages and commands. */
  get material(): AuthorityMaterial {
    return this.#standing.material;
  }

  /** Calls after the trust bundle has become another one; the result ends that. */
  onRootsChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * `id` is what the caller has proven to be, never what the request says. A `ttlMs` that is no positive number means
   * the most; it is cut to that, and to the life of what signs. Never rejects.
   */
  async sign(request: Uint8Array | string, id: WorkloadId, ttlMs: number): Promise<Signature> {
    this.#counts.asked += 1;
    const uri = spiffeId(id);
    if (uri === null) return this.#refuse('identity', 'the caller has no name that a certificate could carry', '');
    const read = await readSigningRequest(request);
    if (read.kind === 'refused') return this.#refuse('request', read.reason, uri);
    const other = read.uris.find((wanted) => wanted !== uri && /^spiffe:/i.test(wanted));
    if (other !== undefined) return this.#refuse('identity', 'it asks for the identity of another workload', uri);
    const standing = this.#standing;
    const fault = await faultFor(standing, id.trustDomain);
    if (fault !== '') return this.#refuse('authority', `peers would not take its certificate: ${fault}`, uri);
    this.#trustDomain = id.trustDomain;
    const { material, issuer, intermediatesPem } = standing;
    const nowMs = this.#clock.wall();
    const notAfterMs = seconds(Math.min(nowMs + this.#lifetime(ttlMs), material.notAfterMs));
    if (notAfterMs <= nowMs) return this.#refuse('authority', 'the certificate that signs has expired', uri);
    const { publicKey, isRsa } = read;
    try {
      const notBeforeMs = seconds(nowMs - BACKDATED_MS);
      const leaf = await issue(issuer, { id: uri, publicKey, isRsa, notBeforeMs, notAfterMs });
      this.#counts.issued += 1;
      return { kind: 'signed', chainPem: [leaf, ...intermediatesPem], notAfterMs };
    } catch (cause) {
      this.#options.log.error('a certificate could not be signed', { cause: String(cause) });
      return this.#refuse('authority', 'signing failed', uri);
    }
  }

  /** Under Istio's names where Istio has them (citadel). Times are seconds since 1970. */
  counters(): ReadonlyMap<string, number> {
    const { material } = this.#standing;
    const [root] = material.roots;
    return new Map([
      ['citadel_server_csr_count', this.#counts.asked],
      ['citadel_server_success_cert_issuance_count', this.#counts.issued],
      ['citadel_server_csr_parsing_err_count', this.#counts.malformed],
      ['citadel_server_id_extraction_err_count', this.#counts.otherIdentity],
      ['citadel_server_csr_sign_err_count', this.#counts.failed],
      ['citadel_server_root_cert_expiry_timestamp', Math.floor((root ?? material.signer).notAfterMs / SECOND_MS)],
      ['citadel_server_cert_chain_expiry_timestamp', Math.floor(material.notAfterMs / SECOND_MS)],
      ['outrigger_ca_roots', material.roots.length],
      ['outrigger_ca_expires_soon', this.#expiry.isSoon ? 1 : 0],
      ['outrigger_ca_reload_refused_count', this.#counts.reloadsRefused],
    ]);
  }

  /** Reads the files now, as it does by itself when they change. */
  async reload(): Promise<void> {
    this.#reading = this.#reading
      .then(async () => await this.#read())
      .catch((cause: unknown) => this.#keep(String(cause)));
    await this.#reading;
  }

  async close(): Promise<void> {
    this.#unwatch();
    this.#listeners.clear();
    await this.#reading;
  }

  async #start(files: AuthorityFiles): Promise<void> {
    this.#unwatch = this.#options.store.watch(() => void this.reload());
    this.#expiry.look(this.#standing.material);
    const known = Number(files.get(LIFETIME) ?? 0);
    if (known >= this.lifetimeMaxMs) return;
    try {
      // Rotation waits for so long before it drops a root.
      await this.#options.store.put(LIFETIME, String(this.lifetimeMaxMs));
    } catch (cause) {
      this.#options.log.info('the lifetime of certificates cannot be noted beside the authority', {
        cause: String(cause),
      });
    }
  }

  async #read(): Promise<void> {
    this.#expiry.look(this.#standing.material);
    const files = await this.#options.store.read();
    if (textOf(files) === this.#standing.text) return;
    const problems: Problem[] = [];
    const about = { nowMs: this.#clock.wall(), trustDomain: this.#trustDomain };
    const next = await stand(files, about, problems);
    if (next === null) {
      this.#keep(problems.map((problem) => formatProblem(problem)).join('; '));
      return;
    }
    this.#complaint = '';
    const before = this.#standing;
    this.#standing = next;
    this.#expiry.look(next.material);
    this.#options.log.info('the certificate authority has other files', {
      signer: next.material.signer.fingerprint256,
      roots: next.rootsPem.length,
    });
    if (bundleOf(before) === bundleOf(next)) return;
    for (const listener of this.#listeners) listener();
  }

  #keep(why: string): void {
    if (why === this.#complaint) return;
    this.#complaint = why;
    this.#counts.reloadsRefused += 1;
    this.#options.log.warning('the certificate authority keeps what it had', { why });
  }

  #lifetime(ttlMs: number): number {
    return ttlMs > 0 ? Math.min(ttlMs, this.lifetimeMaxMs) : this.lifetimeMaxMs;
  }

  #refuse(fault: 'request' | 'identity' | 'authority', reason: string, caller: string): Signature {
    if (fault === 'request') this.#counts.malformed += 1;
    else if (fault === 'identity') this.#counts.otherIdentity += 1;
    else this.#counts.failed += 1;
    this.#options.log.warning('a certificate was refused', { caller, fault, reason });
    return { kind: 'refused', fault, reason };
  }
}

async function stand(
  files: AuthorityFiles,
  { nowMs, trustDomain }: { readonly nowMs: number; readonly trustDomain: string },
  problems: Problem[],
): Promise<Standing | null> {
  const material = readMaterial(files, nowMs, problems);
  if (material === null) return null;
  const { signer, key, algorithm, intermediates, roots } = material;
  const issuer = await issuerOf(signer.pem, webKeyOf(key, algorithm), algorithm);
  const pems = { intermediatesPem: pemOf(intermediates), rootsPem: pemOf(roots) };
  const standing = { material, issuer, ...pems, text: textOf(files), faults: new Map<string, Promise<string>>() };
  const fault = await faultFor(standing, trustDomain);
  if (fault === '') return standing;
  const message = `may not sign for workloads of the trust domain "${trustDomain}": peers would say "${fault}"`;
  const remedy = 'write a signer whose name constraints, purposes and path length (and those above it) allow it';
  problems.push(error(SIGNER_CERTIFICATE, message, remedy));
  return null;
}

/** Tried once for each trust domain, of which there is one at a time. */
function faultFor(standing: Standing, trustDomain: string): Promise<string> {
  const known = standing.faults.get(trustDomain);
  if (known !== undefined) return known;
  const fault = workloadFault(standing.issuer, standing, trustDomain).catch((cause: unknown) => String(cause));
  standing.faults.set(trustDomain, fault);
  return fault;
}

function pemOf(certificates: readonly Certificate[]): readonly string[] {
  return certificates.map(({ pem }) => pem);
}

function textOf(files: AuthorityFiles): string {
  return JSON.stringify([SIGNER_CERTIFICATE, SIGNER_KEY, ROOTS, CHAIN].map((name) => files.get(name) ?? null));
}

/** The same roots in another order are the same bundle. */
function bundleOf({ rootsPem }: Standing): string {
  return rootsPem.toSorted().join('');
}

/** Certificates know whole seconds. */
function seconds(ms: number): number {
  return Math.floor(ms / SECOND_MS) * SECOND_MS;
}
