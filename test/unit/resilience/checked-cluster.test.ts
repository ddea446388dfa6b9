// A live cluster whose endpoints are checked: when it is warm, what a new endpoint gets, who stays although discovery
// has dropped it, and what a change of the checks means for those that serve.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { TimerWheel } from '../../../src/base/timer-wheel.ts';
import { silentLog } from '../../../src/base/log.ts';
import { UNFIT, type Endpoint } from '../../../src/plan/cluster.ts';
import type { ClusterSettings } from '../../../src/resilience/cluster-settings.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import type { ProbeResult } from '../../../src/resilience/health-check.ts';
import { HealthChecker } from '../../../src/resilience/health-checker.ts';
import {
  aBench,
  anAssignment,
  assignmentJson,
  authorities,
  lbEndpoint,
  removals,
  settingsOf,
} from './cluster-builders.ts';
import { BASE, DEGRADED, EXCLUDING, HandProbe, PASS, RESET } from './health-builders.ts';

const EDS: JsonObject = { type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } };
const CHECK: JsonObject = { ...BASE, unhealthy_threshold: 1, tcp_health_check: {} };
const ADDRESS: JsonObject = { socket_address: { address: '127.0.0.1', port_value: 80 } };
const NO_PANIC: JsonObject = { healthy_panic_threshold: { value: 0 } };

/** A cluster, its checker, and the probes by the authority of their endpoint and the name of their check. */
class Trial {
  readonly probes = new Map<string, HandProbe>();
  readonly cluster: LiveCluster;
  readonly #checkers: HealthChecker[] = [];

