// One step of the demo's story: what is claimed, and how it came out with the figures that were measured.
import type { Mesh } from './mesh.ts';
import type { RulesCopy } from './rules-copy.ts';
import type { SpanReceiver } from './span-receiver.ts';

export interface Outcome {
  readonly isTrue: boolean;
  /** The figures, and for a failure what was seen instead. */
  readonly measured: string;
}

export interface Stage {
  readonly mesh: Mesh;
  readonly rules: RulesCopy;
  /** Null when a Collector outside the demo takes the spans. */
  readonly receiver: SpanReceiver | null;
}

export interface Step {
  /** A statement about the mesh that the step finds true or false. */
  readonly claim: string;
  readonly run: (stage: Stage) => Promise<Outcome>;
}

export function found(isTrue: boolean, measured: string): Outcome {
  return { isTrue, measured };
}
