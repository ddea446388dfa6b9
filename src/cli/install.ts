// `outrigger install` and `outrigger upgrade`: make a cluster what the values say, by server-side apply. Both do the same;
// `upgrade` wants an installation to be there. Exit codes: 0 done, 1 it failed or was declined, 64 wrong usage,
// 65 wrong values.
import type { Command } from 'commander';

export interface InstallFlags {
  readonly values: readonly string[];
  readonly set: readonly string[];
  readonly namespace: string;
  readonly kube: string;
  readonly context: string;
  readonly dryRun: boolean;
  readonly output: string;
  readonly diff: boolean;
  readonly yes: boolean;
  readonly wait: boolean;
  readonly timeout: string;
  readonly forceConflicts: boolean;
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function register(program: Command): void {
  registerInstall(program, 'install', 'install the control service on a cluster, or bring it up to date');
}

export function registerInstall(program: Command, name: 'install' | 'upgrade', description: string): void {
  program
    .command(name)
    .description(description)
    .option('-f, --values <file>', 'values in YAML; may be given again, later files win', collect, [])
    .option('--set <path=value>', 'one value; may be given again', collect, [])
    .option('-n, --namespace <name>', 'where the control service lives', 'outrigger-system')
    .option('--kube <kubeconfig|url|in-cluster>', 'the cluster; by default the one that kubectl takes', '')
    .option('--context <name>', 'of the kubeconfig; the current one by default', '')
    .option('--dry-run', 'print the objects and ask no cluster', false)
    .option('-o, --output <format>', 'of --dry-run: yaml or json', 'yaml')
    .option('--diff', 'show what would change, and change nothing', false)
    .option('-y, --yes', 'do not ask', false)
    .option('--no-wait', 'do not wait until the control service is ready')
    .option('--timeout <seconds>', 'how long to wait for it', '300')
    .option('--force-conflicts', 'take over fields that others manage', false)
    .action(async (flags: InstallFlags) => {
      const { runInstall } = await import('./install/install-run.ts');
      process.exitCode = await runInstall(name, flags);
    });
}
