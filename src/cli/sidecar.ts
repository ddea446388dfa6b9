// `outrigger sidecar`: the data plane, from an Envoy bootstrap file (-c) or by joining a mesh
// (--control). Everything heavy is imported when the command runs, so that other commands start fast.
// Logs are JSON lines on standard error; problems of a file are one line each.
import type { Command } from 'commander';
import { addIdentityFlags } from './identity-flags.ts';

/** Options as commander hands them over: text, lists of text, flags. */
export type SidecarFlags = Readonly<Record<string, string | string[] | boolean | undefined>>;

const collect = (value: string, before: string[]): string[] => [...before, value];

export function register(program: Command): void {
  addIdentityFlags(program.command('sidecar'))
    .description('run a sidecar, from an Envoy bootstrap file or as a member of a mesh')
    .option('-c, --config-path <file>', 'Envoy v3 bootstrap, YAML or JSON')
    .option('--validate', 'check the bootstrap and exit: 0 clean, 65 with problems')
    .option('--control <host:port>', 'join the mesh of this control service')
    .option('--service <name[.namespace]>', 'the service that the application belongs to')
    .option('--version <version>', 'the version label of the workload')
    .option('--label <key=value>', 'a further label of the workload; may be given again', collect, [])
    .option(
      '--app <port[/protocol]>',
      'a port of the application: http, http2, grpc or tcp; may be given again',
      collect,
      [],
    )
    .option('--mode <mode>', 'explicit: the application sends to its sidecar; redirect: it is captured', 'explicit')
    .option('--inbound <port>', 'where others reach the first application port', '15006')
    .option('--outbound <port>', 'where the application sends its requests', '15001')
    .option('--admin <port>', 'admin port on loopback; 0 takes a free one', '15000')
    .option('--readiness <port>', 'serve /healthz/ready on this port of every interface')
    .option('--metrics <port>', 'serve /stats/prometheus on this port of every interface')
    .option('--status <port>', "serve the app's probes and the metrics of both on this port of every interface")
    .option('--pages <port>', 'serve read-only admin pages to the control service, over mutual TLS, on every interface')
    .option('--address <ip>', 'the address under which others reach this workload')
    .option('--locality <region[/zone[/subzone]]>', 'where this workload is: for locality aware balancing')
    .option('--concurrency <n>', 'threads that serve traffic', '1')
    .option('--drain-seconds <n>', 'how long leaving may take, in all', '5')
    .option('--drain-delay-seconds <n>', 'how long it goes on accepting while readiness fails', '1')
    .option('--drain-strategy <name>', 'gradual or immediate: when responses begin to end connections', 'gradual')
    .option('--handover <path>', 'take over from the sidecar on this Unix socket, and hand over to the next')
    .option(
      '--extensions <folder|package>',
      'where extensions are loaded from: a folder, or an npm package; may be given again',
      collect,
      [],
    )
    .option('--sds <path>', 'serve the certificate of this workload by SDS on this Unix socket')
    .option('--sds-mode <mode>', '0600: its owner may open it; 0660: its group, too', '0600')
    .option('--log-level <level>', 'trace, debug, info, warning, error, critical or off', 'info')
    .action(async (flags: SidecarFlags) => {
      const { runSidecar } = await import('./sidecar-run.ts');
      process.exitCode = await runSidecar(flags);
    });
}
