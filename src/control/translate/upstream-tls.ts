// TLS that a DestinationRule asks the sidecar to originate. ISTIO_MUTUAL comes with the mesh's own identity.
import { create } from '@bufbuild/protobuf';
import type { ClientTls } from '../../config/destination-rule.ts';
import { TransportSocketSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { SubjectAltNameMatcher_SanType } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { UpstreamTlsContextSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { pack } from './proto.ts';

/** Where Debian and its kin keep the public certificate authorities. */
const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt';

export function upstreamTls(tls: ClientTls): TransportSocket | null {
  if (tls.mode === 'DISABLE' || tls.mode === 'ISTIO_MUTUAL') return null;
  const roots = tls.caCertificates === '' ? SYSTEM_ROOTS : tls.caCertificates;
  const certificate = { certificateChain: file(tls.clientCertificate), privateKey: file(tls.privateKey) };
  const matchTypedSubjectAltNames = tls.subjectAltNames.map((name) => ({
    sanType: name.includes('://') ? SubjectAltNameMatcher_SanType.URI : SubjectAltNameMatcher_SanType.DNS,
    matcher: { matchPattern: { case: 'exact' as const, value: name } },
  }));
  const context = create(UpstreamTlsContextSchema, {
    sni: tls.sni,
    commonTlsContext: {
      tlsCertificates: tls.mode === 'MUTUAL' ? [certificate] : [],
      ...(tls.skipsVerification
        ? {}
        : {
            validationContextType: {
              case: 'validationContext' as const,
              value: { trustedCa: file(roots), matchTypedSubjectAltNames },
            },
          }),
    },
  });
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: pack(UpstreamTlsContextSchema, context) },
  });
}

function file(path: string) {
  return { specifier: { case: 'filename' as const, value: path } };
}
