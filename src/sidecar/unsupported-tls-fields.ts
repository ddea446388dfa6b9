// What the sidecar does with the fields of TLS contexts and secrets: the table for unsupported.ts.
import type { MessageFields } from './unsupported.ts';

const ALL: MessageFields = { supported: '*' };
const PROVIDERS = 'write tls_certificates or tls_certificate_sds_secret_configs';
const VALIDATION_PROVIDERS = 'write validation_context or validation_context_sds_secret_config';
const TLS = 'envoy.extensions.transport_sockets.tls.v3';

export const TLS_FIELDS: Readonly<Record<string, MessageFields>> = {
  [`${TLS}.DownstreamTlsContext`]: {
    supported: `common_tls_context require_client_certificate require_sni session_ticket_keys
      session_ticket_keys_sds_secret_config disable_stateless_session_resumption session_timeout
      full_scan_certs_on_sni_mismatch ocsp_staple_policy`,
    harmless: {
      disable_stateful_session_resumption: 'has no effect: sessions are resumed by tickets only',
    },
    values: { ocsp_staple_policy: 'LENIENT_STAPLING' },
  },
  [`${TLS}.UpstreamTlsContext`]: {
    supported: 'common_tls_context sni max_session_keys',
    harmless: { enforce_rsa_key_usage: 'has no effect: OpenSSL always enforces it' },
    refused: { allow_renegotiation: 'renegotiation is not supported: remove it' },
  },
  [`${TLS}.CommonTlsContext`]: {
    supported: `tls_params tls_certificates tls_certificate_sds_secret_configs validation_context
      validation_context_sds_secret_config combined_validation_context alpn_protocols`,
    refused: {
      tls_certificate_provider_instance: PROVIDERS,
      tls_certificate_certificate_provider: PROVIDERS,
      tls_certificate_certificate_provider_instance: PROVIDERS,
      validation_context_certificate_provider: VALIDATION_PROVIDERS,
      validation_context_certificate_provider_instance: VALIDATION_PROVIDERS,
      custom_handshaker: 'remove it',
      key_log: 'keys of connections are not written down: remove it',
    },
  },
  [`${TLS}.CommonTlsContext.CombinedCertificateValidationContext`]: {
    supported: 'default_validation_context validation_context_sds_secret_config',
    refused: {
      validation_context_certificate_provider: VALIDATION_PROVIDERS,
      validation_context_certificate_provider_instance: VALIDATION_PROVIDERS,
    },
  },
  [`${TLS}.TlsParameters`]: ALL,
  [`${TLS}.TlsCertificate`]: {
    supported: 'certificate_chain private_key password watched_directory',
    harmless: {
      ocsp_staple: 'has no effect yet: no OCSP answer is stapled',
      signed_certificate_timestamp: 'has no effect: it is not sent',
    },
    refused: {
      pkcs12: 'write certificate_chain and private_key in PEM',
      private_key_provider: 'write private_key',
    },
  },
  [`${TLS}.TlsSessionTicketKeys`]: ALL,
  [`${TLS}.CertificateValidationContext`]: {
    supported: `trusted_ca system_root_certs watched_directory verify_certificate_spki verify_certificate_hash
      match_typed_subject_alt_names match_subject_alt_names crl allow_expired_certificate trust_chain_verification
      max_verify_depth`,
    refused: {
      ca_certificate_provider_instance: 'write trusted_ca',
      require_signed_certificate_timestamp: 'remove it',
      custom_validator_config: 'write trusted_ca and match_typed_subject_alt_names',
      only_verify_leaf_cert_crl: 'give a revocation list for every authority of the chain',
    },
  },
  [`${TLS}.CertificateValidationContext.SystemRootCerts`]: ALL,
  [`${TLS}.SubjectAltNameMatcher`]: {
    supported: 'san_type matcher',
    required: 'matcher',
    refused: { oid: 'write DNS, URI, EMAIL or IP_ADDRESS as san_type' },
    values: { san_type: 'DNS URI EMAIL IP_ADDRESS' },
  },
  [`${TLS}.SdsSecretConfig`]: { supported: 'name sds_config', required: 'name' },
  [`${TLS}.Secret`]: {
    supported: 'name tls_certificate session_ticket_keys validation_context',
    harmless: { generic_secret: 'has no effect: nothing uses it yet' },
  },
  'envoy.config.core.v3.WatchedDirectory': { supported: 'path', required: 'path' },
};
