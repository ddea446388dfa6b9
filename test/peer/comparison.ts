// Compares what one case showed on Envoy and on our sidecar. A difference stands unless an entry of
// allowed-differences.ts names it; each entry remembers whether it was needed.
import type { AllowedDifference } from './allowed-differences.ts';
import type { Observation } from './observation.ts';
import type { PeerCase } from './peer-case.ts';

export interface Difference {
  /** For example `response.header.server`. */
  readonly what: string;
  readonly envoy: string | null;
  readonly outrigger: string | null;
}

export function differences(envoy: Observation, outrigger: Observation): readonly Difference[] {
  const found: Difference[] = [];
  for (const what of new Set([...envoy.keys(), ...outrigger.keys()])) {
    const one = envoy.get(what) ?? null;
    const two = outrigger.get(what) ?? null;
    if (one !== two) found.push({ what, envoy: one, outrigger: two });
  }
  return found;
}

/** The differences that no entry allows; `used` collects the entries that were needed. */
export function unexplained(
  where: string,
  found: readonly Difference[],
  allowed: readonly AllowedDifference[],
  used: Set<AllowedDifference>,
): readonly Difference[] {
  return found.filter((difference) => {
    const entries = allowed.filter((entry) => allows(entry, where, difference));
    for (const entry of entries) used.add(entry);
    return entries.length === 0;
  });
}

function allows(entry: AllowedDifference, where: string, difference: Difference): boolean {
  return (
    entry.where.test(where) &&
    entry.what.test(difference.what) &&
    (entry.envoy === undefined || entry.envoy.test(difference.envoy ?? '<none>')) &&
    (entry.outrigger === undefined || entry.outrigger.test(difference.outrigger ?? '<none>'))
  );
}

/** What is wrong with an observation by the case's own expectation; null when it fits. */
export function misfit(peerCase: PeerCase, seen: Observation): string | null {
  const [status = '', upstream = ''] = peerCase.is.split(' ');
  const actual = seen.get('response.status') ?? 'close';
  const requests = seen.get('upstream.requests') ?? '';
  const isReached = upstream === '' ? true : requests.split(' ').includes(upstream);
  return actual === status && isReached ? null : `expected ${peerCase.is}, got ${actual} ${requests}`;
}

export function formatDifferences(found: readonly Difference[]): string {
  return found
    .map(({ what, envoy, outrigger }) => `${what}\n    envoy:     ${show(envoy)}\n    outrigger: ${show(outrigger)}`)
    .join('\n');
}

function show(value: string | null): string {
  return value === null ? '(none)' : JSON.stringify(value);
}
