// The control service's own picture of what can be called: one MeshService per host, whether it comes
// from a Service, a ServiceEntry, or only from sidecars that joined under a name.
import type { Meta, Source } from '../config/meta.ts';

export type Protocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'udp';

export interface MeshPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
  /** Its bytes begin with a TLS client hello, so that the name in it can decide. */
  readonly isTls: boolean;
  /** Nobody said what it speaks: captured connections tell by their first bytes. */
  readonly isGuessed: boolean;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export interface MeshEndpoint {
  /** An IP address, a DNS name, or a path when `port` is 0. */
  readonly address: string;
  readonly port: number;
  readonly labels: ReadonlyMap<string, string>;
  readonly weight: number;
  readonly locality: Locality;
  readonly workload: string;
  readonly namespace: string;
  /** Whom its certificate must name; empty: not known. */
  readonly serviceAccount: string;
  /** It has a sidecar with an identity, and takes mutual TLS. */
  readonly isMeshed: boolean;
}

/** Set on workloads whose sidecar takes mutual TLS (Istio's convention); the value is `istio`. */
const TLS_MODE_LABEL = 'security.istio.io/tlsMode';

export function takesMtls(labels: ReadonlyMap<string, string>): boolean {
  return labels.get(TLS_MODE_LABEL) === 'istio';
}

export interface MeshService {
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
  readonly kind: 'service' | 'entry' | 'joined';
  /** `eds`: instances are known here. `dns`, `one-of-dns`: the sidecar resolves them. */
  readonly resolution: 'eds' | 'dns' | 'one-of-dns';
  readonly ports: readonly MeshPort[];
  /** Ports of a Service that sidecars have nothing to do with; absent: it has none. */
  readonly datagramPorts?: readonly number[];
  /** By port number. */
  readonly endpoints: ReadonlyMap<number, readonly MeshEndpoint[]>;
  /** Of a Service: what its pods are chosen by; empty: nothing. */
  readonly selector: ReadonlyMap<string, string>;
  readonly clusterIps: readonly string[];
  /** Ranges such as `10.1.0.0/16`, of a ServiceEntry only. */
  readonly ranges: readonly string[];
  /** Captured connections go where the app sent them: headless Services, and entries with resolution NONE. */
  readonly keepsDestination: boolean;
  /** Its instances have names below its own. */
  readonly isHeadless: boolean;
  readonly exportTo: readonly string[];
  /** ServiceEntry.subjectAltNames: names that its servers have. */
  readonly subjectAltNames: readonly string[];
  /** Service.spec.trafficDistribution; null when there is none. */
  readonly nearness: 'zone' | 'subzone' | null;
  readonly meta: Meta;
  /** Null for a service that nobody wrote down. */
  readonly source: Source | null;
}

export function isHttp(protocol: Protocol): boolean {
  return protocol === 'http' || protocol === 'http2' || protocol === 'grpc';
}

/** The names that a port may be spelled with, and what they mean (Istio: pkg/config/protocol, semantics of appProtocol). */
const PROTOCOLS: ReadonlyMap<string, Protocol> = new Map([
  ['http', 'http'],
  ['http2', 'http2'],
  ['grpc', 'grpc'],
  ['grpc-web', 'http'],
  ['http_proxy', 'http'],
  ['kubernetes.io/h2c', 'http2'],
  ['kubernetes.io/ws', 'http'],
  ['kubernetes.io/wss', 'tcp'],
  ['ws', 'http'],
  ['wss', 'tcp'],
  ['https', 'tcp'],
  ['tls', 'tcp'],
  ['tcp', 'tcp'],
  ['mongo', 'tcp'],
  ['mysql', 'tcp'],
  ['redis', 'tcp'],
  ['udp', 'udp'],
]);

const TLS_NAMES: ReadonlySet<string> = new Set(['https', 'tls', 'kubernetes.io/wss', 'wss']);

/** Ports whose servers speak first: never taken for HTTP without a name that says so. */
const SERVER_FIRST = new Set([25, 53, 3306, 27_017]);

/** appProtocol first, then the port's name up to its first dash, then HTTP but for server-first ports. */
export function meshPort(port: {
  readonly number: number;
  readonly name: string;
  readonly appProtocol: string;
  readonly transport: string;
}): MeshPort {
  const { number, name } = port;
  if (port.transport === 'UDP' || port.transport === 'SCTP')
    return { number, name, protocol: 'udp', isTls: false, isGuessed: false };
  for (const word of [port.appProtocol.toLowerCase(), firstWord(name.toLowerCase())]) {
    const protocol = PROTOCOLS.get(word);
    if (protocol !== undefined) return { number, name, protocol, isTls: TLS_NAMES.has(word), isGuessed: false };
  }
  const isServerFirst = SERVER_FIRST.has(number);
  return { number, name, protocol: isServerFirst ? 'tcp' : 'http', isTls: false, isGuessed: !isServerFirst };
}

function firstWord(name: string): string {
  return name.startsWith('grpc-web') ? 'grpc-web' : (name.split('-')[0] ?? '');
}

export function localityOf(text: string): Locality {
  const [region = '', zone = '', subZone = ''] = text.split('/');
  return { region, zone, subZone };
}

/** Istio's label of pods, with points instead of slashes. */
export function localityOfLabels(labels: ReadonlyMap<string, string>): Locality {
  return localityOf((labels.get('istio-locality') ?? '').replaceAll('.', '/'));
}

/** True when every label of `selector` is among `labels`. */
export function selects(selector: ReadonlyMap<string, string>, labels: ReadonlyMap<string, string>): boolean {
  for (const [name, value] of selector) if (labels.get(name) !== value) return false;
  return true;
}

/** Istio's visibility: no exportTo is everybody; `*`, `.` (its own namespace), `~` (nobody) or namespaces. */
export function isVisible(exportTo: readonly string[], owner: string, viewer: string): boolean {
  if (exportTo.length === 0) return true;
  return exportTo.some((entry) => entry === '*' || entry === viewer || (entry === '.' && owner === viewer));
}

/** The name of a cluster as Istio writes it: `outbound|9080|v1|reviews.default.svc.cluster.local`. */
export function clusterName(direction: 'outbound' | 'inbound', port: number, subset: string, host: string): string {
  return `${direction}|${port}|${subset}|${host}`;
}

/** A host as written in a rule of `namespace`: a short name gets the namespace and the mesh's domain. */
export function expandHost(host: string, namespace: string, domain: string): string {
  if (host.includes('.') || host === '*') return host;
  return `${host}.${namespace}.svc.${domain}`;
}
