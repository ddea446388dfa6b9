// `outrigger status`: who is connected to the control service and whether they have what they were sent, with the words of
// those who refused something. Exit codes: 0 all are in sync, 1 somebody is not, or the page cannot be had, 64 wrong usage.
import type { Command } from 'commander';

export interface StatusFlags {
  readonly controlHttp: string;
  readonly output: string;
}

export function register(program: Command): void {
  program
    .command('status')
    .description('who is connected, and who has what was sent: exit 1 when somebody has not')
    .argument('[node]', 'one node, with its versions: an id, a name, or the beginning of one')
    .option('--control-http <host:port>', 'the HTTP port of the control service', '127.0.0.1:15014')
    .option('-o, --output <format>', 'table, json or yaml', 'table')
    .action(async (node: string | undefined, flags: StatusFlags) => {
      const { runStatus } = await import('./pages/status-run.ts');
      process.exitCode = await runStatus(node ?? '', flags);
    });
}
