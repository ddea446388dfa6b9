// The command `outrigger demo`: the bookshop as a mesh on this machine. Owns the options and the ending: on
// Ctrl-C or SIGTERM every process that it started is stopped before it exits. Exit codes: 0 ended as asked or
// every step held, 1 otherwise, 64 for a wrong option. Everything heavy is imported when the command runs.
import type { Command } from 'commander';

const DOOR_PORT = 8080;
const RATE = 100;
const EXIT_FAILED = 1;
const EXIT_USAGE = 64;

interface DemoFlags {
  readonly once?: boolean;
  readonly port?: string;
  readonly rate?: string;
  readonly rules?: string;
}

export function register(program: Command): void {
  program
    .command('demo')
    .description('run the bookshop: six workloads with sidecars, a control service, steady traffic, a live table')
    .option('--once', 'tell the story to its end, print what was measured, exit 0 when every step held')
    .option('--port <port>', `where visitors enter (default ${DOOR_PORT}, or a free port when it is taken)`)
    .option('--rate <visits>', `visits per second (default ${RATE})`)
    .option('--rules <directory>', 'rules to run on instead of examples/bookshop/rules')
    .action(async (flags: DemoFlags) => {
      process.exit(await demo(flags));
    });
}

async function demo(flags: DemoFlags): Promise<number> {
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort());
  try {
    if (flags.once === true) {
      const { tellStory } = await import('./demo/story.ts');
      const isGood = await tellStory({
        print: (line) => void process.stdout.write(`${line}\n`),
        signal: ending.signal,
      });
      return isGood ? 0 : EXIT_FAILED;
    }
    return await live(flags, ending.signal);
  } catch (error) {
    process.stderr.write(`outrigger demo: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT_FAILED;
  }
}

async function live(flags: DemoFlags, signal: AbortSignal): Promise<number> {
  const doorPort = flags.port === undefined ? DOOR_PORT : Number(flags.port);
  const rate = Number(flags.rate ?? RATE);
  if (!Number.isInteger(doorPort) || doorPort < 0 || doorPort > 65_535 || !(rate > 0 && rate <= 5_000)) {
    process.stderr.write('outrigger demo: --port takes 0 to 65535 and --rate 1 to 5000 visits per second\n');
    return EXIT_USAGE;
  }
  const { isFreePort } = await import('./demo/free-port.ts');
  const isFree = doorPort === 0 || (await isFreePort(doorPort));
  if (!isFree && flags.port !== undefined) {
    process.stderr.write(`outrigger demo: port ${doorPort} is taken by another program; choose another with --port\n`);
    return EXIT_FAILED;
  }
  const { RULES_DIRECTORY } = await import('./demo/bookshop.ts');
  const { runLive } = await import('./demo/live.ts');
  const { openScreen } = await import('./demo/screen.ts');
  const screen = openScreen(process.stdout, process.env);
  const rulesDirectory = flags.rules ?? RULES_DIRECTORY;
  try {
    await runLive({ rulesDirectory, doorPort: isFree ? doorPort : 0, rate, screen, signal });
  } finally {
    screen.close();
  }
  return 0;
}
