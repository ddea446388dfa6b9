// Where the flags say that the files of the certificate authority are: a directory, or a Secret of a cluster.
import type { Command } from 'commander';
import { systemClock } from '../base/clock.ts';
import { silentLog, type Log } from '../base/log.ts';
import type { AuthorityStore } from '../control/ca/authority-files.ts';
import { clusterOf, type Cluster, type KubeFlags } from './kube-flags.ts';

export interface AuthorityFlags {
  readonly caDir?: string;
  readonly caSecret?: string;
}

/** Of commands that work on an authority. */
export interface PlaceFlags extends AuthorityFlags, KubeFlags {}

/** Adds the flags to a command. */
export function takesPlace(command: Command): Command {
  return command
    .option('--ca-dir <directory>', "the certificate authority's directory")
    .option('--ca-secret <name>', 'with --kube: its Secret')
    .option('--kube <in-cluster|kubeconfig|url>', 'the API server that has the Secret')
    .option('--kube-token-file <file>', 'with in-cluster or an URL: our own token for it')
    .option('--kube-ca <file>', 'with in-cluster or an URL: the authorities of its certificate, in PEM')
    .option('--namespace <name>', 'of the Secret (outrigger-system)');
}

/** Gives the store to `work`; a text says what is wrong with the flags. */
export async function withAuthority<T>(
  flags: PlaceFlags,
  work: (store: AuthorityStore) => Promise<T>,
): Promise<T | string> {
  const cluster = await clusterOf(flags, 'outrigger-cli', silentLog);
  if (typeof cluster === 'string') return cluster;
  try {
    const store = await authorityPlace(flags, cluster, silentLog);
    if (typeof store === 'string') return store;
    return store === null ? 'write --ca-dir, or --kube and --ca-secret: where the authority is' : await work(store);
  } finally {
    await cluster?.client.close();
  }
}

const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Null: the flags name none; a text says what is wrong. */
export async function authorityPlace(
  { caDir, caSecret }: AuthorityFlags,
  cluster: Cluster | null,
  log: Log,
): Promise<AuthorityStore | string | null> {
  if (caDir !== undefined && caSecret !== undefined) return 'write --ca-dir or --ca-secret, not both';
  if (caDir !== undefined) {
    const { DirectoryStore } = await import('../control/ca/directory-store.ts');
    return new DirectoryStore(caDir);
  }
  if (caSecret === undefined) return null;
  if (!NAME.test(caSecret)) return `--ca-secret "${caSecret}" is not the name of a Secret`;
  if (cluster === null) return '--ca-secret needs --kube: which cluster has it';
  const { AuthoritySecret } = await import('../control/kubernetes/authority-secret.ts');
  const { client, namespace } = cluster;
  return new AuthoritySecret({ client, namespace, name: caSecret, log, clock: systemClock });
}
