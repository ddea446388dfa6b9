// The one flag that says which API server is meant (`--kube`): `in-cluster`, an URL, or the path of a kubeconfig; empty is
// the kubeconfig that kubectl would take.
import { systemClock } from '../base/clock.ts';
import { flaggedAccess, type KubeAccess } from './access.ts';
import { kubeconfigAccess, type KubeconfigOptions } from './kubeconfig.ts';

export interface GivenAccess extends Omit<KubeconfigOptions, 'path'> {
  readonly server: string;
  /** With `in-cluster` or an URL: our own token; empty: that of the pod, or none. */
  readonly tokenFile?: string;
  /** With `in-cluster` or an URL: PEM of the authorities of its certificate. */
  readonly authorityFile?: string;
}

/** What it comes to, or what is wrong with it. */
export async function givenAccess(given: GivenAccess): Promise<KubeAccess | string> {
  const { server, tokenFile = '', authorityFile = '', environment = process.env, clock = systemClock } = given;
  if (server === 'in-cluster' || /^https?:\/\//.test(server))
    return await flaggedAccess({ server, tokenFile, authorityFile }, environment, clock);
  if (tokenFile !== '' || authorityFile !== '')
    return 'a kubeconfig says itself which token and which authorities: leave the flags for them out';
  return await kubeconfigAccess({ ...given, path: server });
}
