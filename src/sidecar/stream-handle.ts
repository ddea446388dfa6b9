// The stream handles of Node below net.Socket: what of them we use, and the check at start that they are
// there in the shape we know. They are no public interface, so everything that touches them is here and in
// handle-wire.ts; with another Node, or OUTRIGGER_WIRE=socket, `internals` is null and SocketWire over
// net.Socket does the same (docs/adr/008).

/** Negative results are errors of libuv. */
export interface StreamHandle {
  /** Called with the count of bytes, or an error, in `internals.state`; a buffer returned takes the next read. */
  onread: (this: StreamHandle) => Buffer | undefined;
  /** Our own: who the bytes are for. */
  wire: HandleReader | null;
  readonly fd: number;
  /** Bytes that the kernel has not taken yet. */
  readonly writeQueueSize: number;
  useUserBuffer(bytes: Buffer): void;
  readStart(): number;
  readStop(): number;
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  /** Chunks and encodings in turn; a Buffer's encoding is not looked at. */
  writev(request: WriteRequest, chunks: readonly (string | Buffer)[], areAllBuffers: boolean): number;
  shutdown(request: ShutdownRequest): number;
  close(done?: (this: StreamHandle) => void): void;
}

/** What a handle tells its wire. */
export interface HandleReader {
  received(count: number): Buffer | undefined;
  closed(): void;
}

export interface TcpHandle extends StreamHandle {
  setNoDelay(isOn: boolean): number;
  bind(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  getpeername(out: AddressOut): number;
  getsockname(out: AddressOut): number;
  reset(done?: (this: StreamHandle) => void): number;
}

export interface AddressOut {
  address?: string;
  port?: number;
}

export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Our own: who waits, for how many bytes, and what must live until then. */
  wire: WriteWaiter | null;
  size: number;
  held: unknown;
}

export interface WriteWaiter {
  written(size: number, status: number): void;
}

export interface ShutdownRequest {
  oncomplete: (this: ShutdownRequest, status: number) => void;
  /** Our own. */
  wire: EndWaiter | null;
}

export interface EndWaiter {
  endSent(): void;
}

export interface ConnectRequest {
  oncomplete: (status: number) => void;
}

export interface Internals {
  readonly TcpHandle: new (type: number) => TcpHandle;
  readonly WriteRequest: new () => WriteRequest;
  readonly ShutdownRequest: new () => ShutdownRequest;
  readonly ConnectRequest: new () => ConnectRequest;
  /** Shared by all handles: where a call leaves its second result. */
  readonly state: Int32Array;
  /** Index in `state`: bytes read, or the error. */
  readonly countAt: number;
  /** Index in `state`: 1 when the write was not done at once, so that its request is in use. */
  readonly isAsyncAt: number;
  /** The type of a client's TCP handle. */
  readonly tcpSocket: number;
}

const STREAM_METHODS = [
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'writev',
  'shutdown',
  'close',
] as const;
const TCP_METHODS = [
  ...STREAM_METHODS,
  'connect',
  'connect6',
  'getpeername',
  'getsockname',
  'setNoDelay',
  'reset',
] as const;

/** Null where Node has them in another shape, or by OUTRIGGER_WIRE=socket. */
export const internals: Internals | null = process.env['OUTRIGGER_WIRE'] === 'socket' ? null : find();

/** The handle of a socket or of a server; null when it has none or one of a shape that we do not know. */
export function handleOf(owner: object): StreamHandle | null {
  const handle: unknown = Reflect.get(owner, '_handle');
  return isStreamHandle(handle) ? handle : null;
}

/** Bytes of a socket that stand in the queue of its lowest handle: a TLS handle writes to another. */
export function queuedBelow(owner: object): number {
  const handle: unknown = Reflect.get(owner, '_handle');
  if (typeof handle !== 'object' || handle === null) return 0;
  const parent: unknown = Reflect.get(handle, '_parent');
  const size: unknown = Reflect.get(typeof parent === 'object' && parent !== null ? parent : handle, 'writeQueueSize');
  return typeof size === 'number' ? size : 0;
}

/** What the last handle was made of that was looked at whole: accepted ones are all alike. */
let lastKnown: unknown = null;

/** True for TCP, Unix and TLS handles. */
export function isStreamHandle(value: unknown): value is StreamHandle {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === lastKnown) return true;
  if (!hasMethods(value, STREAM_METHODS)) return false;
  lastKnown = prototype;
  return true;
}

export function isTcpHandle(value: unknown): value is TcpHandle {
  return hasMethods(value, TCP_METHODS);
}

function hasMethods(value: unknown, methods: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return methods.every((name) => typeof Reflect.get(value, name) === 'function');
}

function find(): Internals | null {
  const streams = bindingOf('stream_wrap');
  const tcp = bindingOf('tcp_wrap');
  const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = streams;
  const { TCP, TCPConnectWrap, constants } = tcp;
  const tcpSocket: unknown = typeof constants === 'object' && constants !== null && Reflect.get(constants, 'SOCKET');
  if (!makesWrites(WriteWrap) || !makesShutdowns(ShutdownWrap)) return null;
  if (!makesTcp(TCP) || !makesConnects(TCPConnectWrap)) return null;
  if (!(streamBaseState instanceof Int32Array) || typeof tcpSocket !== 'number') return null;
  if (typeof kReadBytesOrError !== 'number' || typeof kLastWriteWasAsync !== 'number') return null;
  return {
    TcpHandle: TCP,
    WriteRequest: WriteWrap,
    ShutdownRequest: ShutdownWrap,
    ConnectRequest: TCPConnectWrap,
    state: streamBaseState,
    countAt: kReadBytesOrError,
    isAsyncAt: kLastWriteWasAsync,
    tcpSocket,
  };
}

function bindingOf(name: string): Readonly<Record<string, unknown>> {
  try {
    const binding: unknown = Reflect.get(process, 'binding');
    const found: unknown = typeof binding === 'function' ? Reflect.apply(binding, process, [name]) : null;
    return typeof found === 'object' && found !== null ? { ...found } : {};
  } catch {
    // Another Node may not give it: then there is no such thing, and nothing else is wrong.
    return {};
  }
}

function makesWrites(value: unknown): value is new () => WriteRequest {
  return typeof value === 'function';
}

function makesShutdowns(value: unknown): value is new () => ShutdownRequest {
  return typeof value === 'function';
}

function makesConnects(value: unknown): value is new () => ConnectRequest {
  return typeof value === 'function';
}

function makesTcp(value: unknown): value is new (type: number) => TcpHandle {
  return typeof value === 'function' && hasMethods(value.prototype, TCP_METHODS);
}
