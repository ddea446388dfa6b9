// MeshConfig: mesh-wide settings, as a document of kind MeshConfig or as Istio keeps it, in the key
// `mesh` of the ConfigMap `istio`. Names and defaults are those of istio/mesh/v1alpha1/config.proto.
import { readConnectionPool } from './connection-pool.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { readAuthorizationProvider } from './external-authorization.ts';
import type { AuthorizationProvider } from './external-authorization.ts';
import type { Fields } from './fields.ts';
import { readRetries } from './http-retries.ts';
import type { Retries } from './http-retries.ts';
import { readOutlier } from './outlier.ts';
import type { Outlier } from './outlier.ts';
import { readPositiveMs } from './positive-duration.ts';
import { readLocalitySetting, type LocalitySetting } from './locality-setting.ts';
import { writtenName } from './slip.ts';
import { readTag } from './telemetry.ts';
import type { TagSource } from './telemetry.ts';

export type ExtensionProvider =
  | {
      readonly kind: 'opentelemetry';
      readonly name: string;
      readonly service: string;
      readonly port: number;
      readonly maxTagLength: number | null;
    }
  | {
      readonly kind: 'file-log';
      readonly name: string;
      readonly path: string;
      readonly text: string;
      readonly labels: ReadonlyMap<string, string> | null;
    }
  | AuthorizationProvider;

const OUTBOUND_POLICIES = ['REGISTRY_ONLY', 'ALLOW_ANY'] as const;
export type OutboundPolicy = (typeof OUTBOUND_POLICIES)[number];

export interface MeshConfigSpec {
  readonly rootNamespace: string;
  readonly providers: readonly ExtensionProvider[];
  readonly defaultTracing: readonly string[];
  readonly defaultAccessLogging: readonly string[];
  /** Empty is off. */
  readonly accessLogFile: string;
  readonly accessLogFormat: string;
  readonly accessLogEncoding: 'TEXT' | 'JSON';
  readonly isTracingEnabled: boolean;
  /** Percent; null is Istio's default of 1. */
  readonly samplingPercent: number | null;
  readonly customTags: ReadonlyMap<string, TagSource>;
  readonly outboundTrafficPolicy: OutboundPolicy;
  /** How long a captured connection may keep what it speaks to itself; null is 5 s, 0 for ever. */
  readonly detectionTimeoutMs: number | null;
  /** Null is 10 s. */
  readonly connectTimeoutMs: number | null;
  /** defaultTrafficPolicy. */
  readonly defaultPolicy: { readonly connectionPool: ConnectionPool | null; readonly outlier: Outlier | null };
  /** Of rules without `retries`; null is Istio's own default. */
  readonly defaultRetries: Retries | null;
  /** Of sidecars to their own apps; null is two, of what the app has not begun to handle. */
  readonly inboundRetries: Retries | null;
  /** Null: failover by distance, where outlier detection is on. */
  readonly locality: LocalitySetting | null;
  /** Of the identities that the mesh gives. */
  readonly trustDomain: string;
  /** Further trust domains whose identities count as ours. */
  readonly trustDomainAliases: readonly string[];
  /** Sidecars use mutual TLS to whoever can, where no rule says anything else; true by default. */
  readonly enableAutoMtls: boolean;
  /** meshMTLS.minProtocolVersion. */
  readonly minTlsVersion: 'TLSv1.2' | 'TLSv1.3';
  /** pathNormalization.normalization; Istio's default is BASE. */
  readonly pathNormalization: PathNormalization;
}

