// Finds the root of a server by the hash of its public key: one TLS handshake in which nothing is trusted and nothing is
// sent, only to look at the chain that the server shows. What is found is then the root by which OpenSSL verifies the
// real connections; this one is closed whatever it brought.
import { createHash, X509Certificate } from 'node:crypto';
import { certificateOf } from '../tls/certificate.ts';
import { nodeTls } from '../tls/node-tls.ts';
import type { ControlAddress } from './discovery.ts';
import { isRoot } from './identity-answer.ts';

export type FoundRoot =
  | { readonly kind: 'found'; readonly pem: string }
  | { readonly kind: 'failed'; readonly reason: string };

const TIMEOUT_MS = 5000;
const CHAIN_LENGTH_MAX = 32;

/** `hashes`: lower-case hex of SHA-256 over the root's SubjectPublicKeyInfo; one of them must be there. */
export function findRoot({ host, port }: ControlAddress, hashes: ReadonlySet<string>): Promise<FoundRoot> {
  return new Promise((resolve) => {
    const socket = nodeTls().connect({
      host,
      port,
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
      timeout: TIMEOUT_MS,
    });
    const settle = (found: FoundRoot): void => {
      socket.destroy();
      resolve(found);
    };
    socket.on('error', (cause) => settle({ kind: 'failed', reason: cause.message }));
    socket.once('timeout', () => settle({ kind: 'failed', reason: 'connect timeout' }));
    socket.once('close', () => settle({ kind: 'failed', reason: 'closed by the other side' }));
    socket.once('secureConnect', () => settle(rootIn(chainOf(socket.getPeerCertificate(true)), hashes)));
  });
}

/** What a peer sent, the leaf first. */
interface Sent {
  readonly raw?: Buffer;
  readonly issuerCertificate?: Sent;
}

function chainOf(leaf: Sent): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (let next: Sent | undefined = leaf; next?.raw !== undefined; next = next.issuerCertificate) {
    const { raw } = next;
    if (chain.length === CHAIN_LENGTH_MAX || chain.some((known) => known.equals(raw))) break;
    chain.push(raw);
  }
  return chain;
}

function rootIn(chain: readonly Buffer[], hashes: ReadonlySet<string>): FoundRoot {
  for (const raw of chain) {
    const certificate = certificateOf(new X509Certificate(raw));
    if (hashes.has(rootHashOf(certificate.x509)) && isRoot(certificate)) return { kind: 'found', pem: certificate.pem };
  }
  return { kind: 'failed', reason: 'the server shows no root with the hash that was given' };
}

/** SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
export function rootHashOf({ publicKey }: X509Certificate): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}
