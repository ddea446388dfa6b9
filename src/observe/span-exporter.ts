// Where spans go: reads the destination out of Envoy's OpenTelemetryConfig, and makes the OTLP
// exporter for an address. A cluster name is resolved at export time, through the live cluster, so
// that a Collector may move. Credentials of the channel are not supported: plaintext only. Transport,
// retry and time limits are OpenTelemetry's; the bytes of the spans are ours (span-encoder.ts).
import type { createOtlpGrpcExportDelegate } from '@opentelemetry/otlp-grpc-exporter-base';
import { assertNever } from '../base/assert.ts';
import { error, warning } from '../base/problem.ts';
import { formatAddress } from '../plan/cluster.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { HttpService } from '../xds/gen/envoy/config/core/v3/http_service_pb.js';
import type { GrpcService } from '../xds/gen/envoy/config/core/v3/grpc_service_pb.js';
import type { OpenTelemetryConfig } from '../xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import type { NodeIdentity } from './node-identity.ts';
import type { SpanBatch } from './span-batch.ts';
import { encodeEnvelope } from './span-encoder.ts';
import type { SpanAttributes } from './span-shape.ts';

export interface TargetSpec {
  /** Equal keys are one destination with one queue. */
  readonly key: string;
  readonly serviceName: string;
  /** `none`: contexts are passed on, spans are not kept (no exporter configured). */
  readonly protocol: 'grpc' | 'http' | 'none';
  /** `host:port` of the Collector as of now; null while it is not known. */
  readonly address: () => string | null;
  /** Path and query of the OTLP/HTTP endpoint. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Encoded spans, and the resource that they belong to. */
export interface ExportBatch {
  readonly spans: SpanBatch;
  readonly resource: SpanAttributes;
}

export type Exporter = Pick<ReturnType<typeof createOtlpGrpcExportDelegate<ExportBatch, null>>, 'export' | 'shutdown'>;

/** The instrumentation scope of every span. */
const SCOPE = 'outrigger';

/**
 * Writes the ExportTraceServiceRequest of a batch, each into the same buffer: one export is under way at
 * a time, and an exporter whose export was given up is not used again. The answer (a count of refused
 * spans) is not read.
 */
class RequestWriter {
  #buffer = Buffer.alloc(0);

