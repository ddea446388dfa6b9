// How a sidecar connects to a service: by mutual TLS of the mesh to every instance that takes it and in plaintext to
// the rest, or as a DestinationRule says.
import { create } from '@bufbuild/protobuf';
import type { ClientTls } from '../../config/destination-rule.ts';
import { spiffeId } from '../../tls/spiffe-id.ts';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { Cluster_TransportSocketMatchSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { TransportSocketSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ApiVersion, ConfigSourceSchema } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { RawBufferSchema } from '../../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
  TlsCertificateSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { CertificateValidationContext } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  CommonTlsContextSchema,
  CommonTlsContext_CombinedCertificateValidationContextSchema as CombinedSchema,
  UpstreamTlsContextSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { CommonTlsContext } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { MeshConfigSpec } from '../../config/mesh-config.ts';
import type { Abilities } from '../mesh-node.ts';
import type { MeshEndpoint, MeshPort, MeshService } from '../mesh-service.ts';
import { MESHED } from './endpoints.ts';
import { alpnOf, meshClient, versions } from './mesh-tls.ts';
import { pack } from './proto.ts';

/** Where Debian and its kin keep the public certificate authorities. */
const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt';
/** What the authorities of a credential are called beside it (Istio's convention). */
const AUTHORITIES = '-cacert';

export interface Connecting {
  readonly service: MeshService;
  readonly port: MeshPort;
  /** Empty: all instances. */
  readonly subset: string;
  /** Null: nothing is said, and what the instances announce decides. */
  readonly tls: ClientTls | null;
  readonly mesh: MeshConfigSpec;
  readonly abilities: Abilities;
  /** The cluster leads to where the app sent, so that nobody says what the instance announces. */
  readonly keeps: boolean;
  readonly isHttp2: boolean;
}

/** Sets how connections of the cluster are made. */
export function applyTls(cluster: Cluster, connecting: Connecting): void {
  const { tls, abilities, mesh } = connecting;
  if (!abilities.tls || tls?.mode === 'DISABLE') return;
  if (tls === null) {
    if (abilities.mtls && mesh.enableAutoMtls) applyAutomatic(cluster, connecting);
  } else if (tls.mode !== 'ISTIO_MUTUAL') cluster.transportSocket = originated(tls, connecting);
  // Also for a sidecar without an identity: it refuses, where plaintext would go out that a rule wants encrypted.
  else cluster.transportSocket = ofMesh(connecting, tls);
}

/**
 * Also where no instance announces it yet: clusters and their instances come one after the other, and the first
 * instance, or the last, must not be called in plaintext in between.
 */
function applyAutomatic(cluster: Cluster, connecting: Connecting): void {
  const { service, port, keeps } = connecting;
  const endpoints = service.endpoints.get(port.number) ?? [];
  if (keeps) {
    // One way for all of them: the TLS of the mesh when everybody takes it (Istio: BestEffortInferServiceMTLSMode).
    const isWhole = endpoints.length > 0 && endpoints.every(({ isMeshed }) => isMeshed);
    if (isWhole) cluster.transportSocket = ofMesh(connecting, null);
    return;
  }
  if (service.resolution !== 'eds' && !endpoints.some(({ isMeshed }) => isMeshed)) return;
  const plain = create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.raw_buffer',
    configType: { case: 'typedConfig', value: pack(RawBufferSchema, create(RawBufferSchema)) },
  });
  cluster.transportSocketMatches = [
    create(Cluster_TransportSocketMatchSchema, {
      name: 'tlsMode-istio',
      match: MESHED,
      transportSocket: ofMesh(connecting, null),
    }),
    create(Cluster_TransportSocketMatchSchema, { name: 'tlsMode-disabled', match: {}, transportSocket: plain }),
  ];
}

function ofMesh({ service, port, subset, mesh, abilities }: Connecting, tls: ClientTls | null): TransportSocket {
  const { protocol, isGuessed, number } = port;
  const told = tls?.subjectAltNames ?? [];
  return meshClient({
    sni: tls === null || tls.sni === '' ? `outbound_.${number}_.${subset}_.${service.host}` : tls.sni,
    servers: told.length > 0 ? told : [...service.subjectAltNames, ...accountsOf(service, mesh)],
    alpn: alpnOf(protocol, isGuessed, abilities.ownFilters),
    mesh,
  });
}

