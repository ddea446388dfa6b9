// In which ways a port of a workload may be called, by its PeerAuthentication: mutual TLS of the mesh, told by the ALPN of
// the client hello, TLS of the app's own, which passes as it is, or plaintext. Envoy goes from the most specific
// criterion to the least and never back, so where one chain asks for TLS, all TLS must have a chain.
import type { MtlsMode } from '../../config/peer-authentication.ts';
import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { MeshConfigSpec } from '../../config/mesh-config.ts';
import type { MeshNode } from '../mesh-node.ts';
import { MESH_ANY, MESH_HTTP, MESH_TCP, meshServer } from './mesh-tls.ts';

/** What a port speaks: `guessed` is found out by the first bytes. */
export type Spoken = 'http' | 'tcp' | 'guessed';

/** One way in. */
export interface Entrance {
  /** What it leads to. */
  readonly to: 'http' | 'tcp';
  readonly match: { readonly transportProtocol: string; readonly applicationProtocols: string[] };
  /** Null: as it comes. */
  readonly socket: TransportSocket | null;
}

/** The mode that is in force for a node: without an identity it takes plaintext, or, where that is refused, nobody. */
export function modeFor({ abilities }: Pick<MeshNode, 'abilities'>, mode: MtlsMode): MtlsMode {
  return abilities.mtls || mode === 'STRICT' ? mode : 'DISABLE';
}

const TLS = 'tls';
const H2 = 'istio-h2';

export interface EntranceParts {
  readonly spoken: Spoken;
  readonly mode: MtlsMode;
  /** What an inspector calls the versions of HTTP that reach the manager. */
  readonly plainHttp: readonly string[];
  readonly node: Pick<MeshNode, 'abilities'>;
  readonly mesh: MeshConfigSpec;
}

export function entrancesOf({ spoken, mode, plainHttp, node, mesh }: EntranceParts): readonly Entrance[] {
  const servesHttp2 = plainHttp.includes('h2c');
  const secure = mode === 'DISABLE' ? null : meshServer(mesh, node.abilities.http2);
  const ways: Entrance[] = [];
  const add = (to: Entrance['to'], transport: string, protocols: readonly string[], socket: TransportSocket | null) =>
    ways.push({ to, match: { transportProtocol: transport, applicationProtocols: [...protocols] }, socket });
  if (secure !== null) {
    const http = servesHttp2 ? MESH_HTTP : MESH_HTTP.filter((name) => name !== H2);
    const asHttp = spoken === 'tcp' ? [] : spoken === 'http' ? [...http, ...MESH_TCP] : http;
    // Of a client with a certificate that says nothing of what is inside, the port's own protocol decides.
    const isWhole = mode === 'STRICT' && spoken === 'http';
    if (asHttp.length > 0) add('http', TLS, isWhole ? [] : asHttp, secure);
    const others = MESH_ANY.filter((name) => !asHttp.includes(name));
    if (others.length > 0 && (mode !== 'STRICT' || isWhole)) add('tcp', TLS, others, secure);
    if (mode !== 'STRICT') add('tcp', TLS, [], null);
    else if (!isWhole) add('tcp', TLS, [], secure);
  }
  if (mode === 'STRICT') return ways;
  if (spoken === 'guessed') add('http', '', plainHttp, null);
  if (spoken === 'http') add('http', '', [], null);
  // A sidecar without HTTP/2 lets it pass to the app instead of breaking it.
  if (spoken === 'http' && !servesHttp2) add('tcp', '', ['h2c'], null);
  if (spoken !== 'http') add('tcp', '', [], null);
  return ways;
}
