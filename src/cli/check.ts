// `outrigger check`: reads rules and says everything that is wrong or doubtful with them. Exit codes: 0
// nothing found, 1 warnings only, 65 errors, 64 wrong usage.
import type { Command } from 'commander';

export interface CheckFlags {
  readonly output: string;
  readonly domain: string;
  readonly kube?: string;
  readonly kubeTokenFile?: string;
  readonly kubeCa?: string;
  readonly namespace?: string;
}

export function register(program: Command): void {
  program
    .command('check')
    .description('check rules: exit 0 clean, 1 with findings, 65 when a rule would be refused')
    .argument('[file...]', 'rule files, or directories of them; with --kube none is needed')
    .option('--output <format>', 'table, json or yaml', 'table')
    .option('--domain <domain>', 'the domain of services', 'cluster.local')
    .option('--kube <kubeconfig|url|in-cluster>', 'check what a cluster has, as if the files were applied to it')
    .option('--kube-token-file <file>', 'our token there')
    .option('--kube-ca <file>', 'the authorities of its certificate')
    .option('-n, --namespace <name>', 'where the control service is, and its mesh configuration')
    .action(async (files: string[], flags: CheckFlags) => {
      const { runCheck } = await import('./check-run.ts');
      process.exitCode = await runCheck(files, flags);
    });
}
