// Which services of the last snapshot are still what they were, when nothing but instances has changed since: one is
// built anew only when an EndpointSlice, a Pod, a WorkloadEntry or a joined workload that it may have as an instance is
// new, different or gone. All of these belong to the namespace of their service.
import type { EndpointSlice, Resource, Service } from '../config/resource.ts';
import type { MeshNode } from './mesh-node.ts';
import { selects, type MeshEndpoint, type MeshService } from './mesh-service.ts';

/** What is different, as it was and as it is. */
export interface InstanceChanges {
  readonly resources: readonly Resource[];
  readonly workloads: readonly MeshNode[];
}

/** The kinds of resources that say who serves, and nothing else. */
export const INSTANCE_KINDS: ReadonlySet<Resource['kind']> = new Set(['EndpointSlice', 'Pod', 'WorkloadEntry']);

interface Labelled {
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
}

export class ServiceReuse {
  readonly services: ReadonlyMap<string, MeshService>;
  /** `namespace/name` of Services whose slices changed. */
  readonly #sliced = new Set<string>();
  /** `namespace/name`. */
  readonly #pods = new Set<string>();
  readonly #labelled: Labelled[] = [];
  /** `namespace/name` of what joined workloads call their service. */
  readonly #joined = new Set<string>();
  readonly #isAll: boolean;

  /** `changes` null: everything may be different, and is compared when it has been built. */
  constructor(services: ReadonlyMap<string, MeshService>, changes: InstanceChanges | null) {
    this.services = services;
    this.#isAll = changes === null;
    for (const resource of changes?.resources ?? []) {
      const { namespace, name } = resource.meta;
      if (resource.kind === 'EndpointSlice') this.#sliced.add(`${namespace}/${resource.spec.service}`);
      if (resource.kind === 'Pod') {
        this.#pods.add(`${namespace}/${name}`);
        this.#labelled.push({ namespace, labels: resource.meta.labels });
      }
      if (resource.kind === 'WorkloadEntry') this.#labelled.push({ namespace, labels: resource.spec.labels });
    }
    for (const { namespace, service, labels } of changes?.workloads ?? []) {
      this.#joined.add(`${namespace}/${service}`);
      this.#labelled.push({ namespace, labels });
    }
  }

  /** The service as it was, when nothing can have changed it; else null. */
  untouched(host: string, { meta, spec, source }: Service, slices: readonly EndpointSlice[]): MeshService | null {
    const before = this.services.get(host);
    if (this.#isAll || before === undefined || before.source !== source) return null;
    const key = `${meta.namespace}/${meta.name}`;
    if (this.#sliced.has(key) || this.#joined.has(key)) return null;
    const isSelected = this.#labelled.some(
      ({ namespace, labels }) =>
        namespace === meta.namespace && spec.selector.size > 0 && selects(spec.selector, labels),
    );
    return isSelected || this.#names(slices) ? null : before;
  }

  #names(slices: readonly EndpointSlice[]): boolean {
    if (this.#pods.size === 0) return false;
    return slices.some(({ meta, spec }) =>
      spec.endpoints.some(({ podName }) => podName !== '' && this.#pods.has(`${meta.namespace}/${podName}`)),
    );
  }
}

/** `built`, or `before` where they are the same; where only instances differ, the rest is the object that it was. */
export function latest(before: MeshService | undefined, built: MeshService): MeshService {
  if (before === undefined || !sameButInstances(before, built)) return built;
  return sameInstances(before, built) ? before : { ...before, endpoints: built.endpoints };
}

/** Both come from the same text; a joined service has none, and is what its ports and its names are. */
export function sameButInstances(left: MeshService, right: MeshService): boolean {
  if (left === right) return true;
  if (left.source !== right.source || left.host !== right.host || left.kind !== right.kind) return false;
  return left.source !== null || JSON.stringify(left.ports) === JSON.stringify(right.ports);
}

function sameInstances(left: MeshService, right: MeshService): boolean {
  if (left.endpoints.size !== right.endpoints.size) return false;
  for (const [port, endpoints] of left.endpoints) {
    const others = right.endpoints.get(port);
    if (others === undefined || others.length !== endpoints.length) return false;
    if (!endpoints.every((endpoint, index) => sameInstance(endpoint, others[index]))) return false;
  }
  return true;
}

function sameInstance(left: MeshEndpoint, right: MeshEndpoint | undefined): boolean {
  if (left === right) return true;
  return (
    left.address === right?.address &&
    left.port === right.port &&
    left.weight === right.weight &&
    left.workload === right.workload &&
    left.namespace === right.namespace &&
    left.serviceAccount === right.serviceAccount &&
    left.isMeshed === right.isMeshed &&
    left.locality.region === right.locality.region &&
    left.locality.zone === right.locality.zone &&
    left.locality.subZone === right.locality.subZone &&
    sameLabels(left.labels, right.labels)
  );
}

function sameLabels(left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): boolean {
  if (left === right) return true;
  if (left.size !== right.size) return false;
  for (const [name, value] of left) if (right.get(name) !== value) return false;
  return true;
}
