// The TLS of the mesh itself, client and server end: our certificate and the roots come from `sds-grpc`, which is the
// sidecar's own identity or an agent's socket, and names of peers are SPIFFE ids. The only place that writes it.
// ALPN says what is inside (Istio's names): `istio-http/1.1` and `istio-h2` for HTTP, `istio` for any bytes; what
// an app encrypts itself has none of them, so a server can tell the two apart by the client hello.
import { create } from '@bufbuild/protobuf';
import type { MeshConfigSpec } from '../../config/mesh-config.ts';
import {
  ApiConfigSourceSchema,
  ApiConfigSource_ApiType as ApiType,
  ApiVersion,
  ConfigSourceSchema,
} from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { TransportSocketSchema, type TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  CertificateValidationContextSchema,
  SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType as SanType,
  TlsParametersSchema,
  TlsParameters_TlsProtocol as Protocol,
  type CertificateValidationContext,
  type SubjectAltNameMatcher,
  type TlsParameters,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  CommonTlsContextSchema,
  CommonTlsContext_CombinedCertificateValidationContextSchema as CombinedSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  type CommonTlsContext,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { Protocol as PortProtocol } from '../mesh-service.ts';
import { duration, pack } from './proto.ts';

/** The cluster of whoever hands out the workload's identity. */
export const IDENTITY_CLUSTER = 'sds-grpc';
const CERTIFICATE = 'default';
const ROOTS = 'ROOTCA';

export const MESH_HTTP = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2'];
export const MESH_TCP = ['istio', 'istio-peer-exchange'];
/** Whatever a client of the mesh may offer. */
export const MESH_ANY = [...MESH_HTTP, ...MESH_TCP];

export interface MeshClient {
  readonly sni: string;
  /** SPIFFE ids, of which the server must have one; empty: any of the mesh's trust domains. */
  readonly servers: readonly string[];
  readonly alpn: readonly string[];
  readonly mesh: MeshConfigSpec;
}

export function meshClient({ sni, servers, alpn, mesh }: MeshClient): TransportSocket {
  const names = servers.length === 0 ? membersOf(mesh) : servers.map((uri) => uriMatcher('exact', uri));
  const common = commonContext(names, alpn);
  // A client stops at 1.2 by itself (TlsParameters), so one of a mesh that asks for 1.3 would reach nobody.
  if (mesh.minTlsVersion === 'TLSv1.3') common.tlsParams = versions(mesh.minTlsVersion);
  const context = create(UpstreamTlsContextSchema, { sni, commonTlsContext: common });
  return socketOf(pack(UpstreamTlsContextSchema, context));
}

/** A server that asks every client for an identity of the mesh. */
export function meshServer(mesh: MeshConfigSpec, servesHttp2: boolean): TransportSocket {
  const common = commonContext(membersOf(mesh), [...MESH_ANY, ...(servesHttp2 ? ['h2'] : []), 'http/1.1']);
  common.tlsParams = versions(mesh.minTlsVersion);
  const context = create(DownstreamTlsContextSchema, { requireClientCertificate: true, commonTlsContext: common });
  return socketOf(pack(DownstreamTlsContextSchema, context));
}

/** From `min` to 1.3. */
export function versions(min: MeshConfigSpec['minTlsVersion']): TlsParameters {
  return create(TlsParametersSchema, {
    tlsMinimumProtocolVersion: min === 'TLSv1.3' ? Protocol.TLSv1_3 : Protocol.TLSv1_2,
    tlsMaximumProtocolVersion: Protocol.TLSv1_3,
  });
}

/** What a client offers for a port. Guessed ports: our own sidecar offers what it has found (sidecar/secure-target.ts). */
export function alpnOf(protocol: PortProtocol, isGuessed: boolean, isOurs: boolean): readonly string[] {
  if (isGuessed) return isOurs ? ['istio-http/1.1', 'istio'] : ['istio'];
  if (protocol === 'http') return ['istio-http/1.1'];
  return protocol === 'tcp' || protocol === 'udp' ? ['istio'] : ['istio-h2'];
}

/** Every workload of the mesh. */
function membersOf({ trustDomain, trustDomainAliases }: MeshConfigSpec): readonly SubjectAltNameMatcher[] {
  return [trustDomain, ...trustDomainAliases].map((domain) => uriMatcher('prefix', `spiffe://${domain}/`));
}

function uriMatcher(kind: 'exact' | 'prefix', value: string): SubjectAltNameMatcher {
  return create(SubjectAltNameMatcherSchema, {
    sanType: SanType.URI,
    matcher: { matchPattern: { case: kind, value } },
  });
}

function commonContext(names: readonly SubjectAltNameMatcher[], alpn: readonly string[]): CommonTlsContext {
  return create(CommonTlsContextSchema, {
    alpnProtocols: [...alpn],
    tlsCertificateSdsSecretConfigs: [{ name: CERTIFICATE, sdsConfig: identitySource() }],
    validationContextType: {
      case: 'combinedValidationContext',
      value: create(CombinedSchema, {
        defaultValidationContext: matching(names),
        validationContextSdsSecretConfig: { name: ROOTS, sdsConfig: identitySource() },
      }),
    },
  });
}

function matching(names: readonly SubjectAltNameMatcher[]): CertificateValidationContext {
  return create(CertificateValidationContextSchema, { matchTypedSubjectAltNames: [...names] });
}

function identitySource() {
  return create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    initialFetchTimeout: duration(0),
    configSourceSpecifier: {
      case: 'apiConfigSource',
      value: create(ApiConfigSourceSchema, {
        apiType: ApiType.GRPC,
        transportApiVersion: ApiVersion.V3,
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: IDENTITY_CLUSTER } } }],
      }),
    },
  });
}

function socketOf(typedConfig: ReturnType<typeof pack>): TransportSocket {
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: typedConfig },
  });
}
