// The sidecar's ADS client. It keeps one stream to one of several control addresses, asks for what its
// owner subscribes to, hands every response to the owner, and answers with ACK or NACK. While nobody
// answers it keeps trying with jitter and forgets nothing: the owner's last good configuration stays.
// It throws nothing and never ends by itself. Warming and make-before-break inside are the owner's.
//
//   connecting ─► connected ─► (stream ends) ─► waiting ─► connecting to the next address ─► …   close() ends it
import { createBackoff, type Backoff } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { error } from '../base/problem.ts';
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { TypeUrl } from '../xds/type-url.ts';
import type { Refusal, Update, Variant } from '../xds/update.ts';
import type { Access, ControlAccess } from './control-access.ts';
import { adsWire, type AdsWire, type DiscoveryService } from './discovery-wire.ts';
import { GrpcConnection, type GrpcMetadata, type GrpcStream } from './grpc-client.ts';

export interface ControlAddress {
  readonly host: string;
  readonly port: number;
  /** A Unix socket, which then counts instead of host and port. */
  readonly socketPath?: string;
}

export type ConnectionState = 'connected' | 'disconnected';

export interface DiscoveryClientOptions {
  /** Tried in turn; at least one. */
  readonly control: readonly ControlAddress[];
  readonly node: Node;
  /** `delta` by default. */
  readonly variant?: Variant;
  /** Whose methods are called: all types on one stream by default, or SDS. */
  readonly service?: DiscoveryService;
  /** What is shown and trusted; by default the connection is plaintext. */
  readonly access?: ControlAccess;
  readonly log: Log;
  readonly clock: Clock;
  /** Called once per response. What is returned is NACKed by name; the rest counts as accepted. */
  readonly onUpdate: (update: Update) => readonly Refusal[];
  /** Connected means that the other side speaks HTTP/2; the first update follows. Called on every change. */
  readonly onState?: (state: ConnectionState) => void;
  /** A connection is there, on which other calls may be made too; `metadata` says who calls. */
  readonly onConnection?: (connection: GrpcConnection, metadata: GrpcMetadata) => void;
  /** A response that carries more is refused and ends the stream; 16 MiB by default. */
  readonly messageBytesMax?: number;
  /** Before a further attempt; 250 ms doubling to 1.5 s by default, each with jitter. The first is made at once. */
  readonly retryMsMin?: number;
  readonly retryMsMax?: number;
  /** 5 s by default. */
  readonly connectMsMax?: number;
  /** 30 s and 10 s by default. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
}

type Granted = Extract<Access, { kind: 'granted' }>;

export class DiscoveryClient {
  readonly #options: DiscoveryClientOptions;
  readonly #wire: AdsWire;
  readonly #backoff: Backoff;
  readonly #retryMsMax: number;
  #connection: GrpcConnection | null = null;
  #stream: GrpcStream | null = null;
  /** What the connection shows; null once the other side has taken it, and in plaintext. */
  #granted: Granted | null = null;
  #retryTimer: NodeJS.Timeout | null = null;
  #state: ConnectionState = 'disconnected';
  #attempts = 0;
  #connectedAtMs = 0;
  /** What `subscribe` asked for while the owner looked at an update: it follows the answer. */
  #deferred: Uint8Array[] | null = null;
  #isClosed = false;

