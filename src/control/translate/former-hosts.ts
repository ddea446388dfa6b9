// The virtual hosts of the tables before, where nothing but routes and instances changed since: the host of a service that
// the same rule decides for is the same host, and is neither made nor encoded again.
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { VirtualHost } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import type { Scope } from '../scope.ts';

export class FormerHosts {
  readonly #scope: Scope;
  /** By table, then by name. */
  readonly #hosts = new Map<string, Map<string, VirtualHost>>();

  constructor(scope: Scope, tables: readonly RouteConfiguration[]) {
    this.#scope = scope;
    for (const { name, virtualHosts } of tables)
      this.#hosts.set(name, new Map(virtualHosts.map((host) => [host.name, host])));
  }

  /** Null: it has to be made. HTTPRoutes depend on grants and on each other, so what they decide is always made. */
  find(table: string, name: string, { scope, service, port }: Decided): VirtualHost | null {
    if (scope.virtualServiceFor(service.host) !== this.#scope.virtualServiceFor(service.host)) return null;
    const hasRoutes = [scope, this.#scope].some((one) => one.httpRoutesFor(service, port).length > 0);
    return hasRoutes ? null : (this.#hosts.get(table)?.get(name) ?? null);
  }
}

/** For what somebody decides. */
interface Decided {
  readonly scope: Scope;
  readonly service: MeshService;
  readonly port: MeshPort;
}