  serializeRequest({ spans, resource }: ExportBatch): Uint8Array {
    const bytes = spans.bytes();
    const envelope = encodeEnvelope(resource, SCOPE, bytes.length);
    const size = envelope.length + bytes.length;
    if (this.#buffer.length < size) this.#buffer = Buffer.allocUnsafeSlow(size * 2);
    this.#buffer.write(envelope, 0, 'latin1');
    bytes.copy(this.#buffer, envelope.length);
    return this.#buffer.subarray(0, size);
  }

  deserializeResponse(): null {
    return null;
  }
}

const COUNTING = { name: 'span', countItems: ({ spans }: ExportBatch): number => spans.count } as const;

/** How long one export may take unless configured, in milliseconds. */
const TIMEOUT_MS = 10_000;
const NO_HEADERS = Object.freeze({});

export function compileTarget(
  config: OpenTelemetryConfig,
  env: CompileEnv,
  path: string,
  node: NodeIdentity,
): TargetSpec | 'refused' {
  // Envoy's own default is `unknown_service:envoy`; the name of the service is more use.
  const serviceName = config.serviceName || node.cluster || node.canonicalService || 'unknown_service:outrigger';
  if (config.grpcService !== undefined && config.httpService !== undefined) {
    env.problems.push(error(path, 'grpc_service and http_service exclude each other', 'keep one of them'));
    return 'refused';
  }
  if (config.grpcService !== undefined) return grpcTarget(config.grpcService, env, `${path}.grpc_service`, serviceName);
  if (config.httpService !== undefined) return httpTarget(config.httpService, env, `${path}.http_service`, serviceName);
  return { ...base(serviceName, `none|${serviceName}`), protocol: 'none' };
}

function grpcTarget(config: GrpcService, env: CompileEnv, path: string, serviceName: string): TargetSpec | 'refused' {
  const { targetSpecifier: target } = config;
  const common = {
    protocol: 'grpc' as const,
    timeoutMs: durationMs(config.timeout),
    headers: headersOf(config.initialMetadata),
  };
  switch (target.case) {
    case 'envoyGrpc': {
      const name = target.value.clusterName;
      return { ...base(serviceName, `grpc|${name}|${serviceName}`), ...common, address: addressOf(env, name) };
    }
    case 'googleGrpc': {
      if (target.value.channelCredentials !== undefined || target.value.callCredentials.length > 0) {
        env.problems.push(
          warning(
            `${path}.google_grpc`,
            'credentials are not supported, spans are sent in plaintext',
            'use envoy_grpc',
          ),
        );
      }
      // gRPC names a scheme before the address; OTLP wants the address alone.
      const address = target.value.targetUri.replace(/^(?:dns|ipv4|ipv6):(?:\/{2,3})?/, '');
      return { ...base(serviceName, `grpc|${address}|${serviceName}`), ...common, address: () => address };
    }
    case undefined:
      env.problems.push(error(path, 'no target', 'set envoy_grpc.cluster_name'));
      return 'refused';
    default:
      return assertNever(target);
  }
}

function httpTarget(config: HttpService, env: CompileEnv, path: string, serviceName: string): TargetSpec | 'refused' {
  const uri = config.httpUri;
  if (uri === undefined || !URL.canParse(uri.uri)) {
    env.problems.push(error(`${path}.http_uri.uri`, 'is not a URI', 'write http://HOST:PORT/v1/traces'));
    return 'refused';
  }
  const url = new URL(uri.uri);
  if (url.protocol !== 'http:') {
    const what = url.protocol === 'https:' ? 'TLS to a Collector is not supported yet' : `${url.protocol} is not HTTP`;
    env.problems.push(error(`${path}.http_uri.uri`, what, 'write http://HOST:PORT/v1/traces'));
    return 'refused';
  }
  const upstream = uri.httpUpstreamType;
  const own = url.port === '' ? `${url.host}:80` : url.host;
  const headers: Record<string, string> = {};
  for (const { header } of config.requestHeadersToAdd) if (header !== undefined) headers[header.key] = header.value;
  return {
    ...base(serviceName, `http|${uri.uri}|${upstream.value ?? ''}|${serviceName}`),
    protocol: 'http',
    address: upstream.case === 'cluster' ? addressOf(env, upstream.value) : () => own,
    path: `${url.pathname === '/' ? '/v1/traces' : url.pathname}${url.search}`,
    headers,
    timeoutMs: durationMs(uri.timeout),
  };
}

function base(serviceName: string, key: string): TargetSpec {
  return {
    key,
    serviceName,
    protocol: 'none',
    address: () => null,
    path: '',
    headers: NO_HEADERS,
    timeoutMs: TIMEOUT_MS,
  };
}

/** The first healthy endpoint, else the first. */
function addressOf(env: CompileEnv, name: string): () => string | null {
  const ref = env.clusterRef(name);
  return () => {
    const endpoints = ref.cluster?.endpoints ?? [];
    const endpoint = endpoints.find((candidate) => candidate.isHealthy) ?? endpoints[0];
    if (endpoint === undefined) return null;
    return endpoint.port === 0 ? `unix://${endpoint.address}` : formatAddress(endpoint.address, endpoint.port);
  };
}

function headersOf(entries: GrpcService['initialMetadata']): Readonly<Record<string, string>> {
  return Object.fromEntries(entries.map(({ key, value }) => [key.toLowerCase(), value]));
}

function durationMs(duration: { readonly seconds: bigint; readonly nanos: number } | undefined): number {
  if (duration === undefined) return TIMEOUT_MS;
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  return ms > 0 ? ms : TIMEOUT_MS;
}

/** A new OTLP exporter for `address`; the packages are loaded now. */
export async function makeExporter(spec: TargetSpec, address: string): Promise<Exporter> {
  const timeoutMillis = spec.timeoutMs;
  if (spec.protocol === 'http') {
    const http = await import('@opentelemetry/otlp-exporter-base/node-http');
    const url = `http://${address}${spec.path}`;
    const fixed = { 'Content-Type': 'application/x-protobuf' };
    const options = { url, headers: { ...spec.headers }, timeoutMillis };
    const settings = http.convertLegacyHttpOptions(options, 'TRACES', 'v1/traces', fixed);
    return http.createOtlpHttpExportDelegate(
      settings,
      new RequestWriter(),
      'otlp_http_span_exporter',
      COUNTING,
      undefined,
    );
  }
  const grpc = await import('@opentelemetry/otlp-grpc-exporter-base');
  const { Metadata, credentials } = await import('@grpc/grpc-js');
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(spec.headers)) metadata.set(key, value);
  const url = address.startsWith('unix:') ? address : `http://${address}`;
  const options = { url, credentials: credentials.createInsecure(), metadata, timeoutMillis };
  return grpc.createOtlpGrpcExportDelegate(
    grpc.convertLegacyOtlpGrpcOptions(options, 'TRACES'),
    new RequestWriter(),
    'otlp_grpc_span_exporter',
    COUNTING,
    undefined,
    'TraceExportService',
    '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  );
}
