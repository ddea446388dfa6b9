// The type URLs that travel over ADS, the order in which one push sends them, and the three rules that
// depend on nothing but the type. Importing this file costs nothing: it pulls in no generated code.

/** `type.googleapis.com/...`, as it stands in a DiscoveryRequest. */
export type TypeUrl = string;

export const TYPE_PREFIX = 'type.googleapis.com/';
export const CLUSTER_TYPE = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
export const ENDPOINT_TYPE = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
export const LISTENER_TYPE = 'type.googleapis.com/envoy.config.listener.v3.Listener';
export const ROUTE_TYPE = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';
export const VIRTUAL_HOST_TYPE = 'type.googleapis.com/envoy.config.route.v3.VirtualHost';
export const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
export const EXTENSION_TYPE = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';
export const DELTA_RESOURCE_TYPE = 'type.googleapis.com/envoy.service.discovery.v3.Resource';

/** What a push sends first: make before break (xds_protocol.rst, "Eventual consistency considerations"). */
export const PUSH_ORDER: readonly TypeUrl[] = [
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  VIRTUAL_HOST_TYPE,
  SECRET_TYPE,
];

const NAMED_ONLY: ReadonlySet<TypeUrl> = new Set([
  ENDPOINT_TYPE,
  ROUTE_TYPE,
  VIRTUAL_HOST_TYPE,
  SECRET_TYPE,
  EXTENSION_TYPE,
]);

/** True when a first request without names asks for everything; for the others it asks for nothing. */
export function defaultsToWildcard(typeUrl: TypeUrl): boolean {
  return !NAMED_ONLY.has(typeUrl);
}

/** True when a state-of-the-world response must hold every resource, so that absence means removal. */
export function sendsWholeState(typeUrl: TypeUrl): boolean {
  return typeUrl === CLUSTER_TYPE || typeUrl === LISTENER_TYPE;
}

/** False for extension configs: Envoy cannot cope with their removal (envoy#32823). */
export function mayBeRemoved(typeUrl: TypeUrl): boolean {
  return typeUrl !== EXTENSION_TYPE;
}

/**
 * What a client asks for first on a new stream: the hosts that it uses, by which the control service knows which clusters it
 * holds, then the rest as it is pushed.
 */
export function inRequestOrder(typeUrls: Iterable<TypeUrl>): TypeUrl[] {
  const all = inPushOrder(typeUrls);
  return [...all.filter((typeUrl) => typeUrl === VIRTUAL_HOST_TYPE), ...all.filter((one) => one !== VIRTUAL_HOST_TYPE)];
}

/** The types of PUSH_ORDER first and in its order, then the others as they came. */
export function inPushOrder(typeUrls: Iterable<TypeUrl>): TypeUrl[] {
  return [...typeUrls].toSorted((a, b) => rank(a) - rank(b));
}

function rank(typeUrl: TypeUrl): number {
  const index = PUSH_ORDER.indexOf(typeUrl);
  return index === -1 ? PUSH_ORDER.length : index;
}
