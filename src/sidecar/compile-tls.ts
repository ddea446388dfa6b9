// What DownstreamTlsContext and UpstreamTlsContext have in common: versions, ciphers, ALPN, certificates and
// validation, each from the configuration itself, from the bootstrap's secrets or from SDS.
import { existsSync } from 'node:fs';
import type { SecureVersion } from 'node:tls';
import { error, warning, type Problem } from '../base/problem.ts';
import type { KeyPair } from '../tls/key-pair.ts';
import { nodeTls } from '../tls/node-tls.ts';
import { Slot } from '../tls/slot.ts';
import { cipherList, cipherNames, DEFAULT_CIPHERS, DEFAULT_CURVES, type TlsSettings } from '../tls/tls-settings.ts';
import type { Trust } from '../tls/trust.ts';
import type { ConfigSource } from '../xds/gen/envoy/config/core/v3/config_source_pb.js';
import {
  TlsParameters_TlsProtocol as Protocol,
  type CertificateValidationContext,
  type TlsParameters,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { SdsSecretConfig } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { CommonTlsContext } from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { durationMs } from './compile-duration.ts';
import { fileSource } from './secret-path.ts';
import { NO_IDENTITY, sdsSourceOf } from './sds-source.ts';
import { ADS, STATIC, type NamedRequest, type SecretStore } from './secrets.ts';

export interface TlsScope {
  readonly secrets: SecretStore;
  readonly problems: Problem[];
  readonly path: string;
}

export interface CommonTls {
  readonly settings: TlsSettings;
  readonly certificates: readonly Slot<KeyPair>[];
  readonly trust: Slot<Trust> | null;
}

/** Safe, but hardly what anybody wants. */
const NOBODY = 'there is no identity of the mesh here: connections that need one are refused';
/** Envoy's own default of ConfigSource.initial_fetch_timeout. */
const FETCH_TIMEOUT_MS = 15_000;

/** `versionMax`: the newest version that is spoken when none is written. */
export function compileCommonTls(
  context: CommonTlsContext | undefined,
  scope: TlsScope,
  versionMax: SecureVersion,
): CommonTls {
  const { problems, path } = scope;
  const settings = compileSettings(context, scope, versionMax);
  const certificates: Slot<KeyPair>[] = [];
  for (const [index, message] of (context?.tlsCertificates ?? []).entries()) {
    certificates.push(scope.secrets.certificate(message, problems, `${path}.tls_certificates[${index}]`));
  }
  for (const [index, config] of (context?.tlsCertificateSdsSecretConfigs ?? []).entries()) {
    const at = `${path}.tls_certificate_sds_secret_configs[${index}]`;
    const request = requestOf(config, { ...scope, path: at });
    if (request?.source === NO_IDENTITY) {
      problems.push(warning(at, NOBODY, 'join with a token (--token-file)'));
      certificates.push(Slot.denied(config.name, 'this sidecar has no identity of the mesh'));
    } else if (request !== null) certificates.push(scope.secrets.namedCertificate(request));
  }
  return { settings, certificates, trust: compileTrust(context, scope) };
}

function compileTrust(context: CommonTlsContext | undefined, scope: TlsScope): Slot<Trust> | null {
  const { secrets, problems, path } = scope;
  const { case: kind, value } = context?.validationContextType ?? { case: undefined };
  switch (kind) {
    case 'validationContext':
      return secrets.trust(value, problems, `${path}.validation_context`);
    case 'validationContextSdsSecretConfig': {
      const request = requestOf(value, { ...scope, path: `${path}.validation_context_sds_secret_config` });
      return request === null ? null : namedTrust(request, secrets, null);
    }
    case 'combinedValidationContext': {
      const at = `${path}.combined_validation_context`;
      const config = value.validationContextSdsSecretConfig;
      if (config === undefined) {
        problems.push(error(`${at}.validation_context_sds_secret_config`, 'must be set', 'write name and sds_config'));
        return null;
      }
      const request = requestOf(config, { ...scope, path: `${at}.validation_context_sds_secret_config` });
      return request === null ? null : namedTrust(request, secrets, value.defaultValidationContext ?? null);
    }
    // Certificate providers are refused by the table of fields.
    default:
      return null;
  }
}

function namedTrust(
  request: NamedRequest,
  secrets: SecretStore,
  base: CertificateValidationContext | null,
): Slot<Trust> {
  if (request.source === NO_IDENTITY) return Slot.denied(request.name, NOBODY);
  return secrets.namedTrust(request, base);
}

/** Where a named secret comes from, and how long it is waited for; null after saying why it is refused. */
export function requestOf(config: SdsSecretConfig, { secrets, problems, path }: TlsScope): NamedRequest | null {
  const found = sourceOf(config.sdsConfig, secrets);
  if ('refusal' in found) {
    const remedy = 'write api_config_source with a static cluster, ads: {} or path_config_source';
    problems.push(error(`${path}.sds_config`, `cannot be a source of secrets: ${found.refusal}`, remedy));
    return null;
  }
  const specifier = config.sdsConfig?.configSourceSpecifier;
  if (specifier?.case === 'pathConfigSource' && !existsSync(specifier.value.path)) {
    const at = `${path}.sds_config.path_config_source.path`;
    problems.push(error(at, `there is no file ${JSON.stringify(specifier.value.path)}`, 'write it first'));
  }
  const waitMs = durationMs(config.sdsConfig?.initialFetchTimeout, FETCH_TIMEOUT_MS);
  return { name: config.name, source: found.source, waitMs, problems, path };
}

function sourceOf(
  config: ConfigSource | undefined,
  { origin }: SecretStore,
): { readonly source: string } | { readonly refusal: string } {
  if (config === undefined) return { source: STATIC };
  const { case: kind, value } = config.configSourceSpecifier;
  if (kind === 'pathConfigSource') return { source: fileSource(value.path, value.watchedDirectory?.path ?? '') };
  return kind === 'ads' || kind === 'self' ? { source: ADS } : sdsSourceOf(config, origin);
}

const VERSIONS: ReadonlyMap<Protocol, SecureVersion> = new Map([
  [Protocol.TLSv1_0, 'TLSv1'],
  [Protocol.TLSv1_1, 'TLSv1.1'],
  [Protocol.TLSv1_2, 'TLSv1.2'],
  [Protocol.TLSv1_3, 'TLSv1.3'],
]);

function compileSettings(
  context: CommonTlsContext | undefined,
  scope: TlsScope,
  versionMax: SecureVersion,
): TlsSettings {
  const parameters = context?.tlsParams;
  const { problems, path } = scope;
  const minVersion = VERSIONS.get(parameters?.tlsMinimumProtocolVersion ?? Protocol.TLS_AUTO) ?? 'TLSv1.2';
  const written = VERSIONS.get(parameters?.tlsMaximumProtocolVersion ?? Protocol.TLS_AUTO);
  const maxVersion = written ?? (minVersion > versionMax ? minVersion : versionMax);
  if (minVersion > maxVersion) {
    const text = `${minVersion} is above the maximum, ${maxVersion}`;
    problems.push(error(`${path}.tls_params.tls_minimum_protocol_version`, text, 'write a maximum above it'));
  }
  return {
    minVersion,
    maxVersion,
    ciphers: compileCiphers(parameters, scope),
    curves: compileNames(parameters?.ecdhCurves, DEFAULT_CURVES, (curves) => ({ ecdhCurve: curves }), {
      ...scope,
      path: `${path}.tls_params.ecdh_curves`,
    }),
    signatures: compileNames(parameters?.signatureAlgorithms, [], (sigalgs) => ({ sigalgs }), {
      ...scope,
      path: `${path}.tls_params.signature_algorithms`,
    }),
    protocols: compileProtocols(context?.alpnProtocols ?? [], scope),
  };
}

function compileCiphers(parameters: TlsParameters | undefined, scope: TlsScope): string {
  const suites = parameters?.cipherSuites ?? [];
  if (suites.length === 0) return cipherList(DEFAULT_CIPHERS);
  const names = cipherNames(suites);
  for (const name of names) {
    if (isTaken({ ciphers: `${name}:@SECLEVEL=0` })) continue;
    const at = `${scope.path}.tls_params.cipher_suites`;
    scope.problems.push(error(at, `there is no cipher suite ${name}`, 'see openssl ciphers -v ALL'));
  }
  return cipherList(names);
}

function compileNames(
  written: readonly string[] | undefined,
  fallback: readonly string[],
  optionOf: (list: string) => object,
  { problems, path }: TlsScope,
): string {
  if (written === undefined || written.length === 0) return fallback.join(':');
  for (const name of written) {
    if (!isTaken(optionOf(name))) problems.push(error(path, `${name} is not known`, 'see openssl list'));
  }
  return written.join(':');
}

/** OpenSSL drops what it does not know from a list without a word, so each name is tried alone. */
function isTaken(options: object): boolean {
  try {
    nodeTls().createSecureContext({ ca: [], ...options });
    return true;
  } catch {
    return false;
  }
}

/** HTTP/2 is not served on these connections yet, so it must not be agreed on. */
function compileProtocols(protocols: readonly string[], { problems, path }: TlsScope): readonly string[] {
  const spoken = protocols.filter((name) => name !== 'h2');
  if (spoken.length === protocols.length) return protocols;
  problems.push(warning(`${path}.alpn_protocols`, 'h2 is not offered: HTTP/2 is not spoken yet', 'write http/1.1'));
  return spoken.length === 0 ? ['http/1.1'] : spoken;
}
