// Whether peers will take what a signer makes. Readers of files cannot tell: name constraints (RFC 5280 section 4.2.1.10),
// lengths of paths, purposes and weak algorithms of any certificate on the way decide, and each may stand in one of them.
// So a certificate is made and shown to OpenSSL in a handshake within this process, at both ends, as peers will do it.
// Dates are left to those who have our clock.
import './reflect-metadata.ts';
import { generateKeyPairSync } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { PublicKey } from '@peculiar/x509';
import { spiffeId } from '../../tls/spiffe-id.ts';
import { verifyFaultOf } from '../../tls/verify-error.ts';
import { issue, type Issuer } from './workload-certificate.ts';

export interface ShownCertificate {
  /** PEM: the certificate, and what leads to a root. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: readonly string[];
  /** It is for clients as well. */
  readonly isForBoth: boolean;
}

const TIMEOUT_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const DATES: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

/** What peers will find wrong with certificates of workloads of the trust domain; empty: nothing. Rejects when none can be made. */
export async function workloadFault(
  issuer: Issuer,
  above: { readonly intermediatesPem: readonly string[]; readonly rootsPem: readonly string[] },
  trustDomain: string,
): Promise<string> {
  const id = spiffeId({ trustDomain, namespace: 'default', serviceAccount: 'default' });
  if (id === null) return `"${trustDomain}" is no trust domain`;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const nowMs = Date.now();
  const leaf = await issue(issuer, {
    id,
    publicKey: new PublicKey(publicKey.export({ type: 'spki', format: 'der' })),
    isRsa: false,
    notBeforeMs: nowMs - DAY_MS,
    notAfterMs: nowMs + DAY_MS,
  });
  return await peerFault({
    chainPem: [leaf, ...above.intermediatesPem].join(''),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    rootsPem: above.rootsPem,
    isForBoth: true,
  });
}

/** What a peer that trusts the roots finds wrong with the certificate; empty: nothing. Never rejects. */
export async function peerFault({ chainPem, keyPem, rootsPem, isForBoth }: ShownCertificate): Promise<string> {
  const [near, far] = duplexPair();
  const shown = { cert: chainPem, key: keyPem };
  const shared = { ca: [...rootsPem], allowPartialTrustChain: true };
  try {
    return await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve('no handshake came about'), TIMEOUT_MS);
      const done = (fault: string): void => {
        clearTimeout(timer);
        resolve(fault);
      };
      const server = new TLSSocket(far, {
        isServer: true,
        secureContext: createSecureContext({ ...shown, ...shared }),
        requestCert: isForBoth,
        rejectUnauthorized: false,
      });
      const client = connect({
        socket: near,
        secureContext: createSecureContext({ ...(isForBoth ? shown : {}), ...shared }),
        rejectUnauthorized: false,
        // Whether the name is the right one is not the question.
        checkServerIdentity: () => undefined,
      });
      let serverFault: string | null = null;
      const onError = (cause: Error): void => done(cause.message);
      client.on('error', onError);
      server.on('error', onError);
      client.on('secureConnect', () => {
        serverFault = faultOf(client);
        if (serverFault !== '' || !isForBoth) done(serverFault);
      });
      // With TLS 1.3 the client's certificate comes after the server's was judged.
      server.on('secure', () => {
        if (isForBoth)
          setImmediate(() => done(serverFault === '' || serverFault === null ? faultOf(server) : serverFault));
      });
    });
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  } finally {
    near.destroy();
    far.destroy();
  }
}

function faultOf(socket: TLSSocket): string {
  const { code, words } = verifyFaultOf(socket);
  return DATES.has(code) ? '' : words || code;
}
