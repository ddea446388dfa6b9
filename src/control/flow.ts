// What flows between the control service (which knows the rules) and the discovery server (which
// knows the streams). The server asks for nothing but a View per node and is handed a newer View
// whenever what that node may see has changed; ACKs, NACKs and what is in flight are its own affair.
// Two sidecars that may see the same resource share one EncodedResource object: identity means equal bytes.
//
//   ControlService ── open(node, listener) ◄── DiscoveryServer (one per stream, at the first request)
//                  ── listener(view) ────────►   0..n times, never inside open(); views only ever get newer
//                  ◄── close() ──────────────    once, when the stream ends

import type { ResourceView } from '../xds/resource.ts';
import type { TypeUrl } from '../xds/type-url.ts';
import type { Refusal } from './authentication/refusal.ts';
import type { VerifiedPeer } from './verified-peer.ts';

/** Everything that one node may see, immutable. An unchanged type keeps the same Map object from view to view. */
export interface View extends ResourceView {
  /** Grows by one with every published change in this process. */
  readonly sequence: number;
}

/** The node of the first request of a stream; `metadata` is the JSON form of `Node.metadata`. */
export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Node.user_agent_name: `envoy`, `outrigger`; absent when it does not say. */
  readonly userAgent?: string;
  /** Absent when the node does not say where it is. */
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string } | undefined;
  /** Who it proved to be; null, or absent: it came in plaintext and proved nothing. */
  readonly peer?: VerifiedPeer | null;
}

export type ViewListener = (view: View) => void;

/** One stream's hold on the control service. */
export interface ViewSubscription {
  /** The newest view; null while the control service is settling after its start: hold the answers until `listener` is called. */
  readonly view: View | null;
  /** Tells that a later request showed what the first did not: the client holds something from an earlier stream. */
  noteReturned(): void;
  /** Tells which virtual hosts the client has asked for, where it fetches them; the view with what they need, if that is another. */
  use(hosts: ReadonlySet<string>): View | null;
  /** Ends the subscription, and with it the registration of the node's workload. Safe to call twice. */
  close(): void;
}

/** A node that the control service refuses; the stream ends with this message. */
export interface NodeRefused {
  readonly kind: 'refused';
  readonly message: string;
  /** It says that it is somebody else than it has proved to be; absent: the status is INVALID_ARGUMENT. */
  readonly denial?: Refusal;
}

/** Implemented by ControlService; the only thing that the discovery server needs of it. */
export interface ViewSource {
  /** `isReturning`: the client holds something from an earlier stream, here or elsewhere. */
  open(
    node: NodeInfo & { readonly isReturning?: boolean },
    listener: ViewListener,
  ): { readonly kind: 'open'; readonly subscription: ViewSubscription } | NodeRefused;
}

export type SyncState = 'synced' | 'stale' | 'not-sent' | 'error';

/** One row of `/debug/syncz`: what one stream was sent and what it said about it. */
export interface SyncStatus {
  readonly nodeId: string;
  readonly connectionId: string;
  readonly protocol: 'delta' | 'sotw';
  readonly connectedAtMs: number;
  /** `address:port` of the client's end of the stream. */
  readonly address: string;
  /** The SPIFFE id that it has proved; empty: none. */
  readonly account: string;
  /** Of its admin pages, on its own loopback; 0: it does not say. */
  readonly adminPort: number;
  /** Of its pages for us, over mutual TLS; 0: it has none. */
  readonly pagesPort: number;
  readonly types: readonly {
    readonly typeUrl: TypeUrl;
    readonly state: SyncState;
    readonly sentVersion: string;
    readonly ackedVersion: string;
    /** The `error_detail` of the last NACK; empty when the last answer was an ACK. */
    readonly lastError: string;
  }[];
}

/** What the control service needs of the discovery server, for its HTTP port and its own life. */
export interface DiscoveryEndpoint {
  /** Resolves with the bound address, `host:port`. */
  start(): Promise<string>;
  /** Ends every stream and the listening socket. */
  stop(): Promise<void>;
  syncStatus(): readonly SyncStatus[];
  /** Prometheus counters by name, for example `pilot_total_xds_rejects`. */
  counters(): ReadonlyMap<string, number>;
}
