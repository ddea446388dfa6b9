// `outrigger control`: the control service on a directory of rules or a cluster. Logs are JSON lines on standard error;
// SIGTERM and SIGINT end it in order.
import type { Command } from 'commander';
import type { AuthorityFlags } from './authority-place.ts';
import type { KubeFlags } from './kube-flags.ts';

export interface ControlFlags extends KubeFlags, AuthorityFlags {
  readonly rules?: string;
  readonly xdsAddress: string;
  readonly xds?: string;
  readonly httpAddress: string;
  readonly http?: string;
  readonly domain: string;
  readonly debounceMs: string;
  readonly settleMs: string;
  readonly onDemandAbove: string;
  readonly tracing: readonly string[];
  readonly secure?: string;
  readonly secureName: readonly string[];
  readonly trustDomain?: string;
  readonly kubernetes?: string;
  readonly kubernetesTokenFile: string;
  readonly kubernetesCa: string;
  readonly webhooks?: string;
  readonly sidecarImage: string;
  readonly sidecarMode: string;
  readonly sidecarClassic: boolean;
  readonly jwksAllowPrivate: boolean;
  readonly logLevel: string;
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function register(program: Command): void {
  program
    .command('control')
    .description('run the control service on a directory of rules, a Kubernetes cluster, or both')
    .option('--rules <directory>', 'Istio and Gateway API rules, read now and whenever they change')
    .option('--kube <in-cluster|kubeconfig|url>', 'the API server whose rules, services and pods are followed')
    .option('--kube-token-file <file>', 'with in-cluster or an URL: our own token for it')
    .option('--kube-ca <file>', 'with in-cluster or an URL: the authorities of its certificate, in PEM')
    .option('--namespace <name>', 'with --kube: where the mesh configuration is (outrigger-system)')
    .option('--xds-address <host:port>', 'where sidecars connect', '127.0.0.1:15010')
    .option('--xds <host:port>', 'short for --xds-address')
    .option('--http-address <host:port>', 'readiness, metrics and debug pages', '127.0.0.1:15014')
    .option('--http <host:port>', 'short for --http-address')
    .option('--domain <domain>', 'the domain of services', 'cluster.local')
    .option('--debounce-ms <n>', 'quiet time before a change of rules is sent', '100')
    .option('--settle-ms <n>', 'how long after the start sidecars that come back wait for each other', '2500')
    .option('--on-demand-above <n>', 'virtual hosts above which sidecars fetch those that they use; 0: always', '500')
    .option(
      '--tracing <name=host:port>',
      'a collector that takes OTLP over gRPC, as a provider of that name; may be given again',
      collect,
      [],
    )
    .option(
      '--ca-dir <directory>',
      'the certificate authority, made there when there is none: callers prove who they are',
    )
    .option('--ca-secret <name>', 'with --kube: the same in a Secret, made there when there is none')
    .option('--secure <host:port>', 'where they do, over TLS (0.0.0.0:15012 with an authority)')
    .option('--webhooks <host:port>', 'with --kube and an authority: where the API server asks about pods and rules')
    .option('--sidecar-image <image>', 'that is put into pods', 'outrigger')
    .option('--sidecar-mode <redirect|explicit|cni>', 'how the traffic of pods gets to it', 'redirect')
    .option('--sidecar-classic', 'as a plain container, for clusters before Kubernetes 1.29', false)
    .option('--secure-name <name>', 'a name or IP address for our certificate; may be given again', collect, [])
    .option('--trust-domain <domain>', 'of the identities that are given out; comes before MeshConfig')
    .option('--kubernetes <url|in-cluster>', 'the API server that knows the tokens of service accounts')
    .option('--kubernetes-token-file <file>', 'our own token for it', '')
    .option('--kubernetes-ca <file>', 'the authorities of its certificate, in PEM', '')
    .option('--jwks-allow-private', 'keys of tokens (jwksUri) may be fetched from private addresses', false)
    .option('--log-level <level>', 'debug, info, warning, error or off', 'info')
    .action(async (flags: ControlFlags) => {
      const { runControl } = await import('./control-run.ts');
      process.exitCode = await runControl(flags);
    });
}