export const NORMALIZATIONS = ['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;
export type PathNormalization = Exclude<(typeof NORMALIZATIONS)[number], 'DEFAULT'>;

export const DEFAULT_MESH: MeshConfigSpec = {
  rootNamespace: 'istio-system',
  providers: [],
  defaultTracing: [],
  defaultAccessLogging: [],
  accessLogFile: '',
  accessLogFormat: '',
  accessLogEncoding: 'TEXT',
  isTracingEnabled: true,
  samplingPercent: null,
  customTags: new Map(),
  outboundTrafficPolicy: 'ALLOW_ANY',
  detectionTimeoutMs: null,
  connectTimeoutMs: null,
  defaultPolicy: { connectionPool: null, outlier: null },
  defaultRetries: null,
  inboundRetries: null,
  locality: null,
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  enableAutoMtls: true,
  minTlsVersion: 'TLSv1.2',
  pathNormalization: 'BASE',
};

export function readMeshConfigSpec(fields: Fields): MeshConfigSpec {
  const tracing = fields.object('defaultConfig', (proxy) => {
    const read = proxy.object('tracing', (tracing) => ({
      sampling: tracing.decimal('sampling', { min: 0, max: 100 }),
      tags: tracing.objectMap('customTags', readTag),
    }));
    proxy.later(
      'proxyMetadata',
      'holdApplicationUntilProxyStarts',
      'concurrency',
      'proxyHeaders',
      'drainDuration',
      'terminationDrainDuration',
    );
    return read;
  });
  const providers = fields.object('defaultProviders', (providers) => {
    providers.later('metrics');
    return { tracing: providers.texts('tracing'), accessLogging: providers.texts('accessLogging') };
  });
  fields.later('discoverySelectors', 'defaultServiceExportTo');
  fields.refuseUnknown('trustDomain', 'trustDomainAliases', 'meshMTLS', 'enableAutoMtls', 'extensionProviders');
  return {
    rootNamespace: fields.text(writtenName(fields, 'rootNamespace')) || DEFAULT_MESH.rootNamespace,
    providers: fields.list('extensionProviders', readProvider).filter((provider) => provider !== null),
    defaultTracing: providers?.tracing ?? [],
    defaultAccessLogging: providers?.accessLogging ?? [],
    accessLogFile: fields.text('accessLogFile'),
    accessLogFormat: fields.text('accessLogFormat'),
    accessLogEncoding: fields.choice('accessLogEncoding', ['TEXT', 'JSON']) ?? 'TEXT',
    isTracingEnabled: fields.flag('enableTracing') ?? true,
    samplingPercent: tracing?.sampling ?? null,
    customTags: tracing?.tags ?? new Map(),
    outboundTrafficPolicy: readOutboundPolicy(fields) ?? DEFAULT_MESH.outboundTrafficPolicy,
    detectionTimeoutMs: fields.durationMs('protocolDetectionTimeout'),
    connectTimeoutMs: readPositiveMs(fields, 'connectTimeout'),
    defaultPolicy: fields.object('defaultTrafficPolicy', readDefaultPolicy) ?? DEFAULT_MESH.defaultPolicy,
    defaultRetries: fields.object('defaultHttpRetryPolicy', readRetries),
    inboundRetries: fields.object('defaultInboundHttpRetryPolicy', readRetries),
    locality: fields.object('localityLbSetting', readLocalitySetting),
    trustDomain: fields.text('trustDomain') || DEFAULT_MESH.trustDomain,
    trustDomainAliases: fields.texts('trustDomainAliases'),
    enableAutoMtls: fields.flag('enableAutoMtls') ?? true,
    minTlsVersion: fields.object('meshMTLS', readMinVersion) ?? DEFAULT_MESH.minTlsVersion,
    pathNormalization:
      fields.object(writtenName(fields, 'pathNormalization'), readNormalization) ?? DEFAULT_MESH.pathNormalization,
  };
}

function readMinVersion(fields: Fields): MeshConfigSpec['minTlsVersion'] {
  fields.later('ecdhCurves', 'cipherSuites');
  fields.refuseUnknown('minProtocolVersion');
  const version = fields.choice('minProtocolVersion', ['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']);
  return version === 'TLSV1_3' ? 'TLSv1.3' : 'TLSv1.2';
}

function readNormalization(fields: Fields): PathNormalization {
  const name = writtenName(fields, 'normalization');
  const written = fields.choice(name, NORMALIZATIONS);
  // Of what cannot be read the strictest stands in: policies were written for one that is not known.
  if (written === null) return fields.has(name) || name !== 'normalization' ? 'DECODE_AND_MERGE_SLASHES' : 'BASE';
  return written === 'DEFAULT' ? 'BASE' : written;
}

function readDefaultPolicy(fields: Fields): MeshConfigSpec['defaultPolicy'] {
  return {
    connectionPool: fields.object('connectionPool', readConnectionPool),
    outlier: fields.object('outlierDetection', readOutlier),
  };
}

/** The field `outboundTrafficPolicy` of MeshConfig and of Sidecar; null when it is not given. */
export function readOutboundPolicy(fields: Fields): OutboundPolicy | null {
  return fields.object('outboundTrafficPolicy', (policy) => {
    policy.later('egressProxy');
    return policy.choice('mode', OUTBOUND_POLICIES);
  });
}

function readProvider(fields: Fields): ExtensionProvider | null {
  const name = fields.requiredText('name');
  fields.exclusive('opentelemetry', 'envoyFileAccessLog', 'envoyExtAuthzHttp', 'envoyExtAuthzGrpc');
  const tracer = fields.object('opentelemetry', (tracer): ExtensionProvider => {
    tracer.later('http', 'resourceDetectors', 'dynatraceSampler', 'grpc');
    if (!tracer.has('port')) tracer.error('port', 'port is missing', 'add port: 4317');
    return {
      kind: 'opentelemetry',
      name,
      service: tracer.requiredText('service'),
      port: tracer.port('port') ?? 0,
      maxTagLength: tracer.integer('maxTagLength', { min: 1 }),
    };
  });
  const log = fields.object('envoyFileAccessLog', (log): ExtensionProvider => {
    const format = log.object('logFormat', (format) => {
      format.exclusive('text', 'labels');
      return { text: format.text('text'), labels: format.has('labels') ? format.textMap('labels') : null };
    });
    const path = log.text('path');
    return {
      kind: 'file-log',
      name,
      path: path === '' ? '/dev/stdout' : path,
      text: format?.text ?? '',
      labels: format?.labels ?? null,
    };
  });
  const asked =
    fields.object('envoyExtAuthzHttp', (part) => readAuthorizationProvider(part, name, 'http')) ??
    fields.object('envoyExtAuthzGrpc', (part) => readAuthorizationProvider(part, name, 'grpc'));
  const provider = tracer ?? log ?? asked;
  if (provider === null) fields.later(...fields.names().filter((field) => field !== 'name'));
  return provider;
}
