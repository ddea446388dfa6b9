// The one place where the sections of ResiliencePolicies become fields of a Cluster and of a Route. They come after
// DestinationRule, VirtualService and HTTPRoute, and so have the last word. A section that has much to say has a file
// of its own, `resilience-SECTION.ts`.
import { assertNever } from '../../base/assert.ts';
import type { RouteSection, ServiceSection } from '../../config/resilience-policy.ts';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Route } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Abilities } from '../mesh-node.ts';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import { applyRetryBudget, applyRetryConstraint } from './circuit-breakers.ts';
import { applyLoadBalancer, applyStickySplit } from './resilience-balancer.ts';
import { applyEjection } from './resilience-ejection.ts';
import { annotatedCheck, applyHealthCheck } from './resilience-health.ts';
import { applyHedge, applyRetryBackOff } from './resilience-retry.ts';

export interface ResilienceContext {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly abilities: Abilities;
}

export function applyResilience(
  cluster: Cluster,
  sections: readonly ServiceSection[],
  context: ResilienceContext,
): void {
  const annotated = annotatedCheck(context.service);
  if (annotated !== null) applyHealthCheck(cluster, annotated, context);
  for (const section of sections) {
    switch (section.kind) {
      case 'adaptiveConcurrency':
      case 'admissionControl':
      case 'shedding':
        // A matter of listeners, where the app is: overload.ts.
        break;
      case 'concurrencyLimit':
        // Each client has a share of its own: concurrency-limit.ts.
        break;
      case 'fallback':
        // A cluster of its own: fallback.ts.
        break;
      case 'healthCheck':
        applyHealthCheck(cluster, section, context);
        break;
      case 'loadBalancer':
        applyLoadBalancer(cluster, section);
        break;
      case 'outlierDetection':
        applyEjection(cluster, section);
        break;
      case 'retryBudget':
        applyRetryBudget(cluster, section);
        break;
      case 'retryConstraint':
        applyRetryConstraint(cluster, section, context.abilities);
        break;
      case 'sessionPersistence':
        // A matter of routes: session.ts.
        break;
      default:
        assertNever(section);
    }
  }
}

export function applyRouteResilience(route: Route, sections: readonly RouteSection[]): void {
  if (route.action.case !== 'route') return;
  const action = route.action.value;
  for (const section of sections) {
    switch (section.kind) {
      case 'hedge':
        applyHedge(action, section);
        break;
      case 'retryBackOff':
        applyRetryBackOff(route, action, section);
        break;
      case 'stickySplit':
        applyStickySplit(route, section);
        break;
      default:
        assertNever(section);
    }
  }
}