/** The identities that instances of the service have, in every trust domain of the mesh; none when some are not known. */
function accountsOf(service: MeshService, { trustDomain, trustDomainAliases }: MeshConfigSpec): readonly string[] {
  const meshed = [...service.endpoints.values()].flat().filter(({ isMeshed }) => isMeshed);
  if (meshed.some(({ serviceAccount }) => serviceAccount === '')) return [];
  const ids = meshed.flatMap(({ namespace, serviceAccount }: MeshEndpoint) =>
    [trustDomain, ...trustDomainAliases].map((domain) => spiffeId({ trustDomain: domain, namespace, serviceAccount })),
  );
  return [...new Set(ids.filter((id) => id !== null))].toSorted();
}

/**
 * Where a rule names no server, requests do: theirs is the server name, and the name that its certificate must have.
 * Null: nothing of the kind (Istio: setAutoSniAndAutoSanValidation).
 */
export function namesOfRequests(tls: ClientTls | null): { autoSni: true; autoSanValidation: boolean } | null {
  if (tls === null || (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') || tls.sni !== '') return null;
  return { autoSni: true, autoSanValidation: tls.subjectAltNames.length === 0 && !tls.skipsVerification };
}

/** TLS to a server outside of the mesh. A ServiceEntry's names count where the rule has none. */
function originated(tls: ClientTls, { service, isHttp2 }: Connecting): TransportSocket {
  const { subjectAltNames: told } = tls;
  const common = commonOf({ ...tls, subjectAltNames: told.length > 0 ? told : service.subjectAltNames });
  // By itself a client stops at 1.2, and servers that speak nothing below 1.3 are there.
  common.tlsParams = versions('TLSv1.2');
  if (isHttp2) common.alpnProtocols = ['h2'];
  const context = create(UpstreamTlsContextSchema, { sni: tls.sni, commonTlsContext: common });
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: pack(UpstreamTlsContextSchema, context) },
  });
}

function commonOf(tls: ClientTls): CommonTlsContext {
  const common = create(CommonTlsContextSchema);
  const isCredential = tls.credentialName !== '';
  if (tls.mode === 'MUTUAL') {
    if (isCredential) common.tlsCertificateSdsSecretConfigs = [credential(tls.credentialName)];
    else
      common.tlsCertificates = [
        create(TlsCertificateSchema, {
          certificateChain: file(tls.clientCertificate),
          privateKey: file(tls.privateKey),
        }),
      ];
  }
  if (tls.skipsVerification) return common;
  const names = namesOf(tls);
  common.validationContextType = isCredential
    ? {
        case: 'combinedValidationContext',
        value: create(CombinedSchema, {
          defaultValidationContext: names,
          validationContextSdsSecretConfig: credential(`${tls.credentialName}${AUTHORITIES}`),
        }),
      }
    : { case: 'validationContext', value: { ...names, trustedCa: file(tls.caCertificates || SYSTEM_ROOTS) } };
  if (tls.caCrl !== '' && common.validationContextType.case === 'validationContext')
    common.validationContextType.value.crl = file(tls.caCrl);
  return common;
}

function namesOf(tls: ClientTls): CertificateValidationContext {
  return create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: tls.subjectAltNames.map((name) => ({
      sanType: name.includes('://') ? SubjectAltNameMatcher_SanType.URI : SubjectAltNameMatcher_SanType.DNS,
      matcher: { matchPattern: { case: 'exact' as const, value: name } },
    })),
  });
}

/** A Secret of the workload's own namespace. */
function credential(name: string) {
  const sdsConfig = create(ConfigSourceSchema, {
    configSourceSpecifier: { case: 'ads', value: {} },
    resourceApiVersion: ApiVersion.V3,
  });
  return {
    $typeName: 'envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig' as const,
    name: `kubernetes://${name}`,
    sdsConfig,
  };
}

function file(path: string) {
  return {
    $typeName: 'envoy.config.core.v3.DataSource' as const,
    specifier: { case: 'filename' as const, value: path },
  };
}
