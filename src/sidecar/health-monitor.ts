// Checks the endpoints of every cluster that asks for it: makes the probes, writes the events, listens to responses
// that say `x-envoy-immediate-health-check-fail`, and closes the warm connections to an endpoint that fails.
// A cluster without checks costs one comparison per update.
import type { Log } from '../base/log.ts';
import type { HealthNumbers } from '../observe/health-stats.ts';
import type { LogFiles } from '../observe/log-file.ts';
import type { Endpoint } from '../plan/cluster.ts';
import type { CheckVerdict, HealthWatcher } from '../resilience/checked-endpoints.ts';
import type { LiveCluster } from '../resilience/cluster.ts';
import type { Probe } from '../resilience/health-check.ts';
import { HealthChecker, type HealthRecord, type ProbeRequest } from '../resilience/health-checker.ts';
import { formatHealthEvent } from '../resilience/health-event.ts';
import type { Engine } from './engine.ts';
import { drainFailed, ImmediateFailures } from './failed-endpoints.ts';
import { HttpProbe } from './health-probe-http.ts';
import { TcpProbe } from './health-probe-tcp.ts';

export interface HealthMonitorOptions {
  readonly engine: Engine;
  readonly log: Log;
  readonly logFiles: LogFiles;
  /** Makes the probe of one check; the real one by default. */
  readonly makeProbe?: (request: ProbeRequest) => Probe;
}

/** Hears each verdict: what other threads must know. */
export type VerdictListener = (cluster: LiveCluster, endpoint: Endpoint, verdict: CheckVerdict) => void;

export class HealthMonitor implements HealthWatcher {
  onVerdict: VerdictListener | null = null;
  readonly #options: HealthMonitorOptions;
  readonly #checkers = new Map<LiveCluster, HealthChecker>();

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  follow(cluster: LiveCluster): void {
    const known = this.#checkers.get(cluster);
    const { healthChecks = [], transport, discovery } = cluster.settings;
    if (discovery.kind === 'original-dst') return;
    if (known === undefined && healthChecks.length === 0) return;
    // Without its secrets a check could only fail.
    if (transport !== undefined && transport !== null && !transport.isReady) {
      transport.onReady(() => {
        if (cluster.settings.transport === transport) this.follow(cluster);
      });
      return;
    }
    const checker = known ?? this.#make(cluster);
    checker.follow();
    if (healthChecks.length === 0) this.#checkers.delete(cluster);
  }

  forget(cluster: LiveCluster): void {
    this.#checkers.get(cluster)?.close();
    this.#checkers.delete(cluster);
  }

  /** A response to somebody's request asked to leave the endpoint out. */
  failPassively(cluster: string, authority: string): void {
    for (const [live, checker] of this.#checkers) {
      if (live.name !== cluster) continue;
      for (const endpoint of live.endpoints) if (endpoint.authority === authority) checker.failPassively(endpoint);
    }
  }

  /** Some other thread sends traffic to the cluster. */
  markUsed(cluster: string): void {
    for (const [live, checker] of this.#checkers) if (live.name === cluster) checker.markUsed();
  }

  /** Scrape time. */
  readonly numbersOf = (cluster: string): readonly HealthNumbers[] => {
    const checker = this.#checkers.entries().find(([{ name }]) => name === cluster)?.[1];
    return [...(checker?.counts ?? [])].map(([name, counts]) => ({ name, counts }));
  };

  #make(cluster: LiveCluster): HealthChecker {
    const { engine, log, makeProbe = realProbe } = this.#options;
    const checker: HealthChecker = new HealthChecker({
      cluster,
      clock: engine.clock,
      wheel: engine.wheel,
      random: engine.random,
      log,
      makeProbe,
      onEvent: (record) => this.#write(record),
      onVerdict: (endpoint, verdict) => this.#tell(cluster, endpoint, verdict),
      watch: new ImmediateFailures((endpoint) => checker.failPassively(endpoint)),
    });
    this.#checkers.set(cluster, checker);
    drainFailed(cluster, engine.pools);
    return checker;
  }

  #tell(cluster: LiveCluster, endpoint: Endpoint, verdict: CheckVerdict): void {
    this.onVerdict?.(cluster, endpoint, verdict);
  }

  #write(record: HealthRecord): void {
    const line = `${formatHealthEvent(record, this.#options.engine.clock.wall())}\n`;
    for (const path of record.settings.eventPaths) this.#options.logFiles.file(path).append(line);
  }
}

function realProbe(request: ProbeRequest): Probe {
  const { probe } = request.settings;
  return probe.kind === 'http' ? new HttpProbe(request, probe) : new TcpProbe(request, probe);
}
