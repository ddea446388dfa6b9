// Where a provider's keys come from: from the configuration, for good, or from a service, in which case they change
// and may not be there yet (jwt-remote-keys.ts). A request that needs keys which are on their way waits for them.
import type { KeySet } from '../base/key-set.ts';
import type { Resumer } from '../plan/exchange.ts';

export interface JwtKeySource {
  /** Null: none have come yet. */
  readonly current: KeySet | null;
  /** Grows when the keys become other ones: what was verified with the old ones is to be forgotten. */
  readonly version: number;
  /** On the clock's now(): when somebody who uses the keys should have them fetched again; Infinity: never. */
  readonly refreshAtMs: number;
  /** Has them fetched again, and waits for nothing. */
  refresh(): void;
  /** Asks for keys where there are none, or where a token names one that is not known; true when some are on their way. */
  request(isForUnknownKey: boolean): boolean;
  /** Has an exchange resumed when the keys that are on their way came, or did not; false: there is no room to wait. */
  await(resumer: Resumer, epoch: number): boolean;
}

class FixedKeys implements JwtKeySource {
  readonly current: KeySet;
  readonly version = 0;
  readonly refreshAtMs = Infinity;

  constructor(set: KeySet) {
    this.current = set;
  }

  refresh(): void {
    // They stay as they are.
  }

  request(): boolean {
    return false;
  }

  await(): boolean {
    return false;
  }
}

/** Keys that stay as they are. */
export function fixedKeys(set: KeySet): JwtKeySource {
  return new FixedKeys(set);
}
