// What the flags of `outrigger control` say about identity: the authority, the TLS port, and who knows tokens.
import { isIP } from 'node:net';
import type { Log } from '../base/log.ts';
import type { SecureOptions } from '../control/secure-endpoint.ts';
import { flaggedAccess } from '../kube/access.ts';
import { isTrustDomain } from '../tls/spiffe-id.ts';
import { authorityPlace } from './authority-place.ts';
import type { ControlFlags } from './control.ts';
import type { Cluster } from './kube-flags.ts';

const ADDRESS = /^(?:\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/;
const NAME = /^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;

/** Null without an authority; a text says what is wrong. */
export async function secureOptions(
  flags: ControlFlags,
  cluster: Cluster | null,
  log: Log,
): Promise<SecureOptions | string | null> {
  const { secure = '0.0.0.0:15012', secureName, trustDomain, kubernetes } = flags;
  if (trustDomain !== undefined && !isTrustDomain(trustDomain))
    return `--trust-domain "${trustDomain}" is not lower-case letters, digits, dots, hyphens and underscores`;
  const authority = await authorityPlace(flags, cluster, log);
  if (typeof authority === 'string') return authority;
  if (authority === null) {
    const [needless] = [flags.secure, kubernetes, ...secureName].filter((value) => value !== undefined);
    return needless === undefined ? null : '--secure, --secure-name and --kubernetes need --ca-dir or --ca-secret';
  }
  if (!ADDRESS.test(secure)) return `--secure "${secure}" is not host:port`;
  const odd = secureName.find((name) => isIP(name) === 0 && !NAME.test(name));
  if (odd !== undefined) return `--secure-name "${odd}" is neither a DNS name in lower case nor an IP address`;
  const { kubernetesTokenFile: tokenFile, kubernetesCa: authorityFile } = flags;
  const access =
    kubernetes === undefined
      ? (cluster?.access ?? null)
      : await flaggedAccess({ server: kubernetes, tokenFile, authorityFile }, process.env);
  if (typeof access === 'string') return `--kubernetes ${access}`;
  // As the sidecars of a cluster call us.
  const own = cluster === null ? [] : [`outrigger-control.${cluster.namespace}.svc`];
  return { authority, address: secure, names: [...own, ...secureName], kubernetes: access };
}
