// What the control service shows sidecars of other machines when it asks for their pages: a certificate of its own authority
// under an id that no workload gets (tls/control-id.ts), and never kept on a disk. It lives an hour and is
// made anew after half of it, or when something else signs. Of a sidecar it takes the very id that its stream has proved.
import './ca/reflect-metadata.ts';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { PublicKey } from '@peculiar/x509';
import { Agent } from 'node:https';
import type { Clock } from '../base/clock.ts';
import { alternativeNamesOf } from '../tls/alternative-names.ts';
import { controlId } from '../tls/control-id.ts';
import { svidFault } from '../tls/svid.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import { webKeyOf } from './ca/signing-key.ts';
import { issue, issuerOf } from './ca/workload-certificate.ts';

export interface PagesAccessOptions {
  readonly authority: CertificateAuthority;
  readonly trustDomain: () => string;
  readonly clock: Clock;
}

interface Shown {
  readonly chainPem: string;
  readonly keyPem: string;
  readonly trustDomain: string;
  /** Fingerprint of what signed it. */
  readonly signer: string;
  readonly renewAtMs: number;
}

const LIFETIME_MS = 60 * 60 * 1000;
const BACKDATED_MS = 2 * 60 * 1000;

export class PagesAccess {
  readonly #options: PagesAccessOptions;
  #shown: Shown | null = null;

  constructor(options: PagesAccessOptions) {
    this.#options = options;
  }

  /** For one request to the sidecar with this SPIFFE id. Rejects when nothing can be signed. */
  async agentFor(account: string): Promise<Agent> {
    const { authority } = this.#options;
    const { chainPem, keyPem } = await this.#certificate();
    return new Agent({
      cert: chainPem,
      key: keyPem,
      ca: authority.trustBundlePem.join(''),
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      // A resumed session would not be looked at.
      maxCachedSessions: 0,
      checkServerIdentity: (_host, { raw }) => faultOf(new X509Certificate(raw), account),
    });
  }

  async #certificate(): Promise<Shown> {
    const { authority, trustDomain, clock } = this.#options;
    const { signer, key, algorithm, intermediates, notAfterMs: authorityEndsMs } = authority.material;
    const [domain, nowMs] = [trustDomain(), clock.wall()];
    const before = this.#shown;
    const isOurs = before?.trustDomain === domain && before.signer === signer.fingerprint256;
    if (before !== null && isOurs && nowMs < before.renewAtMs) return before;
    const issuer = await issuerOf(signer.pem, webKeyOf(key, algorithm), algorithm);
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const notAfterMs = Math.min(nowMs + LIFETIME_MS, authorityEndsMs);
    const leaf = await issue(issuer, {
      id: controlId(domain),
      publicKey: new PublicKey(own.publicKey.export({ type: 'spki', format: 'der' })),
      isRsa: false,
      notBeforeMs: nowMs - BACKDATED_MS,
      notAfterMs,
    });
    this.#shown = {
      chainPem: [leaf, ...intermediates.map(({ pem }) => pem)].join(''),
      keyPem: own.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      trustDomain: domain,
      signer: signer.fingerprint256,
      renewAtMs: nowMs + (notAfterMs - nowMs) / 2,
    };
    return this.#shown;
  }
}

function faultOf(leaf: X509Certificate, account: string): Error | undefined {
  const fault = svidFault(leaf, true);
  if (fault !== null) return new Error(fault.details);
  const [uri] = alternativeNamesOf(leaf).uri;
  return uri === account ? undefined : new Error(`${uri ?? 'nobody'} answers where ${account} should`);
}
