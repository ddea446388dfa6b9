// Puts outlier detection beside the live clusters that want it: a detector for each, told whenever the endpoints, their
// health or the settings of its cluster have changed, and a picker before the cluster's own while one is to be probed.
// An aggregate cluster has no endpoints; its members are watched each by itself, and probed by what they are asked for.
// ORIGINAL_DST is not watched: its clients have chosen the endpoint. A cluster without it costs nothing.
import type { ClusterId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Endpoint, Picker } from '../plan/cluster.ts';
import type { LiveCluster } from './cluster.ts';
import { delayByTimer, type Delay } from './dns-discovery.ts';
import { OutlierDetector } from './outlier-detector.ts';
import type { OutlierSettings } from './outlier-settings.ts';
import type { OutlierEvent } from './outlier-event.ts';
import { OutlierTally } from './outlier-tally.ts';
import type { Balanced } from './picker.ts';
import { ProbePicker } from './probe-picker.ts';

export interface OutlierWatchOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly delay?: Delay;
  /** Absent: nobody keeps a log of ejections. */
  readonly onEvent?: ((event: OutlierEvent) => void) | undefined;
}

export class OutlierWatch {
  readonly #options: OutlierWatchOptions;
  readonly #detectors = new Map<ClusterId, OutlierDetector>();
  readonly #tallies = new Map<string, OutlierTally>();

  constructor(options: OutlierWatchOptions) {
    this.#options = options;
  }

  /** Once, for each new cluster. */
  follow(cluster: LiveCluster): void {
    cluster.onRefresh(() => this.#refreshed(cluster));
    cluster.checked.onResult((endpoint, hasPassed) => {
      if (hasPassed) this.#detectors.get(cluster.name)?.onCheckPassed(endpoint);
    });
  }

  forget(cluster: LiveCluster): void {
    this.#detectors.get(cluster.name)?.close();
    this.#detectors.delete(cluster.name);
    this.#tallies.delete(cluster.name);
  }

  detectorOf(cluster: ClusterId): OutlierDetector | null {
    return this.#detectors.get(cluster) ?? null;
  }

  /** Null for a cluster that has never had outlier detection. */
  readonly tallyOf = (cluster: string): OutlierTally | null => this.#tallies.get(cluster) ?? null;

  #refreshed(cluster: LiveCluster): void {
    const settings = cluster.settings.outlier ?? null;
    const known = this.#detectors.get(cluster.name);
    if (settings === null) {
      if (known === undefined) return;
      this.#detectors.delete(cluster.name);
      cluster.trial = null;
      known.close();
      return;
    }
    const detector = known ?? this.#begin(cluster, settings);
    detector.settings = settings;
    detector.follow(cluster.endpoints);
  }

  #begin(cluster: LiveCluster, settings: OutlierSettings): OutlierDetector {
    const { clock, random, log, delay = delayByTimer, onEvent } = this.#options;
    const tally = this.#tallies.get(cluster.name) ?? new OutlierTally();
    this.#tallies.set(cluster.name, tally);
    const detector = new OutlierDetector(settings, {
      clock,
      random,
      delay,
      log: log.child(cluster.name),
      tally,
      setUnfit: (endpoint, reason, isUnfit) => cluster.setUnfit(endpoint, reason, isUnfit),
      onProbing: () => cluster.refresh(),
      onEvent: onEvent && ((event) => onEvent({ ...event, cluster: cluster.name })),
    });
    this.#detectors.set(cluster.name, detector);
    cluster.trial = (balanced) => this.#trialOf(detector, balanced);
    return detector;
  }

  /** The balancer itself while none of its endpoints waits for a probe. */
  #trialOf(detector: OutlierDetector, { picker, members, asIfFit }: Balanced): Picker {
    const usable = new Set(
      members.filter(({ health }) => health === 'healthy' || health === 'degraded').map(endpointOf),
    );
    const probing = detector.probing.filter(({ host }) => usable.has(host.endpoint));
    if (probing.length === 0) return picker;
    const asIfWell = asIfFit === null ? null : asIfFit(new Set(probing.map(({ host }) => host.endpoint)));
    return new ProbePicker(picker, { probing, asIfWell, clock: this.#options.clock });
  }
}

function endpointOf({ endpoint }: Balanced['members'][number]): Endpoint {
  return endpoint;
}
