// What flows between the control service (which knows the rules) and the discovery server (which
// knows the streams). The server asks for nothing but a View per node and is handed a newer View
// whenever what that node may see has changed; ACKs, NACKs and what is in flight are its own affair.
// Two sidecars that may see the same resource share one EncodedResource object: identity means equal bytes.
//
//   ControlService ── open(node, listener) ◄── DiscoveryServer (one per stream, at the first request)
//                  ── listener(view) ────────►   0..n times, never inside open(); views only ever get newer
//                  ◄── close() ──────────────    once, when the stream ends

/** `type.googleapis.com/...`, as it stands in a DiscoveryRequest. */
export type TypeUrl = string;

export const CLUSTER_TYPE = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
export const ENDPOINT_TYPE = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
export const LISTENER_TYPE = 'type.googleapis.com/envoy.config.listener.v3.Listener';
export const ROUTE_TYPE = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';

/** The order of a push: make before break. */
export const PUSH_ORDER: readonly TypeUrl[] = [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE];

/** A resource in its final bytes, encoded once and shared by everybody who gets the same. */
export interface EncodedResource {
  readonly typeUrl: TypeUrl;
  /** The resource's own name: a Listener's, a Cluster's, a RouteConfiguration's, an assignment's cluster name. */
  readonly name: string;
  /** A hash of `bytes`; the same on every replica and after every restart. The delta protocol's resource version. */
  readonly version: string;
  /** The message itself; an Any of it is `{ typeUrl, value: bytes }`. */
  readonly bytes: Uint8Array;
}

/** Everything that one node may see, immutable. An unchanged type keeps the same Map object from view to view. */
export interface View {
  /** Grows by one with every published change in this process. */
  readonly sequence: number;
  /** By type URL, then by resource name. A type without an entry has no resources. */
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, EncodedResource>>;
  /** By type URL: a hash over the versions of all its resources; the state-of-the-world `version_info`. */
  readonly versions: ReadonlyMap<TypeUrl, string>;
}

/** The node of the first request of a stream; `metadata` is the JSON form of `Node.metadata`. */
export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export type ViewListener = (view: View) => void;

/** One stream's hold on the control service. */
export interface ViewSubscription {
  /** The newest view; null while the control service is settling after its start: hold the answers until `listener` is called. */
  readonly view: View | null;
  /** Ends the subscription, and with it the registration of the node's workload. Safe to call twice. */
  close(): void;
}

/** A node that the control service refuses; the stream ends with INVALID_ARGUMENT and this message. */
export interface NodeRefused {
  readonly kind: 'refused';
  readonly message: string;
}

/** Implemented by ControlService; the only thing that the discovery server needs of it. */
export interface ViewSource {
  open(
    node: NodeInfo,
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
