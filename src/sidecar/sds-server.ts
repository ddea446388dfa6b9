// SDS for others on this machine: a gRPC server on a Unix socket that only its owner (or group) may open, which serves the
// workload's certificate, its key and the roots of the mesh, state of the world and delta, and pushes every rotation. Only
// what was named is sent; a name that is not there is waited for, as Envoy expects.
import { chmodSync } from 'node:fs';
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { fromBinary } from '@bufbuild/protobuf';
import type { Log } from '../base/log.ts';
import { encodeDeltaResponse, encodeResponse } from '../xds/envelope.ts';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { SecretSchema, type Secret } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { encodeResource, resourceView, type EncodedResource, type ResourceView } from '../xds/resource.ts';
import { ServerStream } from '../xds/server-stream.ts';
import { SECRET_TYPE } from '../xds/type-url.ts';
import type { Variant } from '../xds/update.ts';
import { frame, FrameReader } from './grpc-frame.ts';
import { UNIMPLEMENTED } from './grpc-status.ts';
import { IDENTITY, type SecretStore } from './secrets.ts';
import { kernelPath, removeLeftover } from './unix-path.ts';

export interface SdsServerOptions {
  readonly log: Log;
  /** Of the socket: 0o600 or 0o660. */
  readonly mode: number;
}

const SERVICE = '/envoy.service.secret.v3.SecretDiscoveryService';
const VARIANTS: ReadonlyMap<string, Variant> = new Map([
  [`${SERVICE}/StreamSecrets`, 'sotw'],
  [`${SERVICE}/DeltaSecrets`, 'delta'],
]);
const REQUEST_BYTES_MAX = 1024 * 1024;
const STREAMS_MAX = 100;
/** RFC 9113 section 7. */
const REFUSED_STREAM = 7;
const PROTOCOL_ERROR = 1;

export class SdsServer {
  readonly #options: SdsServerOptions;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #streams = new Set<SecretStream>();
  readonly #secrets = new Map<string, EncodedResource>();
  #view: ResourceView = resourceView([]);

  constructor(options: SdsServerOptions) {
    this.#options = options;
    this.#server = process.getBuiltinModule('node:http2').createServer();
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      // A client that goes away is its own affair.
      session.on('error', () => {});
    });
    this.#server.on('stream', (stream: ServerHttp2Stream, headers) => this.#accept(stream, headers[':path'] ?? ''));
  }

  /** Rejects when the path cannot be had. */
  async listen(path: string): Promise<void> {
    await removeLeftover(path);
    const { mode, log } = this.#options;
    // Nobody may open it in the moment before its mode is set.
    const umask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ path: kernelPath(path) }, resolve);
      });
    } finally {
      process.umask(umask);
    }
    if (!path.startsWith('@')) chmodSync(path, mode);
    log.info('secrets are served', { path });
  }

  /** A new version of one secret goes to everybody who asked for it. */
  put(secret: Secret): void {
    this.#secrets.set(secret.name, encodeResource(SecretSchema, secret.name, secret));
    this.#view = resourceView(this.#secrets.values());
    for (const stream of this.#streams) stream.show(this.#view);
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }

  #accept(stream: ServerHttp2Stream, path: string): void {
    stream.on('error', () => {});
    const variant = VARIANTS.get(path);
    if (variant === undefined) {
      const status = { 'grpc-status': String(UNIMPLEMENTED), 'grpc-message': 'only StreamSecrets and DeltaSecrets' };
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true });
      return;
    }
    if (this.#streams.size >= STREAMS_MAX) {
      stream.close(REFUSED_STREAM);
      return;
    }
    const { log } = this.#options;
    const served = new SecretStream(stream, variant, log, `${this.#streams.size}-`);
    this.#streams.add(served);
    stream.on('close', () => this.#streams.delete(served));
    served.show(this.#view);
  }
}

/** Serves the identity that a process has, from now on. One that has expired stays as it was: who checks it refuses it. */
export function serveIdentity({ provided }: SecretStore, server: SdsServer): void {
  provided.follow(({ source, secret }) => {
    if (source === IDENTITY && secret !== null) server.put(secret);
  });
}

class SecretStream {
  readonly #stream: ServerHttp2Stream;
  readonly #variant: Variant;
  readonly #log: Log;
  readonly #state: ServerStream;

  constructor(stream: ServerHttp2Stream, variant: Variant, log: Log, noncePrefix: string) {
    this.#stream = stream;
    this.#variant = variant;
    this.#log = log;
    this.#state = new ServerStream(noncePrefix);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    const reader = new FrameReader(REQUEST_BYTES_MAX, (message) => this.#hear(message));
    stream.on('data', (chunk: Buffer) => {
      if (reader.push(chunk) !== null) stream.close(PROTOCOL_ERROR);
    });
    stream.on('end', () => stream.end());
  }

  show(view: ResourceView): void {
    this.#state.setView(view);
    this.#send();
  }

  #hear(message: Uint8Array): void {
    try {
      const heard = this.#variant === 'delta' ? this.#hearDelta(message) : this.#hearWhole(message);
      if (heard.kind === 'nacked') this.#log.warning('a secret was refused', { error: heard.error });
    } catch {
      // Bytes of another protocol.
      this.#stream.close(PROTOCOL_ERROR);
      return;
    }
    this.#send();
  }

  /** There is one type here, whether it is named or not. */
  #hearDelta(message: Uint8Array): ReturnType<ServerStream['hearDelta']> {
    return this.#state.hearDelta({ ...fromBinary(DeltaDiscoveryRequestSchema, message), typeUrl: SECRET_TYPE });
  }

  #hearWhole(message: Uint8Array): ReturnType<ServerStream['hearSotw']> {
    return this.#state.hearSotw({ ...fromBinary(DiscoveryRequestSchema, message), typeUrl: SECRET_TYPE });
  }

  #send(): void {
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    const encode = this.#variant === 'delta' ? encodeDeltaResponse : encodeResponse;
    for (let next = this.#state.next(); next !== null; next = this.#state.next()) {
      this.#stream.write(frame(encode(next, 'outrigger')));
    }
  }
}
