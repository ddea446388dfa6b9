// Which Secrets workloads may ask for. A Secret of a file is there for them. In a cluster any workload of a namespace would
// have every TLS Secret of it, whatever its account may read: so there only those that a DestinationRule for that namespace
// names as its credential, and those that say themselves that they are for the mesh.
import type { DestinationRule, Secret } from '../config/resource.ts';
import { isVisible } from './mesh-service.ts';
import { AUTHORITIES } from './secret-index.ts';

/** On Secrets that are for the mesh: `outrigger.dev/credential: "true"`. */
export const CREDENTIAL_LABEL = 'outrigger.dev/credential';
/** What the API server has is called so (kubernetes/object-text.ts). */
const FROM_CLUSTER = 'kubernetes:';

export function offeredSecrets(secrets: readonly Secret[], rules: readonly DestinationRule[]): readonly Secret[] {
  const byName = new Map<string, DestinationRule[]>();
  for (const rule of rules) {
    for (const name of credentialsOf(rule).flatMap((each) => [each, `${each}${AUTHORITIES}`])) {
      const known = byName.get(name);
      if (known === undefined) byName.set(name, [rule]);
      else known.push(rule);
    }
  }
  return secrets.filter(({ meta, source }) => {
    if (!source.file.startsWith(FROM_CLUSTER) || meta.labels.get(CREDENTIAL_LABEL) === 'true') return true;
    return (byName.get(meta.name) ?? []).some((rule) =>
      isVisible(rule.spec.exportTo, rule.meta.namespace, meta.namespace),
    );
  });
}

function credentialsOf({ spec }: DestinationRule): readonly string[] {
  const policies = [spec.policy, ...spec.subsets.map(({ policy }) => policy)].filter((policy) => policy !== null);
  const all = policies.flatMap(({ tls, ports }) => [tls, ...[...ports.values()].map((port) => port.tls)]);
  return [...new Set(all.map((tls) => tls?.credentialName ?? '').filter((name) => name !== ''))];
}
