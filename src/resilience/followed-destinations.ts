// The endpoints of an ORIGINAL_DST cluster as its settings want them: which header may name a destination, and how
// often those that nobody asks for are forgotten.
import { internHeader, UNKNOWN } from '../http/header-name.ts';
import type { Endpoint } from '../plan/cluster.ts';
import type { Discovery } from './cluster-settings.ts';
import type { Delay } from './dns-discovery.ts';
import { OriginalDestinations } from './original-destinations.ts';

export interface Following {
  readonly delay: Delay;
  /** The address to dial an endpoint from. */
  readonly sourceFor: (address: string) => string;
  readonly onRemoved: (removed: readonly Endpoint[]) => void;
}

export function followDestinations(
  { headerName, portOverride, cleanupMs }: Discovery & { readonly kind: 'original-dst' },
  { delay, sourceFor, onRemoved }: Following,
): OriginalDestinations {
  const clean = (): void => {
    if (destinations.clean()) delay(clean, cleanupMs);
  };
  const destinations = new OriginalDestinations({
    header: headerName === '' ? UNKNOWN : internHeader(headerName),
    portOverride,
    sourceFor,
    onFirst: () => delay(clean, cleanupMs),
  });
  destinations.onRemoved = onRemoved;
  return destinations;
}
