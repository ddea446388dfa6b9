// `outrigger proxy-config NODE [PART]`: what a sidecar has in force, asked of the sidecar itself: through the control service
// when both are on one machine, or at an admin port that was forwarded. Secrets read `[redacted]`: the sidecar shows none.
// Exit codes: 0 printed, 1 it cannot be had, 64 wrong usage.
import type { Command } from 'commander';

export interface ProxyConfigFlags {
  readonly controlHttp: string;
  readonly admin: string;
  readonly output: string;
}

export function register(program: Command): void {
  program
    .command('proxy-config')
    .description('what a sidecar has in force: its listeners, routes, clusters, endpoints, secrets')
    .argument('[node]', 'an id, a name, or the beginning of one; none with --admin')
    .argument('[part]', 'clusters, listeners, routes, endpoints, secrets or all', 'all')
    .option('--control-http <host:port>', 'the HTTP port of the control service', '127.0.0.1:15014')
    .option('--admin <host:port>', "the sidecar's own admin port, for example one that was forwarded", '')
    .option('-o, --output <format>', 'table, json or yaml', 'table')
    .action(async (node: string | undefined, part: string, flags: ProxyConfigFlags) => {
      const { runProxyConfig } = await import('./pages/proxy-config-run.ts');
      process.exitCode = await runProxyConfig(node ?? '', part, flags);
    });
}
