// Where a provider's keys come from: from the configuration, for good, or from a service, in which case they change
// and may not be there yet (jwt-remote-keys.ts). A request that needs keys which are on their way waits for them.
import type { Resumer } from '../plan/exchange.ts';
import type { JwtKeySet } from './jwt-keys.ts';

export interface JwtKeySource {
  /** Null: none have come yet. */
  readonly current: JwtKeySet | null;
  /** Has an exchange resumed when the keys that are on their way came, or did not; false: there is no room to wait. */
  readonly await: (resumer: Resumer, epoch: number) => boolean;
  /** Asks for keys where there are none, or where a token names one that is not known; true when some are on their way. */
  readonly request: (isForUnknownKey: boolean) => boolean;
}

/** Keys that stay as they are. */
export function fixedKeys(set: JwtKeySet): JwtKeySource {
  return Object.freeze({ current: set, await: () => false, request: () => false });
}
