// The port of the webhooks: reviews over HTTPS under a certificate of our own authority, made anew after half of its life.
// Bounded: the size of a review, the time for it, and how many connections there are. A handler that fails costs its own
// review, which is answered with 500: the configuration says what the API server makes of that.
import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import {
  readAdmissionReview,
  REVIEW_BYTES_MAX,
  writeAdmissionReview,
  type AdmissionRequest,
  type AdmissionVerdict,
} from '../../kube/admission-review.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { makeNamedCertificate } from '../server-names.ts';

export type ReviewHandler = (request: AdmissionRequest) => AdmissionVerdict;

export interface WebhookServerOptions {
  readonly authority: CertificateAuthority;
  /** `host:port`; port 0 picks one. */
  readonly address: string;
  /** Under which API servers call: `outrigger-control.outrigger-system.svc`. */
  readonly names: readonly string[];
  /** By path. */
  readonly handlers: ReadonlyMap<string, ReviewHandler>;
  readonly log: Log;
  readonly clock: Clock;
}

const CONNECTIONS_MAX = 1024;
const REQUEST_MS = 10_000;
const LOOK_MS = 30_000;

export class WebhookServer {
  readonly #options: WebhookServerOptions;
  readonly #server: Server;
  #renewAtMs = 0;
  #signer = '';
  #look: NodeJS.Timeout | null = null;
  #unlisten: () => void = () => {};
  readonly counts = { reviews: 0, refused: 0, failed: 0 };

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
      this.#take(request, response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('tlsClientError', (cause: Error) => {
      options.log.debug('a TLS handshake of a webhook failed', { cause: cause.message });
    });
  }

  /** Resolves with the bound address; rejects when it is taken, or no certificate can be made. */
  async start(): Promise<string> {
    const { address, authority } = this.#options;
    await this.#renew();
    const again = (): void => void this.#renewIfDue();
    this.#unlisten = authority.onRootsChanged(again);
    this.#look = setInterval(again, LOOK_MS).unref();
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon);
    return await new Promise((resolve, reject) => {
      this.#server.once('error', (cause) => reject(new Error(`webhooks: cannot listen on ${address}`, { cause })));
      this.#server.listen(Number(address.slice(colon + 1)), host.replaceAll(/[[\]]/g, ''), () => {
        const bound = this.#server.address();
        resolve(`${host}:${bound !== null && typeof bound === 'object' ? bound.port : 0}`);
      });
    });
  }

  async stop(): Promise<void> {
    this.#unlisten();
    if (this.#look !== null) clearInterval(this.#look);
    this.#server.closeIdleConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      setTimeout(() => this.#server.closeAllConnections(), 500).unref();
    });
  }

  async #renewIfDue(): Promise<void> {
    const { authority, clock, log } = this.#options;
    if (clock.wall() < this.#renewAtMs && this.#signer === authority.material.signer.fingerprint256) return;
    await this.#renew().catch((cause: unknown) => {
      log.error('the certificate of the webhooks cannot be renewed', { cause: String(cause) });
    });
  }

  async #renew(): Promise<void> {
    const { authority, names, clock } = this.#options;
    const { certificate } = await makeNamedCertificate(authority.material, names, clock.wall());
    this.#server.setSecureContext({ cert: certificate.chainPem, key: certificate.keyPem, minVersion: 'TLSv1.2' });
    this.#renewAtMs = certificate.renewAtMs;
    this.#signer = certificate.signer;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const handler = this.#options.handlers.get((request.url ?? '').split('?')[0] ?? '');
    if (handler === undefined || request.method !== 'POST') {
      response.writeHead(handler === undefined ? 404 : 405).end();
      return;
    }
    const pieces: Buffer[] = [];
    let bytes = 0;
    request.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= REVIEW_BYTES_MAX) pieces.push(piece);
    });
    request.on('error', () => response.destroy());
    request.on('end', () => {
      const body = bytes > REVIEW_BYTES_MAX ? Buffer.alloc(REVIEW_BYTES_MAX + 1) : Buffer.concat(pieces);
      this.#answer(body, request.headers['content-type'] ?? '', { handler, response });
    });
  }

  #answer(
    body: Buffer,
    contentType: string,
    { handler, response }: { readonly handler: ReviewHandler; readonly response: ServerResponse },
  ): void {
    const read = readAdmissionReview(body, contentType);
    if (read.kind === 'refused') {
      this.counts.refused += 1;
      response.writeHead(read.status, { 'content-type': 'text/plain' }).end(read.message);
      return;
    }
    this.counts.reviews += 1;
    try {
      const verdict = handler(read.request);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(writeAdmissionReview(read.request.uid, verdict));
    } catch (cause) {
      this.counts.failed += 1;
      this.#options.log.error('a review failed', {
        kind: read.request.kind.name,
        cause: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
      });
      response.writeHead(500, { 'content-type': 'text/plain' }).end('the review failed');
    }
  }
}
