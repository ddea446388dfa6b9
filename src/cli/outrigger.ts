// The `outrigger` program. Each command lives in a file of its own and is imported only when it is the
// one that was called, so that a sidecar does not pay for what the others need. Help lists them all.
import { Command, CommanderError } from 'commander';

type Register = (program: Command) => void;

const COMMANDS: Readonly<Record<string, () => Promise<{ readonly register: Register }>>> = {
  sidecar: () => import('./sidecar.ts'),
  control: () => import('./control.ts'),
  check: () => import('./check.ts'),
  translate: () => import('./translate.ts'),
  demo: () => import('./demo.ts'),
};

const USAGE = 64;

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('outrigger')
    .description('a service mesh: a control service, sidecars, Istio and Gateway API rules')
    .exitOverride();
  const called = COMMANDS[args[0] ?? ''];
  const loaders = called === undefined ? Object.values(COMMANDS) : [called];
  for (const load of loaders) (await load()).register(program);
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    // Commander has printed what was wrong; help and version end well.
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  }
}

await main(process.argv.slice(2));
