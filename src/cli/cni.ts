// `outrigger cni`: the CNI plugin, called by a container runtime with the environment and the standard input of the CNI
// specification. It answers on standard output, errors too. Exit codes: 0 done, 1 with an error. `outrigger cni install`
// puts it on a node and keeps it there; its DaemonSet runs that.
import type { Command } from 'commander';

export interface CniInstallFlags {
  readonly root: string;
  readonly binDir: string;
  readonly netDir: string;
  readonly homeDir: string;
  readonly image: string;
  readonly kube: string;
  readonly kubeTokenFile?: string;
  readonly kubeCa?: string;
  readonly excludeNamespaces: string;
  readonly daemonSet?: string;
  readonly readiness?: string;
}

export function register(program: Command): void {
  const cni = program
    .command('cni')
    .description('the CNI plugin that redirects injected pods; called by container runtimes')
    .action(async () => {
      const { runCni } = await import('./cni/plugin.ts');
      const { text } = await import('node:stream/consumers');
      const { exitCode, output } = await runCni(process.env, await text(process.stdin));
      process.stdout.write(output);
      process.exitCode = exitCode;
    });
  cni
    .command('install')
    .description('put the plugin on this node and keep it there, until a signal takes it away')
    .option('--root <folder>', "where the node's root is mounted", '')
    .option('--bin-dir <folder>', 'of the node: where its container runtime looks for plugins', '/opt/cni/bin')
    .option('--net-dir <folder>', 'of the node: where its networks are configured', '/etc/cni/net.d')
    .option('--home-dir <folder>', 'of the node: where copies of the image are put', '/opt/outrigger')
    .option('--image <folder>', 'copy the image with this root to the node; else the node runs this very program', '')
    .option('--kube <server>', 'the API server: in-cluster, or an URL', 'in-cluster')
    .option('--kube-token-file <file>', 'the token that the plugin shows it')
    .option('--kube-ca <file>', 'the authorities of its certificate')
    .option('--exclude-namespaces <names>', 'whose pods are left alone without a question', 'kube-system')
    .option('--daemon-set <namespace/name>', 'while it is there the plugin stays, also when this process ends')
    .option('--readiness <port>', 'serve /readyz: 200 while the plugin is in force')
    .action(async (flags: CniInstallFlags) => {
      const { runCniInstall } = await import('./cni/install-run.ts');
      process.exitCode = await runCniInstall(flags);
    });
}
