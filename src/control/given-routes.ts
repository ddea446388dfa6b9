// Which routes a sidecar is given: the VirtualServices and HTTPRoutes that decide for a service that it may see, and the
// VirtualServices for hosts of nobody. Who shares a limit of a route asks here; it is what the translation gives out
// (translate/virtual-hosts.ts), without translating.
import type { HttpRoute, VirtualService } from '../config/resource.ts';
import type { HttpMatch } from '../config/virtual-service-match.ts';
import type { MeshNode } from './mesh-node.ts';
import { selects } from './mesh-service.ts';
import type { RouteTarget } from './route-limit-index.ts';
import { Scope } from './scope.ts';
import type { Snapshot } from './snapshot.ts';

type Seeing = Pick<MeshNode, 'namespace' | 'labels' | 'mode'>;

export class GivenRoutes {
  readonly #virtualServices: ReadonlySet<VirtualService>;
  readonly #httpRoutes: ReadonlySet<HttpRoute>;
  readonly #node: Seeing;

  constructor(snapshot: Snapshot, node: Seeing) {
    const scope = new Scope(snapshot, node);
    const virtualServices = new Set<VirtualService>();
    const httpRoutes = new Set<HttpRoute>();
    for (const service of scope.services.values()) {
      const rule = scope.virtualServiceFor(service.host);
      if (rule !== null) virtualServices.add(rule);
      for (const port of service.ports) for (const route of scope.httpRoutesFor(service, port)) httpRoutes.add(route);
    }
    for (const [host, rule] of scope.virtualServices) if (!scope.has(host)) virtualServices.add(rule);
    this.#virtualServices = virtualServices;
    this.#httpRoutes = httpRoutes;
    this.#node = node;
  }

  has({ kind, namespace, name, sectionName }: RouteTarget): boolean {
    const isMeant = ({ meta }: VirtualService | HttpRoute): boolean =>
      meta.namespace === namespace && meta.name === name;
    if (kind === 'HTTPRoute')
      return [...this.#httpRoutes].some(
        (route) => isMeant(route) && (sectionName === '' || route.spec.rules.some((rule) => rule.name === sectionName)),
      );
    return [...this.#virtualServices].some(
      (service) =>
        isMeant(service) &&
        service.spec.http.some(
          (rule) =>
            (sectionName === '' || rule.name === sectionName) &&
            (rule.matches.length === 0 || rule.matches.some((match) => isForCaller(match, this.#node))),
        ),
    );
  }
}

/** What a match says of the caller. */
function isForCaller({ gateways, sourceNamespace, sourceLabels }: HttpMatch, { namespace, labels }: Seeing): boolean {
  if (gateways.length > 0 && !gateways.includes('mesh')) return false;
  return (sourceNamespace === '' || sourceNamespace === namespace) && selects(sourceLabels, labels);
}
