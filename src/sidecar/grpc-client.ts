// A small gRPC client on node:http2: one connection, any number of bidirectional streams and unary calls
// on it. Everything that goes wrong ends as a GrpcStatus, exactly once per call; nothing is thrown and no
// error event is left without a listener. No compression, no retries, no balancing: its users are ADS
// and the CA, and they know better what to do.
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

import type { ByteBudget } from '../base/byte-chunks.ts';
import { frame, FrameReader, type FrameFault } from './grpc-frame.ts';
import {
  CANCELLED,
  DEADLINE_EXCEEDED,
  headersFault,
  INTERNAL,
  OK,
  RESOURCE_EXHAUSTED,
  statusFrom,
  UNAVAILABLE,
  UNIMPLEMENTED,
  type GrpcStatus,
} from './grpc-status.ts';
import { kernelPath } from './unix-path.ts';

export interface GrpcConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** A Unix socket, which then counts instead of host and port. */
  readonly socketPath?: string;
  /** Null or absent is plaintext. */
  readonly tls?: ConnectionOptions | null;
  /** A connection that is made already, secure where `tls` is not null; host and port then only name it. */
  readonly socket?: Socket;
  /** Until the other side has sent its HTTP/2 settings; 5 s by default. */
  readonly connectMsMax?: number;
  /** A ping goes out this often, and must be answered in time; 30 s and 10 s by default. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Of one received message; 16 MiB by default. */
  readonly messageBytesMax?: number;
  /** What messages that are not whole yet may take, of all streams and of whoever else shares it; by default no bound but the one above. */
  readonly budget?: ByteBudget;
  /** The other side speaks HTTP/2. */
  readonly onReady?: () => void;
  /** The other side asks to go elsewhere (GOAWAY); open streams go on for now. */
  readonly onGoaway?: () => void;
  /** Called once, after every stream has ended. */
  readonly onClosed?: (reason: string) => void;
}

export interface GrpcHandlers {
  readonly onMessage: (message: Uint8Array) => void;
  /** Called once. */
  readonly onEnd: (status: GrpcStatus) => void;
}

export interface GrpcStream {
  /** False when the stream has ended. Never blocks: what the other side does not read yet is kept. */
  write(message: Uint8Array): boolean;
  /** No more messages from this side. */
  end(): void;
  cancel(): void;
}

export type GrpcMetadata = Readonly<Record<string, string>>;
export type UnaryResult =
  | { readonly kind: 'ok'; readonly message: Uint8Array }
  | { readonly kind: 'failed'; readonly status: GrpcStatus };

const WINDOW_BYTES = 1024 * 1024;
/** RFC 9113 section 7. */
const NO_ERROR = 0;
const CANCEL = 8;

export class GrpcConnection {
  readonly #options: GrpcConnectionOptions;
  readonly #session: ClientHttp2Session;
  readonly #connectTimer: NodeJS.Timeout;
  #keepaliveTimer: NodeJS.Timeout | null = null;
  #pongTimer: NodeJS.Timeout | null = null;
  #reason = 'closed by the other side';
  #isClosed = false;

