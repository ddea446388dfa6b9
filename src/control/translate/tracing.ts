// Tracing of a sidecar: the provider that Telemetry or the mesh names, as Envoy's OpenTelemetry tracer.
// Sampling: Telemetry, then the mesh's defaultConfig, then Istio's 1 %.
import { create } from '@bufbuild/protobuf';
import { assertNever } from '../../base/assert.ts';
import { Tracing_HttpSchema } from '../../xds/gen/envoy/config/trace/v3/http_tracer_pb.js';
import { OpenTelemetryConfigSchema } from '../../xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import { HttpConnectionManager_TracingSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpConnectionManager_Tracing } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { CustomTag_MetadataSchema, CustomTagSchema } from '../../xds/gen/envoy/type/tracing/v3/custom_tag_pb.js';
import type { CustomTag } from '../../xds/gen/envoy/type/tracing/v3/custom_tag_pb.js';
import { unresolved, warning, type Problem } from '../../base/problem.ts';
import type { ExtensionProvider } from '../../config/mesh-config.ts';
import type { TagSource } from '../../config/telemetry.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import type { Snapshot } from '../snapshot.ts';
import { DRY_RUN_PREFIX, HTTP_RBAC, hasDryRun } from './authorization.ts';
import { pack } from './proto.ts';
import { providerCluster } from './provider-cluster.ts';
import { tracingFor } from './telemetry-scope.ts';

const DEFAULT_SAMPLING_PERCENT = 1;
const MAX_TAG_LENGTH = 256;

type Tracer = Extract<ExtensionProvider, { kind: 'opentelemetry' }>;

export interface Traced {
  readonly config: HttpConnectionManager_Tracing;
  /** The cluster that takes the spans. */
  readonly cluster: string;
}

export function tracing(scope: Scope, node: MeshNode, direction: 'client' | 'server'): Traced | null {
  const { mesh } = scope.snapshot;
  if (!mesh.isTracingEnabled) return null;
  const specs = tracingFor(scope.snapshot, node, direction);
  const names = specs.map((spec) => spec.providers).find((providers) => providers !== null) ?? mesh.defaultTracing;
  const isDisabled = specs.map((spec) => spec.isDisabled).find((disabled) => disabled !== null) ?? false;
  const provider = names.map((name) => tracerNamed(name, scope.snapshot)).find((tracer) => tracer !== null) ?? null;
  if (provider === null || isDisabled) return null;
  const cluster = providerCluster(provider, scope.snapshot);
  if (cluster === null) return null;
  const sampling =
    specs.map((spec) => spec.samplingPercent).find((percent) => percent !== null) ??
    mesh.samplingPercent ??
    DEFAULT_SAMPLING_PERCENT;
  const tags = specs.map((spec) => spec.customTags).find((custom) => custom.size > 0) ?? mesh.customTags;
  const tracer = create(OpenTelemetryConfigSchema, {
    grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: cluster } } },
    serviceName: `${node.service === '' ? node.workload : node.service}.${node.namespace}`,
  });
  const config = create(HttpConnectionManager_TracingSchema, {
    clientSampling: { value: 100 },
    randomSampling: { value: sampling },
    overallSampling: { value: 100 },
    maxPathTagLength: provider.maxTagLength ?? MAX_TAG_LENGTH,
    customTags: [
      ...[...tags]
        .toSorted(([left], [right]) => (left < right ? -1 : 1))
        .map(([name, source]) => customTag(name, source)),
      ...(direction === 'server' && hasDryRun({ snapshot: scope.snapshot, node }) ? dryRunTags() : []),
    ],
    provider: create(Tracing_HttpSchema, {
      name: 'envoy.tracers.opentelemetry',
      configType: { case: 'typedConfig', value: pack(OpenTelemetryConfigSchema, tracer) },
    }),
  });
  return { config, cluster };
}

/** What the policies that are only tried would have decided (Istio's names). */
function dryRunTags(): CustomTag[] {
  return (['ALLOW', 'DENY'] as const).flatMap((action) => {
    const tag = (leaf: string, key: string): CustomTag =>
      create(CustomTagSchema, {
        tag: `istio.authorization.dry_run.${action.toLowerCase()}_policy.${leaf}`,
        type: {
          case: 'metadata',
          value: create(CustomTag_MetadataSchema, {
            kind: { kind: { case: 'request', value: {} } },
            metadataKey: {
              key: HTTP_RBAC,
              path: [{ segment: { case: 'key', value: `${DRY_RUN_PREFIX[action]}${key}` } }],
            },
          }),
        },
      });
    return [tag('name', 'shadow_effective_policy_id'), tag('result', 'shadow_engine_result')];
  });
}

function tracerNamed(name: string, snapshot: Snapshot): Tracer | null {
  const found = snapshot.mesh.providers.find((provider) => provider.name === name);
  return found?.kind === 'opentelemetry' ? found : null;
}

/** Every cluster that any provider sends to: they are HTTP/2. */
export function tracerClusters(snapshot: Snapshot): ReadonlySet<string> {
  const clusters = new Set<string>();
  for (const provider of snapshot.mesh.providers) {
    const cluster = provider.kind === 'opentelemetry' ? providerCluster(provider, snapshot) : null;
    if (cluster !== null) clusters.add(cluster);
  }
  return clusters;
}

function customTag(tag: string, source: TagSource): CustomTag {
  switch (source.kind) {
    case 'literal':
      return create(CustomTagSchema, { tag, type: { case: 'literal', value: { value: source.value } } });
    case 'environment':
      return create(CustomTagSchema, {
        tag,
        type: { case: 'environment', value: { name: source.name, defaultValue: source.fallback } },
      });
    case 'header':
      return create(CustomTagSchema, {
        tag,
        type: { case: 'requestHeader', value: { name: source.name, defaultValue: source.fallback } },
      });
    default:
      return assertNever(source);
  }
}

/** Providers that are named and do not exist, or whose service does not. */
export function checkTelemetry(snapshot: Snapshot): readonly Problem[] {
  const problems: Problem[] = [];
  for (const telemetry of snapshot.telemetries) {
    for (const [index, spec] of telemetry.spec.tracing.entries()) {
      for (const [position, name] of (spec.providers ?? []).entries()) {
        const path = `spec.tracing[${index}].providers[${position}].name`;
        const provider = snapshot.mesh.providers.find((candidate) => candidate.name === name);
        const isReachable = provider?.kind === 'opentelemetry' && providerCluster(provider, snapshot) !== null;
        if (isReachable) continue;
        const message =
          provider === undefined
            ? `no extension provider is named ${name}; nothing is traced`
            : `the service of the provider ${name} is not known, or has no such port; nothing is traced`;
        const remedy =
          provider === undefined
            ? 'add it to extensionProviders of the MeshConfig, or start with --tracing'
            : 'add a Service or ServiceEntry for it';
        problems.push(unresolved(warning(path, message, remedy, telemetry.source.locate(path))));
      }
    }
  }
  return problems;
}
