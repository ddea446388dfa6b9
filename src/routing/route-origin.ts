// The resource that a route came from: the control service leaves it in the route's metadata, as
// Istio does (`istio.config`); else it is the configuration's.
import type { Origin } from '../plan/plan.ts';
import type { Route } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';

export function originOf(route: Route, fallback: Origin): Origin {
  const config = route.metadata?.filterMetadata['istio']?.['config'];
  return typeof config === 'string' && config !== '' ? config : fallback;
}
