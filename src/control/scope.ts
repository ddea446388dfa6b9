// What one sidecar may see of a snapshot: services and rules exported to its namespace, narrowed by a
// Sidecar resource when there is one, and which rule decides for a host.
import type { ConnectionPool } from '../config/connection-pool.ts';
import type { OutboundPolicy } from '../config/mesh-config.ts';
import type { DestinationRule, HttpRoute, Sidecar, VirtualService } from '../config/resource.ts';
import { expandHost, isVisible, selects } from './mesh-service.ts';
import type { MeshService } from './mesh-service.ts';
import type { MeshMode, MeshNode } from './mesh-node.ts';
import type { Snapshot } from './snapshot.ts';

export class Scope {
  readonly snapshot: Snapshot;
  readonly namespace: string;
  readonly mode: MeshMode;
  /** What becomes of captured connections to destinations that the mesh does not know. */
  readonly outboundPolicy: OutboundPolicy;
  readonly #sidecar: Sidecar | null;
  readonly #services: Map<string, MeshService>;
  readonly #virtualServices: Map<string, VirtualService>;
  readonly #rules: Map<string, DestinationRule>;
  readonly #routes: Map<string, HttpRoute[]>;

  /** `before`: the same scope of a snapshot from which this one differs only in instances of services. */
  constructor(
    snapshot: Snapshot,
    node: Pick<MeshNode, 'namespace' | 'labels' | 'mode'>,
    before: { readonly scope: Scope; readonly moved: ReadonlySet<string> } | null = null,
  ) {
    this.snapshot = snapshot;
    this.namespace = node.namespace;
    this.mode = node.mode;
    if (before !== null) {
      const { scope, moved } = before;
      this.#sidecar = scope.#sidecar;
      this.outboundPolicy = scope.outboundPolicy;
      this.#virtualServices = scope.#virtualServices;
      this.#rules = scope.#rules;
      this.#routes = scope.#routes;
      this.#services = withMoved(scope.#services, snapshot, moved);
      return;
    }
    this.#services = new Map();
    this.#virtualServices = new Map();
    this.#rules = new Map();
    this.#routes = new Map();
    const sidecar = sidecarFor(snapshot, node);
    this.#sidecar = sidecar;
    const wanted = sidecar?.spec.egressHosts ?? null;
    this.outboundPolicy = sidecar?.spec.outboundPolicy ?? snapshot.mesh.outboundTrafficPolicy;
    for (const service of snapshot.services.values()) {
      if (!this.#canReach(service)) continue;
      const isSeen =
        isVisible(service.exportTo, service.namespace, node.namespace) &&
        (wanted === null || wanted.some((pattern) => admits(pattern, service, node.namespace)));
      if (isSeen) this.#services.set(service.host, service);
    }
    for (const rule of snapshot.virtualServices) {
      const isForMesh = rule.spec.gateways.length === 0 || rule.spec.gateways.includes('mesh');
      if (!isForMesh || !isVisible(rule.spec.exportTo, rule.meta.namespace, node.namespace)) continue;
      for (const host of rule.spec.hosts) {
        const full = this.fullHost(host, rule.meta.namespace);
        if (!this.#virtualServices.has(full)) this.#virtualServices.set(full, rule);
      }
    }
    for (const rule of [...snapshot.destinationRules].toSorted(bySelector)) {
      const { selector } = rule.spec;
      const isOurs = selector === null || (rule.meta.namespace === node.namespace && selects(selector, node.labels));
      if (!isOurs) continue;
      if (!isVisible(rule.spec.exportTo, rule.meta.namespace, node.namespace)) continue;
      const key = `${rule.meta.namespace} ${this.fullHost(rule.spec.host, rule.meta.namespace)}`;
      if (!this.#rules.has(key)) this.#rules.set(key, rule);
    }
    this.#gatherRoutes();
  }

  /** A wildcard without instances leads where the app sends, which is known of captured connections only. */
  #canReach(service: MeshService): boolean {
    return this.mode === 'redirect' || !service.keepsDestination || !service.host.includes('*');
  }

  /** Whether the host is one of the mesh, seen from here or not. */
  has(host: string): boolean {
    const service = this.snapshot.services.get(host);
    return service !== undefined && this.#canReach(service);
  }

  get services(): ReadonlyMap<string, MeshService> {
    return this.#services;
  }

  /** By expanded host; a host may be a wildcard or belong to no service. */
  get virtualServices(): ReadonlyMap<string, VirtualService> {
    return this.#virtualServices;
  }

  /** The host as the mesh knows it: short names and `name.namespace` find their service. */
  fullHost(host: string, namespace: string): string {
    const full = expandHost(host, namespace, this.snapshot.domain);
    if (this.snapshot.services.has(full)) return full;
    for (const suffix of [`.svc.${this.snapshot.domain}`, `.${this.snapshot.domain}`]) {
      if (this.snapshot.services.has(full + suffix)) return full + suffix;
    }
    return full;
  }

  service(host: string): MeshService | null {
    return this.#services.get(host) ?? null;
  }

  /** The VirtualService for exactly this host, else of the longest wildcard that covers it. */
  virtualServiceFor(host: string): VirtualService | null {
    return longest(this.#virtualServices, '', host);
  }

  /** What bounds the connections from the sidecar to its app's port; null: nothing. */
  inboundPoolFor(port: number): ConnectionPool | null {
    return this.#sidecar?.spec.inboundPools.get(port) ?? this.#sidecar?.spec.inboundPool ?? null;
  }

  /** Looked up in the namespaces of the client, of the service, and in the root namespace (Istio's order). */
  ruleFor(host: string): DestinationRule | null {
    const owner = this.snapshot.services.get(host)?.namespace;
    for (const namespace of [this.namespace, owner, this.snapshot.mesh.rootNamespace]) {
      const found = namespace === undefined ? null : longest(this.#rules, `${namespace} `, host);
      if (found !== null) return found;
    }
    return null;
  }

  /** The HTTPRoutes attached to a port of a service, oldest first: those of the client's namespace replace the producer's. */
  httpRoutesFor(service: MeshService, port: { readonly number: number; readonly name: string }): readonly HttpRoute[] {
    const attached = (this.#routes.get(service.host) ?? []).filter((route) =>
      route.spec.parents.some((parent) => {
        const namespace = parent.namespace === '' ? route.meta.namespace : parent.namespace;
        const isParent =
          parent.kind === 'Service' &&
          parent.group === '' &&
          parent.name === service.name &&
          namespace === service.namespace;
        return (
          isParent &&
          (parent.port === 0 || parent.port === port.number) &&
          (parent.sectionName === '' || parent.sectionName === port.name)
        );
      }),
    );
    const consumers = attached.filter(
      (route) => route.meta.namespace !== service.namespace && route.meta.namespace === this.namespace,
    );
    return consumers.length > 0 ? consumers : attached.filter((route) => route.meta.namespace === service.namespace);
  }

  #gatherRoutes(): void {
    for (const route of this.snapshot.httpRoutes) {
      const hosts = new Set<string>();
      for (const parent of route.spec.parents) {
        const namespace = parent.namespace === '' ? route.meta.namespace : parent.namespace;
        if (parent.kind === 'Service' && parent.group === '')
          hosts.add(`${parent.name}.${namespace}.svc.${this.snapshot.domain}`);
      }
      for (const host of hosts) {
        const known = this.#routes.get(host);
        if (known === undefined) this.#routes.set(host, [route]);
        else known.push(route);
      }
    }
  }
}

/** The same Map where none of the services is among those that moved. */
function withMoved(
  services: Map<string, MeshService>,
  snapshot: Snapshot,
  moved: ReadonlySet<string>,
): Map<string, MeshService> {
  const seen = [...moved].filter((host) => services.has(host));
  if (seen.length === 0) return services;
  const next = new Map(services);
  for (const host of seen) {
    const service = snapshot.services.get(host);
    if (service !== undefined) next.set(host, service);
  }
  return next;
}

/** Rules for chosen workloads come before those for everybody; else the order stays. */
function bySelector(left: DestinationRule, right: DestinationRule): number {
  return Number(left.spec.selector === null) - Number(right.spec.selector === null);
}

function longest<T>(rules: ReadonlyMap<string, T>, prefix: string, host: string): T | null {
  const exact = rules.get(prefix + host);
  if (exact !== undefined) return exact;
  if (!hasWildcards(rules)) return null;
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    const found = rules.get(`${prefix}*${host.slice(dot)}`);
    if (found !== undefined) return found;
  }
  return rules.get(`${prefix}*`) ?? null;
}

const wild = new WeakMap<ReadonlyMap<string, unknown>, boolean>();

/** Of rules that do not change any more. A mesh has thousands of hosts, and few of these. */
function hasWildcards(rules: ReadonlyMap<string, unknown>): boolean {
  const known = wild.get(rules) ?? [...rules.keys()].some((key) => key.includes('*'));
  wild.set(rules, known);
  return known;
}

/** The Sidecar resource that selects the node, else its namespace's, else the root namespace's. */
function sidecarFor(snapshot: Snapshot, node: Pick<MeshNode, 'namespace' | 'labels'>): Sidecar | null {
  const own = snapshot.sidecars.filter((sidecar) => sidecar.meta.namespace === node.namespace);
  return (
    own.find((sidecar) => sidecar.spec.selector !== null && selects(sidecar.spec.selector, node.labels)) ??
    own.find((sidecar) => sidecar.spec.selector === null) ??
    snapshot.sidecars.find(
      (sidecar) => sidecar.meta.namespace === snapshot.mesh.rootNamespace && sidecar.spec.selector === null,
    ) ??
    null
  );
}

function admits(pattern: string, service: MeshService, namespace: string): boolean {
  const slash = pattern.indexOf('/');
  const owner = pattern.slice(0, slash);
  const host = pattern.slice(slash + 1);
  if (owner !== '*' && !(owner === '.' && service.namespace === namespace) && owner !== service.namespace) return false;
  return host === '*' || host === service.host || (host.startsWith('*.') && service.host.endsWith(host.slice(1)));
}