  constructor(json: JsonObject) {
    const { dependencies } = aBench();
    const clock = { now: () => 0, wall: () => 0 };
    const options = { clock, wheel: new TimerWheel(clock), random: () => 0, log: silentLog };
    const health = {
      follow: (cluster: LiveCluster) => {
        if (this.#checkers.length === 0) {
          const checker = new HealthChecker({
            ...options,
            cluster,
            makeProbe: ({ endpoint, settings }) => {
              const probe = new HandProbe(() => 0);
              this.probes.set(`${endpoint.authority}${settings.name}`, probe);
              return probe;
            },
            onEvent: () => {},
            onVerdict: () => {},
            watch: null,
          });
          this.#checkers.push(checker);
        }
        for (const checker of this.#checkers) checker.follow();
      },
      forget: () => {},
    };
    const settings = { health_checks: [CHECK], common_lb_config: NO_PANIC, ...json };
    this.cluster = new LiveCluster(settingsOf(settings), { ...dependencies, health });
    this.cluster.start();
  }

  assign(...ports: readonly number[]): void {
    this.cluster.updateEndpoints(anAssignment(assignmentJson(ports.map((port) => lbEndpoint(port)))));
  }

  answer(port: number, result: ProbeResult, name = ''): void {
    this.probes.get(`127.0.0.1:${port}${name}`)?.done?.(result);
  }

  get picked(): ReadonlySet<string> {
    const picks = Array.from({ length: 20 }, () => this.cluster.picker.pick(null));
    return new Set(picks.flatMap((endpoint) => (endpoint === null ? [] : [endpoint.authority])));
  }
}

function at(...ports: readonly number[]): ReadonlySet<string> {
  return new Set(ports.map((port) => `127.0.0.1:${port}`));
}

function only(cluster: LiveCluster): Endpoint {
  const [endpoint] = cluster.endpoints;
  if (endpoint === undefined) throw new Error('no endpoint');
  return endpoint;
}

function rules(checks: readonly JsonObject[]): ClusterSettings {
  return settingsOf({ health_checks: [...checks], common_lb_config: NO_PANIC });
}

describe('a cluster is warm', () => {
  it('when every endpoint has had a result, whatever it was', () => {
    const trial = new Trial(EDS);
    trial.assign(80, 81);
    const seen = [trial.cluster.isWarm];
    trial.answer(80, PASS);
    seen.push(trial.cluster.isWarm);
    trial.answer(81, RESET);
    seen.push(trial.cluster.isWarm);
    expect({ seen, picked: trial.picked }).toEqual({ seen: [false, false, true], picked: at(80) });
  });

  it('when the one that it waits for is gone', () => {
    const trial = new Trial(EDS);
    trial.assign(80, 81);
    trial.answer(80, PASS);
    trial.assign(80);
    expect(trial.cluster.isWarm).toBe(true);
  });

  it('at once without endpoints', () => {
    const trial = new Trial(EDS);
    trial.assign();
    expect(trial.cluster.isWarm).toBe(true);
  });

  it('at once where nobody is checked', () => {
    const checked = { endpoint: { address: ADDRESS, health_check_config: {} } };
    expect(new Trial({ load_assignment: assignmentJson([checked]) }).cluster.isWarm).toBe(false);
    const config = { disable_active_health_check: true };
    const free = { endpoint: { address: ADDRESS, health_check_config: config } };
    const trial = new Trial({ load_assignment: assignmentJson([free]) });
    expect({ isWarm: trial.cluster.isWarm, picked: trial.picked }).toEqual({ isWarm: true, picked: at(80) });
  });
});

describe('a new endpoint', () => {
  it('gets nothing before its first check has passed', () => {
    const trial = new Trial(EDS);
    trial.assign(80);
    trial.answer(80, PASS);
    trial.assign(80, 81);
    const before = trial.picked;
    trial.answer(81, PASS);
    expect([before, trial.picked]).toEqual([at(80), at(80, 81)]);
  });

  it('does not count before its first check where that is asked for', () => {
    const trial = new Trial({ common_lb_config: { ...NO_PANIC, ignore_new_hosts_until_first_hc: true } });
    const before = only(trial.cluster).unfit;
    trial.answer(80, RESET);
    expect([before, only(trial.cluster).unfit]).toEqual([UNFIT.FAILED_CHECK | UNFIT.UNCHECKED, UNFIT.FAILED_CHECK]);
  });
});

describe('an endpoint that discovery has dropped', () => {
  it('stays until a check of it fails', () => {
    const trial = new Trial(EDS);
    const told = removals(trial.cluster);
    trial.assign(80, 81);
    trial.answer(80, PASS);
    trial.answer(81, PASS);
    trial.assign(80);
    const [, lingering] = trial.cluster.endpoints;
    const before = trial.picked;
    const isLingering = lingering !== undefined && trial.cluster.checked.isLingering(lingering);
    expect({ before, isLingering }).toEqual({ before: at(80, 81), isLingering: true });
    trial.cluster.judge(lingering ?? only(trial.cluster), {
      unfit: UNFIT.FAILED_CHECK,
      isDegraded: false,
      isChecked: true,
    });
    expect({ after: authorities(trial.cluster.endpoints), told: told.flat() }).toEqual({
      after: ['127.0.0.1:80'],
      told: ['127.0.0.1:81'],
    });
  });

  it.each<[name: string, json: JsonObject, result: ProbeResult]>([
    ['goes at once when its check has failed', {}, RESET],
    ['goes at once where discovery alone decides', { ignore_health_on_host_removal: true }, PASS],
  ])('%s', (_name, json, result) => {
    const trial = new Trial({ ...EDS, ...json });
    trial.assign(80, 81);
    trial.answer(80, PASS);
    trial.answer(81, result);
    trial.assign(80);
    expect(authorities(trial.cluster.endpoints)).toEqual(['127.0.0.1:80']);
  });

  it('is an ordinary one when it comes back', () => {
    const trial = new Trial(EDS);
    trial.assign(80);
    trial.answer(80, PASS);
    const endpoint = only(trial.cluster);
    trial.assign();
    trial.assign(80);
    expect({ same: only(trial.cluster) === endpoint, lingers: trial.cluster.checked.isLingering(endpoint) }).toEqual({
      same: true,
      lingers: false,
    });
  });
});

describe('several checks', () => {
  it('must all pass, and one that says so degrades or excludes', () => {
    const checks = ['a', 'b'].map((name) => ({ ...CHECK, name }));
    const trial = new Trial({ health_checks: checks });
    const endpoint = only(trial.cluster);
    const seen: unknown[] = [];
    for (const [name, result] of [
      ['a', DEGRADED],
      ['b', EXCLUDING],
    ] as const) {
      trial.answer(80, result, name);
      seen.push([endpoint.unfit, endpoint.isDegraded, trial.cluster.isWarm]);
    }
    expect(seen).toEqual([
      [UNFIT.FAILED_CHECK, true, false],
      [UNFIT.FAILED_CHECK | UNFIT.EXCLUDED, true, true],
    ]);
  });
});

describe('a change of the checks', () => {
  it('takes nothing from endpoints that serve', () => {
    const trial = new Trial({});
    trial.answer(80, PASS);
    trial.cluster.update(rules([{ ...CHECK, interval: '1s' }]));
    expect(trial.picked).toEqual(at(80));
  });

  it('makes what checks have found void when there are none any more', () => {
    const trial = new Trial({});
    trial.answer(80, EXCLUDING);
    trial.cluster.update(rules([]));
    expect({ picked: trial.picked, isClosed: trial.probes.get('127.0.0.1:80')?.isClosed }).toEqual({
      picked: at(80),
      isClosed: true,
    });
  });

  it('begins to check those that serve, without holding them back', () => {
    const trial = new Trial({ health_checks: [] });
    trial.cluster.update(rules([CHECK]));
    const before = trial.picked;
    trial.answer(80, RESET);
    expect([before, trial.picked]).toEqual([at(80), at()]);
  });
});
