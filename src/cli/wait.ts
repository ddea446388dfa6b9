// `outrigger wait --for=distribution -f FILE`: ends when every connected sidecar has taken what the file says. Exit codes: 0
// all have it, 1 they did not in time, 64 wrong usage, 65 the file has errors.
import type { Command } from 'commander';

export interface WaitFlags {
  readonly for: string;
  readonly filename: string[];
  readonly controlHttp: string;
  readonly kube?: string;
  readonly kubeTokenFile?: string;
  readonly kubeCa?: string;
  readonly timeout: string;
}

export function register(program: Command): void {
  program
    .command('wait')
    .description('wait until all sidecars have the rules of files')
    .option('--for <what>', 'distribution', 'distribution')
    .option('-f, --filename <file>', 'a file or directory of rules; may be repeated', collect, [])
    .option('--control-http <host:port>', 'the HTTP port of the control service', '127.0.0.1:15014')
    .option('--kube <kubeconfig|url|in-cluster>', 'ask an API server for the status of the rules instead')
    .option('--kube-token-file <file>', 'our token there')
    .option('--kube-ca <file>', 'the authorities of its certificate')
    .option('--timeout <seconds>', 'how long at most: seconds, or 30s, 5m', '30s')
    .action(async (flags: WaitFlags) => {
      const { runWait } = await import('./pages/wait-run.ts');
      process.exitCode = await runWait(flags);
    });
}

function collect(file: string, before: string[]): string[] {
  return [...before, file];
}
