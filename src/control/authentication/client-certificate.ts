// A caller that shows a certificate of this mesh. The chain was checked by OpenSSL and is checked again against the
// roots of now; the leaf must be an X.509-SVID of a workload (SPIFFE X509-SVID sections 3 to 5): exactly one URI, which
// is a workload's id of our trust domain or an alias, no authority, and no key that may sign certificates.
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { alternativeNamesOf } from '../../tls/alternative-names.ts';
import { readSpiffeId } from '../../tls/spiffe-id.ts';
import { svidFault } from '../../tls/svid.ts';
import type { VerifiedPeer } from '../verified-peer.ts';
import type { Authenticated, Authenticator } from './authentication.ts';
import type { Caller, PresentedCertificate } from './caller.ts';
import { pathFault, rootsOf } from './certificate-path.ts';
import { refusal, type Refusal } from './refusal.ts';

export interface ClientCertificateOptions {
  readonly clock: Clock;
  /** The roots that are trusted now, in PEM. */
  readonly trustBundlePem: () => string;
  /** Ours and its aliases, as they are now. */
  readonly trustDomains: () => ReadonlySet<string>;
}

/** id-kp-clientAuth (RFC 5280 section 4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export class ClientCertificate implements Authenticator {
  readonly name = 'certificate';
  readonly #options: ClientCertificateOptions;
  #bundle = '';
  #roots: readonly X509Certificate[] = [];

  constructor(options: ClientCertificateOptions) {
    this.#options = options;
  }

  authenticate({ certificate }: Caller): Promise<Authenticated> {
    return Promise.resolve(certificate === null ? { kind: 'absent' } : this.judge(certificate));
  }

  /** Judges a certificate as it is trusted now; a stream that was let in by it asks again. */
  judge(presented: PresentedCertificate): { readonly kind: 'verified'; readonly peer: VerifiedPeer } | Refusal {
    const { leaf, others, chainError } = presented;
    if (chainError === 'CERT_HAS_EXPIRED') return refusal('certificate_expired', chainError);
    if (chainError !== '') return refusal('certificate_untrusted', chainError);
    const fault = pathFault(leaf, others, this.#rootsNow(), this.#options.clock.wall());
    if (fault === 'expired') return refusal('certificate_expired', 'the certificate, or one above it, has expired');
    if (fault === 'untrusted') return refusal('certificate_untrusted', 'the certificate leads to no trusted root');
    const unfit = svidFault(leaf, true);
    if (unfit?.kind === 'names') return refusal('certificate_identity', unfit.details);
    if (unfit !== null) return refusal('certificate_unfit', unfit.details);
    const purposes: readonly string[] | undefined = leaf.keyUsage;
    if (purposes !== undefined && !purposes.includes(CLIENT_AUTH))
      return refusal('certificate_unfit', 'the certificate is not for clients');
    const id = readSpiffeId(alternativeNamesOf(leaf).uri[0] ?? '');
    if (id === null) return refusal('certificate_identity', "the certificate's URI is not the id of a workload");
    if (!this.#options.trustDomains().has(id.trustDomain))
      return refusal('trust_domain', `the certificate is of the trust domain ${id.trustDomain}`);
    const untilMs = Math.min(...[leaf, ...others].map(({ validToDate }) => validToDate.getTime()));
    return { kind: 'verified', peer: { id, by: 'certificate', untilMs, pod: '' } };
  }

  #rootsNow(): readonly X509Certificate[] {
    const bundle = this.#options.trustBundlePem();
    if (bundle !== this.#bundle) {
      this.#roots = rootsOf(bundle);
      this.#bundle = bundle;
    }
    return this.#roots;
  }
}
