// The bookshop as a mesh for a test: on a copy of its rules, spans to a receiver of its own, ended with the test.
import { RULES_DIRECTORY } from '../../src/cli/demo/bookshop.ts';
import { openReceiver } from '../../src/cli/demo/collector.ts';
import { Mesh } from '../../src/cli/demo/mesh.ts';
import { RulesCopy } from '../../src/cli/demo/rules-copy.ts';

export interface Bookshop extends AsyncDisposable {
  readonly mesh: Mesh;
  readonly rules: RulesCopy;
  /** Processes that ended by themselves, with their last lines. */
  readonly deaths: readonly string[];
}

export async function openBookshop(): Promise<Bookshop> {
  const rules = await RulesCopy.of(RULES_DIRECTORY);
  const { port, receiver } = await openReceiver(0);
  await rules.edit('telemetry.yaml', (text) => text.replace('grpc: 4317', `grpc: ${port}`));
  const deaths: string[] = [];
  const mesh = await Mesh.start({
    rulesDirectory: rules.directory,
    doorPort: 0,
    onDeath: (child) => void deaths.push(child.obituary()),
  });
  return {
    mesh,
    rules,
    deaths,
    async [Symbol.asyncDispose]() {
      await mesh.stop();
      receiver?.close();
      await rules.remove();
    },
  };
}
