// Where rules come from: a directory, an API server, a test. Each names what it brings, and what it brings under one
// name replaces what it brought before; names of two sources never meet.
import type { ParsedFile } from '../config/parse.ts';
import type { KnownPods } from './known-pods.ts';
import type { MeshNode } from './mesh-node.ts';

export interface RuleSink {
  /** Something was written or changed. */
  readonly apply: (name: string, parsed: ParsedFile) => void;
  /** It is gone, and its resources with it. */
  readonly remove: (name: string) => void;
}

export interface RuleSource {
  /** Resolves when everything that was there at the beginning has been applied; rejects when nothing can be read. */
  start(sink: RuleSink): Promise<void>;
  /** Whether the node is one of the workloads that the source brings, and so none that joins; absent: it brings none. */
  knows?(node: MeshNode): boolean;
  /** The Pods that it brings; absent: it brings none. */
  readonly pods?: KnownPods;
  /** What keeps `start` from resolving, a line for each; empty, or absent: nothing that could be told. */
  waiting?(): readonly string[];
  /** By Prometheus name. */
  counters?(): ReadonlyMap<string, number>;
  /** After it nothing is applied any more. */
  stop(): Promise<void>;
}
