// What a live cluster is given from outside: time, chance, names, and whoever else has a say in its endpoints.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { ClusterRef } from '../plan/cluster.ts';
import type { HealthWatcher } from './checked-endpoints.ts';
import type { Delay } from './dns-discovery.ts';
import type { LocalZone } from './locality-build.ts';
import type { Resolver } from './resolver.ts';

export interface ClusterDependencies {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolver: Resolver;
  readonly log: Log;
  /** Node's timer, which does not keep the process alive, by default. */
  readonly delay?: Delay;
  /** The clusters that an aggregate names; absent: there are none. */
  readonly clusterRef?: (name: string) => ClusterRef;
  /** Where this sidecar is, for zone aware routing; absent or null: that is not known. */
  readonly zone?: () => LocalZone | null;
  /** Checks the endpoints; absent: nobody does, and none is held back for it. */
  readonly health?: HealthWatcher;
}
