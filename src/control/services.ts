// Builds the MeshServices from Services, ServiceEntries and joined workloads, and finds the instances
// of each port: EndpointSlices first, then selected Pods, WorkloadEntries and joined sidecars. A service that is what it
// was keeps its object, and one of which only instances changed keeps the rest: later steps compare by identity.
import { compareAge } from '../config/resource.ts';
import type { EndpointSlice, Pod, Resource, Service, ServiceEntry, WorkloadEntry } from '../config/resource.ts';
import type { ServicePort } from '../config/core-kinds.ts';
import type { ServiceEntryPort, WorkloadSpec } from '../config/service-entry.ts';
import type { Source } from '../config/meta.ts';
import type { Problem } from '../base/problem.ts';
import type { MeshApp, MeshNode } from './mesh-node.ts';
import { bare, entryEndpoint, nodeEndpoint, podEndpoint, type Named } from './instances.ts';
import { meshPort, selects } from './mesh-service.ts';
import type { MeshEndpoint, MeshPort, MeshService } from './mesh-service.ts';
import type { PeerAuthentications } from './peer-authentications.ts';
import { latest, type ServiceReuse } from './service-reuse.ts';

export interface ServiceInputs {
  readonly resources: readonly Resource[];
  readonly workloads: readonly MeshNode[];
  readonly domain: string;
  /** Who takes mutual TLS. */
  readonly authentications: PeerAuthentications;
  /** What there was before; null, the default: nothing. */
  readonly reuse?: ServiceReuse | null;
}

export interface BuiltServices {
  readonly services: ReadonlyMap<string, MeshService>;
  readonly problems: readonly Problem[];
}

export function buildServices(inputs: ServiceInputs): BuiltServices {
  const builder = new ServiceBuilder(inputs);
  const { resources } = inputs;
  const services = resources.filter((resource) => resource.kind === 'Service').toSorted(compareAge);
  for (const service of services) builder.addService(service);
  const entries = resources.filter((resource) => resource.kind === 'ServiceEntry').toSorted(compareAge);
  for (const entry of entries) builder.addEntry(entry);
  builder.addJoined();
  return { services: builder.services, problems: builder.problems };
}

class ServiceBuilder {
  readonly services = new Map<string, MeshService>();
  readonly problems: Problem[] = [];
  readonly #domain: string;
  readonly #authentications: PeerAuthentications;
  readonly #workloads: readonly MeshNode[];
  readonly #slices = new Map<string, EndpointSlice[]>();
  /** By namespace. */
  readonly #pods = new Map<string, Pod[]>();
  readonly #sorted = new Set<string>();
  readonly #entries: WorkloadEntry[] = [];
  readonly #podsByName = new Map<string, Pod>();
  /** Sidecars that are sent to by name take only HTTP. */
  readonly #isExplicit: boolean;
  readonly #reuse: ServiceReuse | null;

  constructor({ resources, workloads, domain, authentications, reuse = null }: ServiceInputs) {
    this.#reuse = reuse;
    this.#domain = domain;
    this.#authentications = authentications;
    this.#workloads = workloads;
    this.#isExplicit = workloads.some((node) => node.mode === 'explicit');
    for (const resource of resources) {
      if (resource.kind === 'EndpointSlice') {
        const key = `${resource.meta.namespace}/${resource.spec.service}`;
        const known = this.#slices.get(key);
        if (known === undefined) this.#slices.set(key, [resource]);
        else known.push(resource);
      } else if (resource.kind === 'Pod') {
        const { namespace } = resource.meta;
        const known = this.#pods.get(namespace);
        if (known === undefined) this.#pods.set(namespace, [resource]);
        else known.push(resource);
        this.#podsByName.set(`${resource.meta.namespace}/${resource.meta.name}`, resource);
      } else if (resource.kind === 'WorkloadEntry') this.#entries.push(resource);
    }
    // The order in which they are given never shows.
    this.#entries.sort(compareAge);
  }

