// `outrigger describe`: what holds for a service and which rule says so. Exit codes: 0 told, 1 there is none or the page
// cannot be had, 64 wrong usage.
import type { Command } from 'commander';

export interface DescribeFlags {
  readonly controlHttp: string;
  readonly from: string;
  readonly output: string;
}

export function register(program: Command): void {
  program
    .command('describe')
    .description('what holds for a service, and which rule says so')
    .argument('<service>', 'a host, name.namespace, or a name in the namespace of --from')
    .option('--from <namespace>', 'of those who call it', 'default')
    .option('--control-http <host:port>', 'the HTTP port of the control service', '127.0.0.1:15014')
    .option('-o, --output <format>', 'table, json or yaml', 'table')
    .action(async (service: string, flags: DescribeFlags) => {
      const { runDescribe } = await import('./pages/describe-run.ts');
      process.exitCode = await runDescribe(service, flags);
    });
}
