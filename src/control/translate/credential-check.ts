// DestinationRules whose `credentialName` is that of no Secret: calls that wait for a certificate that nobody has. Each caller
// takes the Secret of its own namespace, so one in any namespace that the rule is for will do. They are warnings: the Secret
// may come yet.
import { unresolved, warning, type Problem } from '../../base/problem.ts';
import type { ClientTls } from '../../config/destination-rule.ts';
import type { DestinationRule } from '../../config/resource.ts';
import { isVisible } from '../mesh-service.ts';
import type { Snapshot } from '../snapshot.ts';
import { writtenIn } from './tls-check.ts';

export function checkCredentials(rule: DestinationRule, { secrets }: Snapshot): readonly Problem[] {
  const { meta, spec, source } = rule;
  return writtenIn(rule).flatMap(({ path: at, tls }) => {
    const lacking = partsOf(tls).filter(
      (part) =>
        ![...secrets.namespaces].some(
          (namespace) =>
            isVisible(spec.exportTo, meta.namespace, namespace) && secrets.has(namespace, tls.credentialName, part),
        ),
    );
    if (lacking.length === 0) return [];
    const path = `${at}.tls.credentialName`;
    const message = `no Secret ${tls.credentialName} with ${lacking.join(' and ')} is known; calls that need it fail`;
    const remedy = `add it to the namespaces of the callers, of type kubernetes.io/tls or with outrigger.dev/credential: "true"`;
    return [unresolved(warning(path, message, remedy, source.locate(path)))];
  });
}

function partsOf({ credentialName, mode, skipsVerification }: ClientTls): readonly ('certificate' | 'authorities')[] {
  if (credentialName === '') return [];
  return [
    ...(mode === 'MUTUAL' ? (['certificate'] as const) : []),
    ...(skipsVerification ? [] : (['authorities'] as const)),
  ];
}