  constructor(options: GrpcConnectionOptions) {
    this.#options = options;
    const { host, port, socketPath, tls = null, connectMsMax = 5000, socket } = options;
    const authority = `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    // Loaded when it is needed: a sidecar from a file alone starts 40 ms sooner without it.
    this.#session = process.getBuiltinModule('node:http2').connect(authority, {
      ...tls,
      ...(socket === undefined ? {} : { createConnection: () => socket }),
      ...(socketPath === undefined ? {} : { createConnection: () => connect({ path: kernelPath(socketPath) }) }),
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
    });
    // One that may be half open would be kept after the other side is gone.
    if (socket !== undefined) socket.once('end', () => socket.end());
    this.#connectTimer = setTimeout(() => this.#fail('connect timeout'), connectMsMax);
    this.#session.on('connect', () => {
      if (!this.#session.destroyed) this.#session.setLocalWindowSize(WINDOW_BYTES);
    });
    this.#session.once('remoteSettings', () => this.#ready());
    this.#session.on('error', (cause: Error) => this.#fail(cause.message));
    this.#session.on('frameError', (_type, code) => this.#fail(`frame error ${code}`));
    this.#session.on('goaway', () => options.onGoaway?.());
    this.#session.on('close', () => this.#closed());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Opens a bidirectional stream on `path`, for example `/package.Service/Method`. It has no deadline. */
  stream(path: string, metadata: GrpcMetadata, handlers: GrpcHandlers): GrpcStream {
    if (this.#session.closed || this.#session.destroyed) return endedStream(handlers, this.#reason);
    const request = this.#session.request(
      {
        ...metadata,
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-accept-encoding': 'identity',
      },
      { endStream: false },
    );
    const { messageBytesMax = 16 * 1024 * 1024, budget = null } = this.#options;
    return new Call(request, { messageBytesMax, budget }, handlers);
  }

  /** One message there, one back, within `deadlineMs`. Never rejects. */
  unary(path: string, metadata: GrpcMetadata, message: Uint8Array, deadlineMs: number): Promise<UnaryResult> {
    return new Promise((resolve) => {
      let reply: Uint8Array | null = null;
      const deadline = { 'grpc-timeout': `${Math.max(1, Math.ceil(deadlineMs))}m` };
      const stream = this.stream(
        path,
        { ...metadata, ...deadline },
        {
          onMessage: (bytes) => (reply ??= bytes),
          onEnd: (status) => {
            clearTimeout(timer);
            if (status.code !== OK) resolve({ kind: 'failed', status });
            else if (reply === null) resolve({ kind: 'failed', status: { code: INTERNAL, message: 'no message' } });
            else resolve({ kind: 'ok', message: reply });
          },
        },
      );
      const timer = setTimeout(() => {
        resolve({ kind: 'failed', status: { code: DEADLINE_EXCEEDED, message: 'deadline exceeded' } });
        stream.cancel();
      }, deadlineMs);
      stream.write(message);
      stream.end();
    });
  }

  /** Asks at once whether the other side is still there; it has `answerMsMax` to say so. */
  probe(answerMsMax: number): void {
    if (!this.#isClosed) this.#ping(answerMsMax);
  }

  /** Ends every stream and the connection. Safe to call twice. */
  close(): void {
    this.#fail('closed by us');
  }

  #ready(): void {
    clearTimeout(this.#connectTimer);
    if (this.#isClosed) return;
    const { keepaliveMs = 30_000, keepaliveTimeoutMs = 10_000 } = this.#options;
    this.#keepaliveTimer = setInterval(() => this.#ping(keepaliveTimeoutMs), keepaliveMs).unref();
    this.#options.onReady?.();
  }

  #ping(answerMsMax: number): void {
    if (this.#pongTimer !== null || this.#session.destroyed || this.#session.closed) return;
    this.#pongTimer = setTimeout(() => this.#fail('keepalive timeout'), answerMsMax);
    this.#pongTimer.unref();
    const isSent = this.#session.ping((_cause: Error | null) => this.#pong());
    if (!isSent) this.#pong();
  }

  #pong(): void {
    if (this.#pongTimer !== null) clearTimeout(this.#pongTimer);
    this.#pongTimer = null;
  }

  #fail(reason: string): void {
    if (this.#isClosed) return;
    // An error arrives when the session is destroyed already; its text is still the reason.
    this.#reason = reason;
    if (!this.#session.destroyed) this.#session.destroy(undefined, CANCEL);
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#connectTimer);
    if (this.#keepaliveTimer !== null) clearInterval(this.#keepaliveTimer);
    this.#pong();
    this.#options.onClosed?.(this.#reason);
  }
}

interface CallBounds {
  readonly messageBytesMax: number;
  readonly budget: ByteBudget | null;
}

class Call implements GrpcStream {
  readonly #request: ClientHttp2Stream;
  readonly #handlers: GrpcHandlers;
  readonly #reader: FrameReader;
  /** Said by the other side; counts once the stream is closed. */
  #status: GrpcStatus | null = null;
  #isEnded = false;
  readonly #budget: ByteBudget | null;
  /** Taken from the budget. */
  #held = 0;

  constructor(request: ClientHttp2Stream, { messageBytesMax, budget }: CallBounds, handlers: GrpcHandlers) {
    this.#request = request;
    this.#handlers = handlers;
    this.#budget = budget;
    this.#reader = new FrameReader(messageBytesMax, (message) => {
      // Whoever takes it may keep it, and counts it then.
      this.#hold(0);
      if (!this.#isEnded) handlers.onMessage(message);
    });
    request.on('response', (headers) => {
      this.#status = statusFrom(headers);
      const fault = this.#status === null ? headersFault(headers) : null;
      if (fault !== null) this.#abort(fault);
    });
    request.on('trailers', (headers) => (this.#status = statusFrom(headers) ?? this.#status));
    request.on('data', (chunk: Buffer) => this.#read(chunk));
    request.on('error', (cause: Error) => (this.#status ??= { code: UNAVAILABLE, message: cause.message }));
    request.on('end', () => this.end());
    request.on('close', () => this.#close());
  }

  write(message: Uint8Array): boolean {
    if (this.#isEnded || this.#request.destroyed || this.#request.writableEnded) return false;
    this.#request.write(frame(message));
    return true;
  }

  end(): void {
    if (!this.#request.destroyed && !this.#request.writableEnded) this.#request.end();
  }

  cancel(): void {
    this.#abort({ code: CANCELLED, message: 'cancelled by us' });
  }

  #read(chunk: Buffer): void {
    if (this.#isEnded) return;
    const fault = this.#reader.push(chunk);
    if (fault !== null) this.#abort(frameStatus(fault));
    else if (!this.#isEnded && !this.#hold(this.#reader.buffered)) this.#abort(NO_ROOM);
  }

  #hold(bytes: number): boolean {
    const more = bytes - this.#held;
    if (this.#budget === null || more === 0) return true;
    if (more < 0) this.#budget.give(-more);
    else if (!this.#budget.take(more)) return false;
    this.#held = bytes;
    return true;
  }

  #abort(status: GrpcStatus): void {
    if (!this.#request.destroyed) this.#request.close(CANCEL);
    this.#finish(status);
  }

  #close(): void {
    const isReset = this.#request.rstCode !== NO_ERROR;
    const silent = isReset ? `reset with HTTP/2 code ${this.#request.rstCode}` : 'ended without a status';
    this.#finish(this.#status ?? { code: UNAVAILABLE, message: silent });
  }

  #finish(status: GrpcStatus): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#hold(0);
    const isCut = status.code === OK && !this.#reader.isAtBoundary;
    this.#handlers.onEnd(isCut ? { code: INTERNAL, message: 'ended inside a message' } : status);
  }
}

const NO_ROOM: GrpcStatus = { code: RESOURCE_EXHAUSTED, message: 'the messages under way are larger than the limit' };

function frameStatus(fault: FrameFault): GrpcStatus {
  return fault === 'compressed'
    ? { code: UNIMPLEMENTED, message: 'compressed messages are not supported' }
    : { code: RESOURCE_EXHAUSTED, message: 'the message is larger than the limit' };
}

function endedStream(handlers: GrpcHandlers, reason: string): GrpcStream {
  queueMicrotask(() => handlers.onEnd({ code: UNAVAILABLE, message: reason }));
  return { write: () => false, end: () => {}, cancel: () => {} };
}