  addService(service: Service): void {
    const { meta, spec, source } = service;
    const ports: MeshPort[] = [];
    const datagramPorts: number[] = [];
    const endpoints = new Map<number, readonly MeshEndpoint[]>();
    const host = `${meta.name}.${meta.namespace}.svc.${this.#domain}`;
    const slices = this.#slices.get(`${meta.namespace}/${meta.name}`) ?? [];
    const before = this.#reuse?.untouched(host, service, slices) ?? null;
    for (const [index, port] of spec.ports.entries()) {
      const known = meshPort(port);
      if (known.protocol === 'tcp') this.#warnOfTcp(source, `spec.ports[${index}]`, port.number);
      if (known.protocol === 'udp') datagramPorts.push(known.number);
      if (known.protocol === 'udp' || before !== null) continue;
      ports.push(known);
      endpoints.set(
        port.number,
        spec.externalName === '' ? this.#endpointsOf(service, port) : [bare(spec.externalName, port.number)],
      );
    }
    if (before !== null) {
      this.services.set(host, before);
      return;
    }
    const exportTo = (meta.annotations.get('networking.istio.io/exportTo') ?? '')
      .split(',')
      .filter((entry) => entry !== '');
    const resolution = spec.externalName === '' ? 'eds' : 'dns';
    this.#set({
      host,
      name: meta.name,
      namespace: meta.namespace,
      kind: 'service',
      resolution,
      ports,
      ...(datagramPorts.length === 0 ? {} : { datagramPorts }),
      endpoints,
      selector: spec.selector,
      clusterIps: spec.clusterIps,
      ranges: [],
      // Callers of a headless Service choose the instance themselves.
      keepsDestination: spec.isHeadless,
      isHeadless: spec.isHeadless,
      nearness:
        spec.trafficDistribution === null ? null : spec.trafficDistribution === 'PreferSameZone' ? 'zone' : 'subzone',
      exportTo,
      subjectAltNames: [],
      meta,
      source,
    });
  }

  #endpointsOf(service: Service, port: ServicePort): readonly MeshEndpoint[] {
    const { meta, spec } = service;
    const found: MeshEndpoint[] = [];
    const slices = (this.#slices.get(`${meta.namespace}/${meta.name}`) ?? []).toSorted(compareAge);
    for (const slice of slices) found.push(...this.#sliceEndpoints(slice, port));
    if (spec.selector.size > 0) {
      if (slices.length === 0) {
        for (const pod of this.#podsOf(meta.namespace)) {
          const isOurs = pod.spec.isReady && pod.spec.ip !== '';
          const target = typeof port.targetPort === 'number' ? port.targetPort : pod.spec.ports.get(port.targetPort);
          if (isOurs && target !== undefined && selects(spec.selector, pod.meta.labels))
            found.push(this.#podEndpoint(pod, pod.spec.ip, target, ''));
        }
      }
      for (const entry of this.#entries) {
        if (entry.meta.namespace !== meta.namespace || !selects(spec.selector, entry.spec.labels)) continue;
        const target = typeof port.targetPort === 'number' ? port.targetPort : port.number;
        found.push(this.#entryEndpoint(entry.spec, port.name, target, entry.meta));
      }
    }
    for (const node of this.#workloads) {
      if (node.namespace !== meta.namespace) continue;
      const isOurs = spec.selector.size === 0 ? node.service === meta.name : selects(spec.selector, node.labels);
      const app = isOurs ? appFor(node, port.targetPort, spec.ports.length) : null;
      if (app !== null) found.push(this.#nodeEndpoint(node, app));
    }
    return unique(found);
  }

  #sliceEndpoints(slice: EndpointSlice, port: ServicePort): readonly MeshEndpoint[] {
    const { spec, meta } = slice;
    const target =
      spec.ports.find((candidate) => candidate.name === port.name) ??
      (spec.ports.length === 1 && port.name === '' ? spec.ports[0] : undefined);
    if (target === undefined) return [];
    const found: MeshEndpoint[] = [];
    for (const endpoint of spec.endpoints) {
      if (!endpoint.isReady) continue;
      const pod = this.#podsByName.get(`${meta.namespace}/${endpoint.podName}`);
      for (const address of endpoint.addresses.slice(0, 1)) {
        if (pod === undefined)
          found.push({
            ...bare(address, target.port),
            locality: { region: '', zone: endpoint.zone, subZone: '' },
            workload: endpoint.podName,
            namespace: meta.namespace,
          });
        else found.push(this.#podEndpoint(pod, address, target.port, endpoint.zone));
      }
    }
    return found;
  }

  addEntry(entry: ServiceEntry): void {
    const { meta, spec, source } = entry;
    const ports = spec.ports.map((port) =>
      meshPort({
        number: port.number,
        name: port.name,
        appProtocol: port.protocol,
        transport: port.protocol.toUpperCase() === 'UDP' ? 'UDP' : 'TCP',
      }),
    );
    for (const [index, port] of ports.entries())
      if (port.protocol === 'tcp') this.#warnOfTcp(source, `spec.ports[${index}]`, port.number);
    for (const [index, host] of spec.hosts.entries()) {
      const rival = this.services.get(host);
      if (rival !== undefined) {
        const owner = `${rival.kind === 'service' ? 'Service' : 'ServiceEntry'} ${rival.namespace}/${rival.meta.name}`;
        this.#warn(
          source.locate(`spec.hosts[${index}]`),
          `spec.hosts[${index}]`,
          `the host ${host} is already taken by the ${owner}; it has no effect here`,
          'remove the host from one of them',
        );
        continue;
      }
      const isResolved = spec.resolution === 'STATIC' || spec.workloadLabels !== null;
      const canResolve = !host.includes('*') || spec.endpoints.length > 0 || spec.resolution === 'NONE';
      if (spec.resolution === 'DYNAMIC_DNS' || (!isResolved && !canResolve)) continue;
      const endpoints = new Map(spec.ports.map((port) => [port.number, this.#entryEndpoints(entry, port, host)]));
      const resolution = isResolved ? 'eds' : spec.resolution === 'DNS_ROUND_ROBIN' ? 'one-of-dns' : 'dns';
      this.#set({
        host,
        name: host,
        namespace: meta.namespace,
        kind: 'entry',
        resolution,
        ports,
        endpoints,
        selector: new Map(),
        clusterIps: spec.addresses.filter((address) => !address.includes('/')),
        ranges: spec.addresses.filter((address) => address.includes('/')),
        keepsDestination: spec.resolution === 'NONE' && !isResolved,
        isHeadless: false,
        nearness: null,
        exportTo: spec.exportTo,
        subjectAltNames: spec.subjectAltNames,
        meta,
        source,
      });
    }
  }

  #entryEndpoints(entry: ServiceEntry, port: ServiceEntryPort, host: string): readonly MeshEndpoint[] {
    const { spec, meta } = entry;
    if (spec.workloadLabels === null) {
      if (spec.endpoints.length === 0) return spec.resolution === 'STATIC' ? [] : [bare(host, port.targetPort)];
      return spec.endpoints.map((endpoint) => this.#entryEndpoint(endpoint, port.name, port.targetPort, meta));
    }
    const found: MeshEndpoint[] = [];
    const selector = spec.workloadLabels;
    for (const candidate of this.#entries) {
      if (candidate.meta.namespace === meta.namespace && selects(selector, candidate.spec.labels))
        found.push(this.#entryEndpoint(candidate.spec, port.name, port.targetPort, candidate.meta));
    }
    for (const pod of this.#podsOf(meta.namespace)) {
      if (pod.spec.isReady && selects(selector, pod.meta.labels))
        found.push(this.#podEndpoint(pod, pod.spec.ip, port.targetPort, ''));
    }
    for (const node of this.#workloads) {
      const app =
        node.namespace === meta.namespace && selects(selector, node.labels)
          ? appFor(node, port.targetPort, spec.ports.length)
          : null;
      if (app !== null) found.push(this.#nodeEndpoint(node, app));
    }
    return unique(found);
  }

  /** A name that sidecars joined under and that no Service declares is a service with the ports of their apps. */
  addJoined(): void {
    const groups = new Map<string, MeshNode[]>();
    for (const node of this.#workloads) {
      const host = `${node.service}.${node.namespace}.svc.${this.#domain}`;
      if (this.services.has(host)) continue;
      const known = groups.get(host);
      if (known === undefined) groups.set(host, [node]);
      else known.push(node);
    }
    for (const [host, nodes] of groups) {
      const ports = new Map<number, MeshPort>();
      for (const app of nodes.flatMap((node) => node.apps)) {
        if (!ports.has(app.port)) ports.set(app.port, joinedPort(app));
      }
      // Workloads with one app each are replicas, even when their apps sit on different ports of one machine.
      const areReplicas = nodes.every((node) => node.apps.length === 1);
      const endpoints = new Map<number, readonly MeshEndpoint[]>();
      for (const port of ports.keys()) {
        const serving = nodes.flatMap((node) =>
          node.apps.filter((app) => areReplicas || app.port === port).map((app) => this.#nodeEndpoint(node, app)),
        );
        endpoints.set(port, unique(serving));
      }
      const [first] = nodes;
      if (first === undefined) continue;
      const meta = {
        name: first.service,
        namespace: first.namespace,
        labels: new Map(),
        annotations: new Map(),
        createdAtMs: 0,
        generation: 1,
      };
      const sorted = [...ports.values()].toSorted((left, right) => left.number - right.number);
      this.#set({
        host,
        name: first.service,
        namespace: first.namespace,
        kind: 'joined',
        resolution: 'eds',
        ports: sorted,
        endpoints,
        selector: new Map(),
        clusterIps: [],
        ranges: [],
        keepsDestination: false,
        isHeadless: false,
        nearness: null,
        exportTo: [],
        subjectAltNames: [],
        meta,
        source: null,
      });
    }
  }

  /** Oldest first. Asked for only where no slice says who serves, so it is sorted only then. */
  #podsOf(namespace: string): readonly Pod[] {
    const pods = this.#pods.get(namespace) ?? [];
    if (!this.#sorted.has(namespace)) pods.sort(compareAge);
    this.#sorted.add(namespace);
    return pods;
  }

  #set(service: MeshService): void {
    this.services.set(service.host, latest(this.#reuse?.services.get(service.host), service));
  }

  #podEndpoint(pod: Pod, address: string, port: number, zone: string): MeshEndpoint {
    return this.#secured(podEndpoint(pod, address, port, zone), port);
  }

  #entryEndpoint(spec: WorkloadSpec, portName: string, port: number, meta: Named): MeshEndpoint {
    const endpoint = entryEndpoint(spec, portName, port, meta);
    return this.#secured(endpoint, endpoint.port);
  }

  #nodeEndpoint(node: MeshNode, app: MeshApp): MeshEndpoint {
    return this.#secured(nodeEndpoint(node, app), app.port);
  }

  /** Whoever could take mutual TLS but is told not to is called in plaintext. `port`: of the workload itself. */
  #secured(endpoint: MeshEndpoint, port: number): MeshEndpoint {
    if (!endpoint.isMeshed || this.#authentications.modeOf(endpoint, port) !== 'DISABLE') return endpoint;
    return { ...endpoint, isMeshed: false };
  }

  #warnOfTcp(source: Source, path: string, port: number): void {
    if (!this.#isExplicit) return;
    const message = `port ${port} is TCP; sidecars in explicit mode forward only HTTP by name, so calls to it do not go through the mesh`;
    const remedy = 'run them in redirect mode; if the port speaks HTTP, name it http-… or set appProtocol: http';
    this.#warn(source.locate(path), path, message, remedy);
  }

  #warn(place: Problem['place'], path: string, message: string, remedy: string): void {
    this.problems.push({ severity: 'warning', path, message, remedy, place });
  }
}

/** The app of a workload that a service port leads to: the one at the target port, or its only one. */
export function appFor(node: MeshNode, targetPort: number | string, portCount: number): MeshApp | null {
  const exact = node.apps.find((app) => app.port === targetPort);
  if (exact !== undefined) return exact;
  const [only] = node.apps;
  return node.apps.length === 1 && only !== undefined && (portCount === 1 || typeof targetPort === 'string')
    ? only
    : null;
}

function joinedPort({ port, protocol }: MeshApp): MeshPort {
  return { number: port, name: `${protocol}-${port}`, protocol, isTls: false, isGuessed: false };
}

function unique(endpoints: readonly MeshEndpoint[]): readonly MeshEndpoint[] {
  const byAddress = new Map<string, MeshEndpoint>();
  for (const endpoint of endpoints) byAddress.set(`${endpoint.address} ${endpoint.port}`, endpoint);
  return [...byAddress.values()].toSorted((left, right) =>
    compareText(`${left.address} ${left.port}`, `${right.address} ${right.port}`),
  );
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
