// `outrigger uninstall`: takes away what `outrigger install` and the control service made, and nothing else. Definitions
// go, too, unless there are rules of them: those are only removed when that is asked for. Exit codes: 0 done, 1 it failed
// or was declined, 64 wrong usage.
import type { Command } from 'commander';

export interface UninstallFlags {
  readonly namespace: string;
  readonly kube: string;
  readonly context: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly keepDefinitions: boolean;
  readonly removeRules: boolean;
  readonly timeout: string;
}

export function register(program: Command): void {
  program
    .command('uninstall')
    .description('remove the control service and what belongs to it from a cluster')
    .option('-n, --namespace <name>', 'where the control service lives', 'outrigger-system')
    .option('--kube <kubeconfig|url|in-cluster>', 'the cluster; by default the one that kubectl takes', '')
    .option('--context <name>', 'of the kubeconfig; the current one by default', '')
    .option('--dry-run', 'say what would be removed, and remove nothing', false)
    .option('-y, --yes', 'do not ask', false)
    .option('--keep-definitions', 'leave our definitions, and with them all rules', false)
    .option('--remove-rules', 'remove definitions although there are rules of them, which go with them', false)
    .option('--timeout <seconds>', 'how long to wait until all is gone', '120')
    .action(async (flags: UninstallFlags) => {
      const { runUninstall } = await import('./install/uninstall-run.ts');
      process.exitCode = await runUninstall(flags);
    });
}
