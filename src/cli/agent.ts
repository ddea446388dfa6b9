// `outrigger agent`: the identity of a workload for a data plane that is not ours. It gets a certificate as a sidecar does
// and serves it by SDS on a Unix socket, where an Envoy asks for `default` and `ROOTCA`. No traffic passes here.
import type { Command } from 'commander';
import { addIdentityFlags } from './identity-flags.ts';

export type AgentFlags = Readonly<Record<string, string | string[] | boolean | undefined>>;

export function register(program: Command): void {
  addIdentityFlags(program.command('agent'))
    .description("serve a workload's certificate by SDS, for an Envoy beside it")
    .requiredOption('--control <host:port>', 'the control service, over TLS')
    .requiredOption('--service <name[.namespace]>', 'the service that the workload belongs to')
    .requiredOption('--sds <path>', 'the Unix socket to serve secrets on')
    .option('--sds-mode <mode>', '0600: its owner may open it; 0660: its group, too', '0600')
    .option('--log-level <level>', 'trace, debug, info, warning, error, critical or off', 'info')
    .action(async (flags: AgentFlags) => {
      const { runAgent } = await import('./agent-run.ts');
      process.exitCode = await runAgent(flags);
    });
}
