// `outrigger demo --once`: the story of the bookshop told to its end, by itself, on a copy of the rules. Prints
// one line a step with what was measured, and reports whether every claim held.
import { RULES_DIRECTORY, SERVICES, WORKLOADS } from './bookshop.ts';
import type { Child } from './child.ts';
import { openReceiver } from './collector.ts';
import { Mesh } from './mesh.ts';
import { RulesCopy } from './rules-copy.ts';
import type { Stage } from './step.ts';
import { STEPS } from './steps.ts';

export interface StoryOptions {
  readonly print: (line: string) => void;
  /** Aborted when the story shall end early; what runs is stopped. */
  readonly signal: AbortSignal;
}

const CLAIM_CELLS = 42;

/** Resolves to true when every step came out as claimed; throws when the mesh cannot start. */
export async function tellStory({ print, signal }: StoryOptions): Promise<boolean> {
  const startMs = performance.now();
  const rules = await RulesCopy.of(RULES_DIRECTORY);
  // The demo's own receiver: a trace can be checked only by somebody who can look at it.
  const collector = await openReceiver(0);
  await rules.edit('telemetry.yaml', (text) => text.replace('grpc: 4317', `grpc: ${collector.port}`));
  const dead: Child[] = [];
  let mesh: Mesh | null = null;
  try {
    mesh = await Mesh.start({
      rulesDirectory: rules.directory,
      doorPort: 0,
      onDeath: (child) => void dead.push(child),
    });
    const sinceMs = (performance.now() - startMs).toFixed(0);
    print(
      `mesh of ${SERVICES.length} services, ${WORKLOADS.length} workloads with sidecars: ready after ${sinceMs} ms`,
    );
    const failed = await runSteps({ mesh, rules, receiver: collector.receiver }, print, signal);
    for (const child of dead) print(child.obituary());
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const isGood = failed === 0 && dead.length === 0 && !signal.aborted;
    print(
      isGood
        ? `all ${STEPS.length} steps hold (${seconds} s)`
        : `${failed} of ${STEPS.length} steps failed (${seconds} s)`,
    );
    return isGood;
  } finally {
    await mesh?.stop();
    collector.receiver?.close();
    await rules.remove();
  }
}

async function runSteps(stage: Stage, print: (line: string) => void, signal: AbortSignal): Promise<number> {
  let failed = 0;
  for (const { claim, run } of STEPS) {
    if (signal.aborted) break;
    const startMs = performance.now();
    const { isTrue, measured } = await run(stage).catch((error: unknown) => ({
      isTrue: false,
      measured: error instanceof Error ? error.message : String(error),
    }));
    if (!isTrue) failed++;
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(5);
    print(`${isTrue ? 'ok    ' : 'FAILED'} ${seconds} s  ${claim.padEnd(CLAIM_CELLS)} ${measured}`);
  }
  return failed;
}