  constructor(options: DiscoveryClientOptions) {
    this.#options = options;
    const { retryMsMin = 250, retryMsMax = 1500 } = options;
    this.#retryMsMax = retryMsMax;
    this.#backoff = createBackoff({ baseMs: retryMsMin, maxMs: retryMsMax });
    this.#wire = adsWire(options.variant ?? 'delta', options.node, options.service);
    // The owner subscribes first, so that everything travels in one go.
    queueMicrotask(() => void this.#connect());
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Replaces what is asked for of one type; the empty set unsubscribes. Equal sets send nothing. */
  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): void {
    const request = this.#wire.subscribe(typeUrl, names);
    if (request === null) return;
    if (this.#deferred === null) this.#stream?.write(request);
    else this.#deferred.push(request);
  }

  /** Ends the stream and every timer. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#drop();
  }

  async #connect(): Promise<void> {
    this.#retryTimer = null;
    const { control, access } = this.#options;
    const address = control[this.#attempts % control.length];
    if (this.#isClosed || address === undefined) return;
    this.#attempts++;
    if (access === undefined) {
      this.#dial(address, null);
      return;
    }
    const granted = await access.prepare();
    if (this.#isClosed) return;
    if (granted.kind === 'denied') this.#retry(granted.reason);
    else this.#dial(address, granted);
  }

  #dial(address: ControlAddress, granted: Granted | null): void {
    const { log } = this.#options;
    this.#granted = granted;
    const { connectMsMax = 5000, keepaliveMs = 30_000, keepaliveTimeoutMs = 10_000 } = this.#options;
    const connection = new GrpcConnection({
      ...address,
      tls: granted?.tls ?? null,
      connectMsMax,
      keepaliveMs,
      keepaliveTimeoutMs,
      messageBytesMax: this.#options.messageBytesMax ?? 16 * 1024 * 1024,
      onReady: () => {
        if (this.#connection === connection) this.#open(connection);
      },
      onGoaway: () => this.#lost(connection, 'asked to go elsewhere'),
      onClosed: (reason) => this.#lost(connection, reason),
    });
    this.#connection = connection;
    log.debug('connecting to control', { host: address.host, port: address.port });
  }

  #open(connection: GrpcConnection): void {
    this.#connectedAtMs = this.#options.clock.now();
    const stream = connection.stream(this.#wire.path, this.#granted?.metadata ?? {}, {
      onMessage: (message) => {
        if (this.#stream === stream) this.#receive(message);
      },
      onEnd: ({ code, message }) => this.#lost(connection, `stream ended with code ${code}: ${message}`),
    });
    this.#stream = stream;
    for (const request of this.#wire.open()) stream.write(request);
    this.#setState('connected');
    this.#options.onConnection?.(connection, this.#granted?.metadata ?? {});
  }

  #receive(message: Uint8Array): void {
    if (this.#granted !== null) {
      this.#granted = null;
      this.#options.access?.worked();
    }
    this.#deferred = [];
    const answer = this.#wire.receive(message, (update) => this.#hand(update));
    const deferred = this.#deferred;
    this.#deferred = null;
    const stream = this.#stream;
    if (stream === null) return;
    if (answer.kind === 'unsound') {
      stream.cancel();
      return;
    }
    if (answer.request !== null) stream.write(answer.request);
    for (const request of deferred) stream.write(request);
    if (answer.error !== '') this.#options.log.warning('configuration refused', { error: answer.error });
  }

  /** An owner that throws has not taken the update: all of it is refused, and the stream lives on. */
  #hand(update: Update): readonly Refusal[] {
    try {
      return this.#options.onUpdate(update);
    } catch (cause) {
      const message = `internal error: ${cause instanceof Error ? cause.message : String(cause)}`;
      const names = update.changed.length > 0 ? update.changed.map(({ name }) => name) : [...update.removed];
      return names.map((name) => ({ name, problems: [error('', message)] }));
    }
  }

  #lost(connection: GrpcConnection, reason: string): void {
    if (this.#connection !== connection) return;
    const granted = this.#granted;
    if (granted !== null) this.#options.access?.failed(granted.shows);
    this.#drop();
    if (!this.#isClosed) this.#retry(reason);
  }

  #retry(reason: string): void {
    // A connection that broke at once must not be tried again at once, for ever.
    if (this.#connectedAtMs > 0 && this.#options.clock.now() - this.#connectedAtMs > this.#retryMsMax) {
      this.#backoff.reset();
    }
    this.#connectedAtMs = 0;
    const delayMs = this.#backoff.next();
    this.#options.log.info('control lost', { reason, retryMs: Math.round(delayMs) });
    this.#retryTimer = setTimeout(() => void this.#connect(), delayMs);
  }

  #drop(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#stream = null;
    this.#wire.close();
    connection?.close();
    this.#setState('disconnected');
  }

  #setState(state: ConnectionState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState?.(state);
  }
}
