// A certificate authority service as a real server (gRPC by hand on node:http2, TLS), for one workload: it knows one
// token and its own certificates, signs what is asked for with the life that the test sets, can be stopped and comes back
// on the same port, and notes who asked how.
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { TLSSocket } from 'node:tls';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { frame, FrameReader } from '../../src/sidecar/grpc-frame.ts';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from '../../src/xds/gen/istio/v1/auth/ca_pb.js';
import { publicKeyOf, type TestAuthority } from './test-authority.ts';

const UNAUTHENTICATED = 16;

export interface CaServerOptions {
  readonly authority: TestAuthority;
  readonly uri?: string;
  readonly lifeMs?: number;
  /** Names of its own certificate. */
  readonly dns?: readonly string[];
  readonly addresses?: readonly string[];
}

export type Proof = 'token' | 'certificate' | 'nothing';

export class CaServer {
  token = 'token-of-the-test';
  /** Signs from now on. */
  authority: TestAuthority;
  /** PEM of everything trusted; the last element of each answer. */
  roots: string;
  uri: string;
  lifeMs: number;
  /** Changes an answer before it goes out. */
  edit: (chain: string[]) => string[] = (chain) => chain;
  /** How each caller proved itself, in order. */
  readonly asked: Proof[] = [];
  port = 0;
  readonly #names: Pick<CaServerOptions, 'dns' | 'addresses'>;
  readonly #sessions = new Set<ServerHttp2Session>();
  #server: Http2SecureServer | null = null;

  private constructor(options: CaServerOptions) {
    const { authority, uri = 'spiffe://cluster.local/ns/shop/sa/cart', lifeMs = 3_600_000 } = options;
    this.authority = authority;
    this.roots = authority.pem;
    this.uri = uri;
    this.lifeMs = lifeMs;
    this.#names = { dns: options.dns ?? ['localhost'], addresses: options.addresses ?? ['127.0.0.1'] };
  }

  static async open(options: CaServerOptions): Promise<CaServer> {
    const server = new CaServer(options);
    await server.start();
    return server;
  }

  /** On the port that it had before, if it had one. */
  async start(): Promise<void> {
    const { cert, key } = this.authority.issue({ ...this.#names, name: 'control' });
    const server = createSecureServer({
      cert: `${cert}${this.roots}`,
      key,
      ca: this.roots,
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      session.on('error', () => {});
    });
    server.on('stream', (stream: ServerHttp2Stream, headers) => this.#serve(stream, headers['authorization'] ?? ''));
    await new Promise<void>((resolve) => {
      server.listen(this.port, '127.0.0.1', resolve);
    });
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    this.#server = server;
  }

  stop(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server?.close();
    this.#server = null;
  }

  #serve(stream: ServerHttp2Stream, authorization: string): void {
    const socket = stream.session?.socket;
    const hasCertificate = socket instanceof TLSSocket && socket.authorized;
    const isTokenGood = authorization === `Bearer ${this.token}`;
    const proof = isTokenGood ? 'token' : hasCertificate ? 'certificate' : 'nothing';
    const reader = new FrameReader(1_000_000, (message) => {
      this.asked.push(proof);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      const isKnown = proof !== 'nothing';
      stream.on('wantTrailers', () => {
        stream.sendTrailers({
          'grpc-status': isKnown ? '0' : String(UNAUTHENTICATED),
          'grpc-message': isKnown ? '' : 'no',
        });
      });
      stream.end(isKnown ? frame(this.#answer(message)) : undefined);
    });
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => reader.push(chunk));
  }

  #answer(request: Uint8Array): Uint8Array {
    const { csr } = fromBinary(IstioCertificateRequestSchema, request);
    const notAfterMs = Date.now() + this.lifeMs;
    const leaf = this.authority.sign({ publicKey: publicKeyOf(csr), uris: [this.uri], notAfterMs });
    const certChain = this.edit([leaf, this.roots]);
    return toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain }));
  }
}
