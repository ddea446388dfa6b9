// The compiled form of what a listener does with a connection before its protocol is served: its listener
// filters in order, and the match of filter chains. A listener without filters whose only chain takes
// everything has no such plan.
import type { ArrivalTally } from '../../observe/arrival-tally.ts';
import type { Step } from '../../plan/plan.ts';
import type { FilterChainMatch } from './filter-chain-match.ts';

/** `isSkipped` is asked with the local port (Envoy filter_disabled); null: never. */
export type ListenerFilter =
  | { readonly kind: 'original-dst'; readonly isSkipped: PortPredicate | null }
  | { readonly kind: 'tls-inspector'; readonly isSkipped: PortPredicate | null }
  | { readonly kind: 'http-inspector'; readonly isSkipped: PortPredicate | null }
  | {
      readonly kind: 'proxy-protocol';
      readonly isSkipped: PortPredicate | null;
      readonly allowsAbsent: boolean;
      readonly refusedVersions: readonly (1 | 2)[];
    };

export type PortPredicate = (localPort: number) => boolean;

export interface ArrivalPlan<Chain> {
  readonly filters: readonly ListenerFilter[];
  /** How long the filters may wait for bytes; 15 s by default, 0 for ever (Listener.listener_filters_timeout). */
  readonly timeoutMs: number;
  readonly continuesOnTimeout: boolean;
  readonly match: FilterChainMatch<Chain>;
  /** Takes what no chain matches; null: such a connection is closed. */
  readonly defaultChain: Chain | null;
  /** How long a client that says nothing is waited for before its server is asked who speaks first. */
  readonly graceMs: number;
  readonly tally: ArrivalTally;
  /** The listener's access log, for connections that no chain takes. */
  readonly onEnd: readonly Step[];
}
