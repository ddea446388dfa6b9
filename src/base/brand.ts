// Branded primitives: a plain string or number that has been given an identity once, so that a
// route's name cannot be passed where a cluster's is wanted. The only place that casts to a brand.

declare const tag: unique symbol;
export type Brand<Base, Tag extends string> = Base & { readonly [tag]: Tag };

export type RouteId = Brand<string, 'RouteId'>;
export type ClusterId = Brand<string, 'ClusterId'>;
export type HeaderId = Brand<number, 'HeaderId'>;
/** The whole URI of a workload's identity; tls/spiffe-id.ts makes them. */
export type SpiffeId = Brand<string, 'SpiffeId'>;

export const routeId = (name: string): RouteId => name as RouteId;
export const clusterId = (name: string): ClusterId => name as ClusterId;
export const headerId = (index: number): HeaderId => index as HeaderId;
export const spiffeUri = (uri: string): SpiffeId => uri as SpiffeId;
