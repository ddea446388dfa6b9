// What the flags of `outrigger control` say about webhooks.
import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { ControlService } from '../control/control.ts';
import type { Webhooks } from '../control/kubernetes/webhooks.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ControlFlags } from './control.ts';
import type { Cluster } from './kube-flags.ts';

const ADDRESS = /^(?:\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/;
const MODES = ['redirect', 'explicit', 'cni'] as const;
const TLS_PORT = 15_012;
/** KEP-753, on by default. */
const FIRST_NATIVE = 29;

/** Empty: nothing is wrong with them. */
export function webhookMistake(
  { webhooks, sidecarMode, caDir, caSecret }: ControlFlags,
  cluster: Cluster | null,
): string {
  if (!MODES.some((mode) => mode === sidecarMode))
    return `--sidecar-mode "${sidecarMode}" is not redirect, explicit or cni`;
  if (webhooks === undefined) return '';
  if (cluster === null) return '--webhooks needs --kube: whose API server asks';
  if (caDir === undefined && caSecret === undefined)
    return '--webhooks needs --ca-secret or --ca-dir: API servers ask over TLS';
  return ADDRESS.test(webhooks) ? '' : `--webhooks "${webhooks}" is not host:port`;
}

/** Of a control service that has started; null without the flag. */
export async function startWebhooks(
  flags: ControlFlags,
  { control, cluster, log }: { readonly control: ControlService; readonly cluster: Cluster | null; readonly log: Log },
): Promise<Webhooks | null> {
  const { authority } = control;
  if (flags.webhooks === undefined || cluster === null || authority === null) return null;
  const { Webhooks } = await import('../control/kubernetes/webhooks.ts');
  const { client, namespace } = cluster;
  const host = `outrigger-control.${namespace}.svc`;
  const webhooks = new Webhooks({
    authority,
    client,
    namespace,
    address: flags.webhooks,
    names: [host, 'localhost', '127.0.0.1', '::1', ...flags.secureName],
    injection: {
      control: `${host}:${TLS_PORT}`,
      image: flags.sidecarImage,
      mode: MODES.find((mode) => mode === flags.sidecarMode) ?? 'redirect',
      isClassic: flags.sidecarClassic || (await isTooOld(client, log)),
    },
    trial: (resources) => control.trial(resources),
    log: log.child('webhooks'),
    clock: systemClock,
  });
  log.info('webhooks listen', { address: await webhooks.start() });
  return webhooks;
}

/** Whether its kubelets would run a native sidecar as a step that never ends: sidecars are native from 1.29 on. */
async function isTooOld(client: KubeClient, log: Log): Promise<boolean> {
  const { minorVersion } = await import('../kube/discovery.ts');
  const minor = await minorVersion(client);
  if (minor.kind === 'failed' || minor.value >= FIRST_NATIVE) return false;
  log.warning('the cluster has no native sidecars: plain containers are injected', { version: `1.${minor.value}` });
  return true;
}
