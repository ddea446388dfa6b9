// Who is connected now and may send requests: every sidecar with an open stream, and for a grace time those whose stream
// ended, because they go on with what they have. What is divided among clients is divided among these.
import type { MeshNode } from './mesh-node.ts';
import { WorkloadRegistry } from './workload-registry.ts';

export interface Clients {
  /** Grows with each change. */
  readonly version: number;
  readonly nodes: () => readonly MeshNode[];
}

export const NO_CLIENTS: Clients = { version: 0, nodes: () => [] };

export interface ClientRosterOptions {
  /** Called after every change. */
  readonly onChange: () => void;
  /** 5 s by default. */
  readonly graceMs?: number;
}

export class ClientRoster implements Clients {
  version = 0;
  readonly #registry: WorkloadRegistry;

  constructor({ onChange, ...rest }: ClientRosterOptions) {
    this.#registry = new WorkloadRegistry({
      ...rest,
      admits: () => true,
      onChange: () => {
        this.version++;
        onChange();
      },
    });
  }

  readonly nodes = (): readonly MeshNode[] => this.#registry.workloads();

  /** Registers the node and returns what takes it back. */
  join(node: MeshNode): () => void {
    return this.#registry.join(node);
  }

  close(): void {
    this.#registry.close();
  }
}
