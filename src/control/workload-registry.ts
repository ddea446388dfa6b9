// Who has joined: a node that carries the OUTRIGGER struct is a workload for as long as its stream
// lives. When the stream ends the workload stays for a grace time, so that a reconnecting sidecar is
// never missed; the same node coming back replaces its old registration. The same node is one of the same id and the
// same verified identity: nobody takes the place of somebody else by calling itself like them.
//
//   joined ──stream ends──► leaving ──grace over──► gone
//     ▲                        │
//     └────── joins again ─────┘
import type { MeshNode } from './mesh-node.ts';
import { accountOf } from './verified-peer.ts';

interface Registration {
  readonly node: MeshNode;
  streams: number;
  leaving: NodeJS.Timeout | null;
}

export interface WorkloadRegistryOptions {
  /** Called after every change of the set of workloads. */
  readonly onChange: () => void;
  /** 5 s by default. */
  readonly graceMs?: number;
  /** Nodes with a service and apps by default. */
  readonly admits?: (node: MeshNode) => boolean;
  /** Whom Kubernetes knows is no workload that joins, and has apps when it is ready; nobody by default. */
  readonly isOther?: (node: MeshNode) => boolean;
}

export class WorkloadRegistry {
  readonly #registrations = new Map<string, Registration>();
  readonly #onChange: () => void;
  readonly #graceMs: number;
  readonly #admits: (node: MeshNode) => boolean;
  readonly #isOther: (node: MeshNode) => boolean;

  constructor({ onChange, graceMs = 5_000, admits = hasApps, isOther = () => false }: WorkloadRegistryOptions) {
    this.#admits = admits;
    this.#isOther = isOther;
    this.#onChange = onChange;
    this.#graceMs = graceMs;
  }

  /** In the order in which they first joined. */
  workloads(): readonly MeshNode[] {
    return [...this.#registrations.values()].map(({ node }) => node);
  }

  /** Registers the node and returns what takes it back; nodes that are not admitted are not registered. */
  join(node: MeshNode): () => void {
    if (!this.#admits(node) || this.#isOther(node)) return () => {};
    const key = keyOf(node);
    const known = this.#registrations.get(key);
    if (known?.leaving != null) clearTimeout(known.leaving);
    const registration: Registration = { node, streams: (known?.streams ?? 0) + 1, leaving: null };
    this.#registrations.set(key, registration);
    if (known === undefined || !isSame(known.node, node)) this.#onChange();
    let isLeft = false;
    return () => {
      if (isLeft) return;
      isLeft = true;
      this.#leave(key);
    };
  }

  /**
   * Those who turned out to be no workloads of their own are gone at once, and do not come back with their streams: a
   * sidecar may be faster than what tells the API server the address of its pod.
   */
  forgetOthers(): void {
    for (const [key, { node, leaving }] of this.#registrations) {
      if (!this.#isOther(node)) continue;
      if (leaving !== null) clearTimeout(leaving);
      this.#registrations.delete(key);
    }
  }

  close(): void {
    for (const { leaving } of this.#registrations.values()) if (leaving !== null) clearTimeout(leaving);
    this.#registrations.clear();
  }

  #leave(key: string): void {
    const registration = this.#registrations.get(key);
    if (registration === undefined) return;
    registration.streams -= 1;
    if (registration.streams > 0) return;
    registration.leaving = setTimeout(() => {
      this.#registrations.delete(key);
      this.#onChange();
    }, this.#graceMs).unref();
  }
}

function keyOf({ id, identity }: MeshNode): string {
  return JSON.stringify([id, identity === null ? '' : [identity.trustDomain, accountOf(identity)]]);
}

function hasApps(node: MeshNode): boolean {
  return node.service !== '' && node.apps.length > 0;
}

function isSame(left: MeshNode, right: MeshNode): boolean {
  return textOf(left) === textOf(right);
}

function textOf(node: MeshNode): string {
  return JSON.stringify({ ...node, labels: [...node.labels] });
}
