// What a listener asks of the process around it: where its socket comes from, and who serves a connection.
// A sidecar of one thread that replaces nobody has no host, and none of this costs anything.
import type { Limits } from '../base/shared-limits.ts';

/** Where a listening socket comes from. */
export type SocketClaim =
  /** Bind it. `isShared`: the other workers listen on the same port (SO_REUSEPORT). */
  | { readonly kind: 'bind'; readonly port: number; readonly isShared: boolean }
  /** They listen already, because another process handed them over; at least one. Ours to close. */
  | { readonly kind: 'inherited'; readonly descriptors: readonly number[] }
  /** Others listen: this thread only knows the listener. `port` is the one really bound, 0 for a path. */
  | { readonly kind: 'elsewhere'; readonly port: number };

export interface ListenerHost {
  /** Where limits are counted that hold for all threads; null: this thread is the only one that serves. */
  readonly limits: Limits | null;
  /** `address` is an IP, or a path when it is none. Rejects with the system's error (EADDRINUSE and the like). */
  claim(address: string, port: number): Promise<SocketClaim>;
  /** A connection came in; true: another worker serves it, and the caller closes its own descriptor. */
  passOn(listener: string, descriptor: number): boolean;
  /** One more or one less connection is served here. */
  opened(): void;
  closed(): void;
}
