// A typed resource: one variant per kind that the mesh knows. Everything after the parser works on these.
import type { AuthorizationPolicySpec } from './authorization-policy.ts';
import type { EndpointSliceSpec, PodSpec, ServiceSpec } from './core-kinds.ts';
import type { DestinationRuleSpec } from './destination-rule.ts';
import type { EnvoyFilterSpec } from './envoy-filter.ts';
import type { ExtensionSpec } from './extension.ts';
import type { HttpRouteSpec, ReferenceGrantSpec } from './http-route.ts';
import type { MeshConfigSpec } from './mesh-config.ts';
import type { Meta, Source } from './meta.ts';
import type { PeerAuthenticationSpec } from './peer-authentication.ts';
import type { RequestAuthenticationSpec } from './request-authentication.ts';
import type { RateLimitPolicySpec } from './rate-limit-policy.ts';
import type { ResiliencePolicySpec } from './resilience-policy.ts';
import type { SecretSpec } from './secret.ts';
import type { ServiceEntrySpec, WorkloadSpec } from './service-entry.ts';
import type { SidecarSpec } from './sidecar-scope.ts';
import type { TelemetrySpec } from './telemetry.ts';
import type { VirtualServiceSpec } from './virtual-service.ts';

interface Typed<Kind extends string, Spec> {
  readonly kind: Kind;
  readonly meta: Meta;
  readonly source: Source;
  readonly spec: Spec;
}

export type Service = Typed<'Service', ServiceSpec>;
export type EndpointSlice = Typed<'EndpointSlice', EndpointSliceSpec>;
export type Pod = Typed<'Pod', PodSpec>;
export type Namespace = Typed<'Namespace', null>;
export type ServiceEntry = Typed<'ServiceEntry', ServiceEntrySpec>;
export type WorkloadEntry = Typed<'WorkloadEntry', WorkloadSpec>;
export type VirtualService = Typed<'VirtualService', VirtualServiceSpec>;
export type DestinationRule = Typed<'DestinationRule', DestinationRuleSpec>;
export type HttpRoute = Typed<'HTTPRoute', HttpRouteSpec>;
export type ReferenceGrant = Typed<'ReferenceGrant', ReferenceGrantSpec>;
export type Telemetry = Typed<'Telemetry', TelemetrySpec>;
export type MeshConfig = Typed<'MeshConfig', MeshConfigSpec>;
export type Secret = Typed<'Secret', SecretSpec>;
export type Sidecar = Typed<'Sidecar', SidecarSpec>;
export type AuthorizationPolicy = Typed<'AuthorizationPolicy', AuthorizationPolicySpec>;
export type RequestAuthentication = Typed<'RequestAuthentication', RequestAuthenticationSpec>;
export type BackendTrafficPolicy = Typed<'XBackendTrafficPolicy', ResiliencePolicySpec>;
export type PeerAuthentication = Typed<'PeerAuthentication', PeerAuthenticationSpec>;
export type EnvoyFilter = Typed<'EnvoyFilter', EnvoyFilterSpec>;
export type Extension = Typed<'Extension', ExtensionSpec>;
export type ResiliencePolicy = Typed<'ResiliencePolicy', ResiliencePolicySpec>;

export type RateLimitPolicy = Typed<'RateLimitPolicy', RateLimitPolicySpec>;

export type Resource =
  | Service
  | EndpointSlice
  | Pod
  | Namespace
  | ServiceEntry
  | WorkloadEntry
  | VirtualService
  | DestinationRule
  | HttpRoute
  | ReferenceGrant
  | Telemetry
  | MeshConfig
  | Secret
  | Sidecar
  | AuthorizationPolicy
  | RequestAuthentication
  | BackendTrafficPolicy
  | PeerAuthentication
  | RateLimitPolicy
  | EnvoyFilter
  | Extension
  | ResiliencePolicy;

export type Kind = Resource['kind'];

/** `kind/namespace/name`: what makes two documents the same resource. */
export function resourceKey(kind: string, meta: { readonly namespace: string; readonly name: string }): string {
  return `${kind}/${meta.namespace}/${meta.name}`;
}

/** Older first: creation time, then namespace/name. Decides which of two rivals is in force. */
export function compareAge(left: { readonly meta: Meta }, right: { readonly meta: Meta }): number {
  if (left.meta.createdAtMs !== right.meta.createdAtMs) return left.meta.createdAtMs - right.meta.createdAtMs;
  const leftName = `${left.meta.namespace}/${left.meta.name}`;
  const rightName = `${right.meta.namespace}/${right.meta.name}`;
  return leftName < rightName ? -1 : leftName > rightName ? 1 : 0;
}
