// What the flags of `outrigger control` say about Kubernetes: which API server its rules and workloads come from.
import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { RuleSource } from '../control/rule-source.ts';
import type { ControlFlags } from './control.ts';

const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Where a pod reads its own namespace; the flag comes first. */
const DEFAULT_NAMESPACE = 'outrigger-system';

/** Null without `--kube`; a text says what is wrong. The modules are loaded when they are needed. */
export async function kubernetesSource(flags: ControlFlags, log: Log): Promise<RuleSource | string | null> {
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
  const { KubernetesRules } = await import('../control/kubernetes/kubernetes-rules.ts');
  const client = new KubeClient({
    access,
    userAgent: 'outrigger-control',
    onWarning: (warning) => log.warning('the API server warns', { warning }),
  });
  return new KubernetesRules({ client, log: log.child('kubernetes'), clock: systemClock, namespace });
}
