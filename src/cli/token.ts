// `outrigger token`: proofs for workloads outside of Kubernetes. `create` prints a join token, and nothing but it, on
// standard output; the heavy part is imported when it runs.
import type { Command } from 'commander';
import { takesPlace, type PlaceFlags } from './authority-place.ts';

export interface TokenFlags extends PlaceFlags {
  readonly ttl: string;
}

export function register(program: Command): void {
  const token = program
    .command('token')
    .description('join tokens: how a workload proves who it is before it has a certificate');
  takesPlace(token.command('create <namespace/service-account>'))
    .description('print a token by which a sidecar of that workload may join, as often as it likes, until it expires')
    .option('--ttl <duration>', 'how long it may be used, for example 30m; 24h at most', '1h')
    .action(async (workload: string, flags: TokenFlags) => {
      const { runTokenCreate } = await import('./token-run.ts');
      process.exitCode = await runTokenCreate(workload, flags);
    });
}
