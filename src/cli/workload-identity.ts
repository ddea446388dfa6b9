// Makes the identity of the workload that a command runs for. Its code is loaded here, and only when there is one.
import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { ControlAddress } from '../sidecar/discovery.ts';
import type { Identity } from '../sidecar/identity.ts';
import type { IdentitySettings } from './identity-flags.ts';

export interface Workload {
  readonly namespace: string;
  /** The account, when no flag and no token says another. */
  readonly serviceAccount: string;
}

export interface WorkloadIdentity {
  readonly identity: Identity;
  readonly serviceAccount: string;
}

/** For the request alone: the authority knows its own. */
const TRUST_DOMAIN = 'cluster.local';

export async function makeIdentity(
  settings: IdentitySettings,
  control: ControlAddress,
  workload: Workload,
  log: Log,
): Promise<WorkloadIdentity> {
  const { tokenFile, rootFile, rootHash, trustDomain, certificateSeconds } = settings;
  const { namespace } = workload;
  const { Identity } = await import('../sidecar/identity.ts');
  const { ControlAccess } = await import('../sidecar/control-access.ts');
  const { readJoinToken } = await import('../sidecar/join-token.ts');
  const token = readJoinToken(tokenFile);
  const subject = typeof token === 'string' ? null : token.subject;
  const serviceAccount = settings.serviceAccount || (subject?.serviceAccount ?? workload.serviceAccount);
  if (subject !== null && (subject.namespace !== namespace || subject.serviceAccount !== serviceAccount)) {
    log.warning('the token is for another workload: the control service will refuse it', {
      token: `${subject.namespace}/${subject.serviceAccount}`,
      workload: `${namespace}/${serviceAccount}`,
    });
  }
  const identity = new Identity({
    access: new ControlAccess({ control, tokenFile, rootFile, rootHash }),
    expected: { trustDomain, namespace, serviceAccount },
    uri: `spiffe://${trustDomain || TRUST_DOMAIN}/ns/${namespace}/sa/${serviceAccount}`,
    lifetimeSeconds: certificateSeconds,
    log: log.child('identity'),
    clock: systemClock,
  });
  return { identity, serviceAccount };
}
