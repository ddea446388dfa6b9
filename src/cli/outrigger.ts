// The program `outrigger`: finds the command that was called and loads that one file. Each command's file
// exports `register(program)`; a new command needs one line here. Importing this file runs it: the launcher
// does nothing else, be it on the sources or on the bundle.
import { Command, CommanderError } from 'commander';

interface CommandFile {
  register(program: Command): void;
}

/** Whoever reads our output may stop reading, as `head` does: then the work is done. */
const BROKEN_PIPE = 'EPIPE';
const EXIT_FAILED = 1;
const EXIT_USAGE = 64;

const COMMANDS: Readonly<Record<string, () => Promise<CommandFile>>> = {
  sidecar: () => import('./sidecar.ts'),
  drain: () => import('./drain.ts'),
  agent: () => import('./agent.ts'),
  control: () => import('./control.ts'),
  demo: () => import('./demo.ts'),
  check: () => import('./check.ts'),
  translate: () => import('./translate.ts'),
  schema: () => import('./schema.ts'),
  redirect: () => import('./redirect.ts'),
  cni: () => import('./cni.ts'),
  inject: () => import('./inject.ts'),
  describe: () => import('./describe.ts'),
  status: () => import('./status.ts'),
  'bug-report': () => import('./bug-report.ts'),
  wait: () => import('./wait.ts'),
  'proxy-config': () => import('./proxy-config.ts'),
  ca: () => import('./ca.ts'),
  token: () => import('./token.ts'),
  install: () => import('./install.ts'),
  upgrade: () => import('./upgrade.ts'),
  uninstall: () => import('./uninstall.ts'),
};

await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('outrigger')
    .description('a service mesh: a control service, sidecars, Istio and Gateway API rules')
    .version('0.1.0')
    .showHelpAfterError('(outrigger <command> --help shows the options)')
    .enablePositionalOptions()
    .exitOverride();
  const load = COMMANDS[argv[0] ?? ''];
  if (load !== COMMANDS['sidecar']) process.stdout.on('error', onOutputError);
  // Help and unknown commands need the names of all; a command needs only itself.
  const files = load === undefined ? await Promise.all(Object.values(COMMANDS).map((file) => file())) : [await load()];
  for (const file of files) file.register(program);
  for (const command of program.commands) command.exitOverride();
  try {
    if (argv.length === 0) program.help();
    await program.parseAsync([...argv], { from: 'user' });
  } catch (cause) {
    process.exitCode = exitCodeOf(cause);
  }
}

function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code !== BROKEN_PIPE) throw error;
}

/** Commander has already said what was wrong with the usage; anything else is said here. */
function exitCodeOf(cause: unknown): number {
  if (cause instanceof CommanderError) return cause.exitCode === 0 || cause.code === 'commander.help' ? 0 : EXIT_USAGE;
  process.stderr.write(`outrigger: ${cause instanceof Error ? messageOf(cause) : String(cause)}\n`);
  return EXIT_FAILED;
}

function messageOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
