// The sidecar's ADS client. It keeps one stream to one of several control addresses, asks for what its
// owner subscribes to, hands every response to the owner, and answers with ACK or NACK. While nobody
// answers it keeps trying with jitter and forgets nothing: the owner's last good configuration stays.
// It throws nothing and never ends by itself. Warming and make-before-break inside are the owner's.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { TypeUrl } from '../xds/type-url.ts';
import type { Refusal, Update, Variant } from '../xds/update.ts';

export interface ControlAddress {
  readonly host: string;
  readonly port: number;
}

export type ConnectionState = 'connected' | 'disconnected';

export interface DiscoveryClientOptions {
  /** Tried in turn; at least one. */
  readonly control: readonly ControlAddress[];
  readonly node: Node;
  /** `delta` by default. */
  readonly variant?: Variant;
  readonly log: Log;
  readonly clock: Clock;
  /** Called once per response. What is returned is NACKed by name; the rest counts as accepted. */
  readonly onUpdate: (update: Update) => readonly Refusal[];
  /** Connected means that the stream is open; the first update follows. Called on every change. */
  readonly onState?: (state: ConnectionState) => void;
  /** A response that carries more is refused and ends the stream; 16 MiB by default. */
  readonly messageBytesMax?: number;
}

export interface DiscoveryClient {
  /** Replaces what is asked for of one type; the empty set unsubscribes. Equal sets send nothing. */
  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): void;
  readonly state: ConnectionState;
  /** Ends the stream and every timer. Safe to call twice. */
  close(): void;
}
