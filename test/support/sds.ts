// What SDS tests share: secrets of an authority, contexts that ask the cluster `sds-grpc` for them, and that cluster.
import type { JsonObject } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { SecretSchema, type Secret } from '../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { TestAuthority } from './test-authority.ts';

/** A certificate named `default` of this workload, by its number. */
export function certificateSecret(authority: TestAuthority, uri: string): { secret: Secret; pem: string } {
  const { cert, key } = authority.issue({ uris: [uri] });
  const value = {
    certificateChain: { specifier: { case: 'inlineString', value: cert } },
    privateKey: { specifier: { case: 'inlineString', value: key } },
  } as const;
  return { secret: create(SecretSchema, { name: 'default', type: { case: 'tlsCertificate', value } }), pem: cert };
}

export function rootsSecret(pem: string): Secret {
  const trustedCa = { specifier: { case: 'inlineString', value: pem } } as const;
  return create(SecretSchema, { name: 'ROOTCA', type: { case: 'validationContext', value: { trustedCa } } });
}

export function sdsContext(apiType: 'GRPC' | 'DELTA_GRPC' = 'GRPC'): JsonObject {
  const source = {
    api_config_source: {
      api_type: apiType,
      transport_api_version: 'V3',
      set_node_on_first_message_only: true,
      grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
    },
    resource_api_version: 'V3',
    initial_fetch_timeout: '0s',
  };
  return {
    tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: source }],
    combined_validation_context: {
      default_validation_context: {},
      validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: source },
    },
  };
}

export function sdsCluster(path: string): JsonObject {
  const http = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    name: 'sds-grpc',
    type: 'STATIC',
    typed_extension_protocol_options: {
      [http]: { '@type': `type.googleapis.com/${http}`, explicit_http_config: { http2_protocol_options: {} } },
    },
    load_assignment: {
      cluster_name: 'sds-grpc',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }],
    },
  };
}
