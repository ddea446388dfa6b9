// The flags by which commands find an API server, and what they come to: a client, and the namespace of our own things.
import type { Log } from '../base/log.ts';
import type { KubeAccess } from '../kube/access.ts';
import type { KubeClient } from '../kube/client.ts';

export interface KubeFlags {
  readonly kube?: string;
  readonly kubeTokenFile?: string;
  readonly kubeCa?: string;
  readonly namespace?: string;
}

export interface Cluster {
  readonly client: KubeClient;
  readonly access: KubeAccess;
  /** Where the control service is. */
  readonly namespace: string;
}

const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const DEFAULT_NAMESPACE = 'outrigger-system';

/** Null without `--kube`; a text says what is wrong. The client's modules are loaded when they are needed. */
export async function clusterOf(flags: KubeFlags, userAgent: string, log: Log): Promise<Cluster | string | null> {
  const { kube, kubeTokenFile: tokenFile = '', kubeCa: authorityFile = '' } = flags;
  if (kube === undefined) {
    const isNeedless = tokenFile !== '' || authorityFile !== '' || flags.namespace !== undefined;
    return isNeedless ? '--kube-token-file, --kube-ca and --namespace need --kube' : null;
  }
  const namespace = flags.namespace ?? process.env['POD_NAMESPACE'] ?? DEFAULT_NAMESPACE;
  if (!NAMESPACE.test(namespace)) return `--namespace "${namespace}" is not the name of a namespace`;
  const { givenAccess } = await import('../kube/given-access.ts');
  const access = await givenAccess({ server: kube, tokenFile, authorityFile });
  if (typeof access === 'string') return `--kube ${access}`;
  const { KubeClient } = await import('../kube/client.ts');
  const onWarning = (warning: string): void => log.warning('the API server warns', { warning });
  return { client: new KubeClient({ access, userAgent, onWarning }), access, namespace };
}
