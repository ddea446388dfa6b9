// The reader of each kind: from the fields of an object whose kind and metadata are known to a typed resource. Null where
// there is nothing to keep; what is wrong has been reported by the readers.
import { readAuthorizationPolicySpec } from './authorization-policy.ts';
import { readBackendTrafficPolicySpec } from './backend-traffic-policy.ts';
import { readEndpointSlice, readPod, readServiceSpec } from './core-kinds.ts';
import { readDestinationRuleSpec } from './destination-rule.ts';
import { readEnvoyFilterSpec } from './envoy-filter.ts';
import { readExtensionSpec } from './extension.ts';
import type { Fields } from './fields.ts';
import { readHttpRouteSpec, readReferenceGrantSpec } from './http-route.ts';
import { readMeshConfigSpec } from './mesh-config.ts';
import type { Meta, Source } from './meta.ts';
import { readPeerAuthenticationSpec } from './peer-authentication.ts';
import { readRateLimitPolicySpec } from './rate-limit-policy.ts';
import { readRequestAuthenticationSpec } from './request-authentication.ts';
import { readResiliencePolicySpec } from './resilience-policy.ts';
import type { Resource } from './resource.ts';
import { readServiceEntrySpec, readWorkloadSpec } from './service-entry.ts';
import { readSidecarSpec } from './sidecar-scope.ts';
import { readTelemetrySpec } from './telemetry.ts';
import { readVirtualServiceSpec } from './virtual-service.ts';

export function readKind(kind: string, fields: Fields, meta: Meta, source: Source): Resource | null {
  const base = { meta, source };
  switch (kind) {
    case 'EndpointSlice':
      return { ...base, kind, spec: readEndpointSlice(fields, meta.labels) };
    case 'Pod':
      return { ...base, kind, spec: readPod(fields) };
    case 'Namespace':
      fields.ignore('spec');
      return { ...base, kind, spec: null };
    case 'ConfigMap':
      return readConfigMap(fields, meta, source);
    case 'MeshConfig':
      return {
        ...base,
        kind,
        meta: { ...meta, name: 'default', namespace: '' },
        spec: fields.has('spec')
          ? (fields.object('spec', readMeshConfigSpec) ?? readMeshConfigSpec(fields))
          : readMeshConfigSpec(fields),
      };
    default:
      return readSpec(kind, fields, meta, source);
  }
}

function readSpec(kind: string, fields: Fields, meta: Meta, source: Source): Resource | null {
  if (!fields.has('spec')) {
    fields.error('spec', 'spec is missing', 'add spec:');
    return null;
  }
  return fields.object('spec', (spec): Resource | null => {
    const base = { meta, source };
    switch (kind) {
      case 'Service':
        return { ...base, kind, spec: readServiceSpec(spec) };
      case 'ServiceEntry':
        return { ...base, kind, spec: readServiceEntrySpec(spec) };
      case 'WorkloadEntry':
        return { ...base, kind, spec: readWorkloadSpec(spec) };
      case 'VirtualService':
        return { ...base, kind, spec: readVirtualServiceSpec(spec) };
      case 'DestinationRule':
        return { ...base, kind, spec: readDestinationRuleSpec(spec) };
      case 'HTTPRoute':
        return { ...base, kind, spec: readHttpRouteSpec(spec) };
      case 'ReferenceGrant':
        return { ...base, kind, spec: readReferenceGrantSpec(spec) };
      case 'AuthorizationPolicy':
        return { ...base, kind, spec: readAuthorizationPolicySpec(spec) };
      case 'RequestAuthentication':
        return { ...base, kind, spec: readRequestAuthenticationSpec(spec) };
      case 'Telemetry':
        return { ...base, kind, spec: readTelemetrySpec(spec) };
      case 'Sidecar':
        return { ...base, kind, spec: readSidecarSpec(spec) };
      case 'PeerAuthentication':
        return { ...base, kind, spec: readPeerAuthenticationSpec(spec) };
      case 'XBackendTrafficPolicy':
        return { ...base, kind, spec: readBackendTrafficPolicySpec(spec) };
      case 'RateLimitPolicy':
        return { ...base, kind, spec: readRateLimitPolicySpec(spec) };
      case 'EnvoyFilter':
        return { ...base, kind, spec: readEnvoyFilterSpec(spec) };
      case 'Extension':
        return { ...base, kind, spec: readExtensionSpec(spec) };
      case 'ResiliencePolicy':
        return { ...base, kind, spec: readResiliencePolicySpec(spec) };
      default:
        return null;
    }
  });
}

/** Istio keeps the MeshConfig as a document inside the ConfigMap `istio`. Other ConfigMaps are none of ours. */
function readConfigMap(fields: Fields, meta: Meta, source: Source): Resource | null {
  if (meta.name !== 'istio') {
    fields.ignore('data', 'binaryData', 'immutable');
    return null;
  }
  fields.ignore('immutable', 'binaryData');
  return fields.object('data', (data): Resource | null => {
    data.ignore('meshNetworks');
    return data.embedded('mesh', (mesh): Resource => ({
      kind: 'MeshConfig',
      meta: { ...meta, name: 'default', namespace: '' },
      source,
      spec: readMeshConfigSpec(mesh),
    }));
  });
}
