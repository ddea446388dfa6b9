// What a control service is given, where it listens then, and what is so by default. The defaults are those of a
// process by itself: rules from nowhere, ports of loopback, no authority.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { GivenTracing } from './given-tracing.ts';
import type { RuleSource } from './rule-source.ts';
import type { SecureOptions } from './secure-endpoint.ts';

export interface ControlOptions {
  /** A directory of rules; none by default. */
  readonly rules?: string;
  /** Further sources; none by default. */
  readonly sources?: readonly RuleSource[];
  readonly log: Log;
  /** `127.0.0.1:15010` by default; port 0 picks one. */
  readonly xdsAddress?: string;
  /** `127.0.0.1:15014` by default; port 0 picks one. */
  readonly httpAddress?: string;
  /** `cluster.local` by default. */
  readonly domain?: string;
  /** 100 ms by default. */
  readonly debounceMs?: number;
  /** How long after the start clients that come back wait for the others before they get a view; 2.5 s by default. */
  readonly settleMs?: number;
  /** How long a workload stays after its stream ended; 5 s by default. */
  readonly graceMs?: number;
  readonly tracing?: readonly GivenTracing[];
  /** Comes before the `trustDomain` of MeshConfig. */
  readonly trustDomain?: string;
  /** An authority and the port where callers prove who they are; null, the default: there is neither. */
  readonly secure?: SecureOptions | null;
  /** Keys of tokens may be fetched from private addresses; false by default. */
  readonly allowsPrivateJwks?: boolean;
  /** Virtual hosts above which sidecars fetch those that they use, instead of having all; 500 by default. */
  readonly onDemandAbove?: number;
  readonly clock?: Clock;
}

export interface ControlAddresses {
  readonly xds: string;
  readonly http: string;
  /** Empty when there is no authority. */
  readonly secure: string;
}
