// A health check on a fake clock: its settings from the JSON that people write, a probe whose answers the test
// gives, and the times at which it asked.
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { TimerWheel } from '../../../src/base/timer-wheel.ts';
import { HealthCheck, type HealthEvent, type Probe, type ProbeResult } from '../../../src/resilience/health-check.ts';
import { compileHealthChecks } from '../../../src/resilience/health-check-compile.ts';
import type { HealthCheckSettings } from '../../../src/resilience/health-check-settings.ts';
import { HealthCounts } from '../../../src/resilience/health-counts.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { ClusterSchema } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { anEnv } from './cluster-builders.ts';

export const BASE: JsonObject = { timeout: '1s', interval: '10s', unhealthy_threshold: 3, healthy_threshold: 2 };

/** The settings of checks, and the Problems of compiling them. */
export function compiledChecks(...checks: JsonObject[]): {
  readonly settings: readonly HealthCheckSettings[];
  readonly problems: readonly string[];
} {
  const env = anEnv();
  const cluster = fromJson(ClusterSchema, { name: 'c', health_checks: checks }, { registry: extensions });
  const settings = compileHealthChecks(cluster, env, 'c');
  return {
    settings,
    problems: env.problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`),
  };
}

export const PASS: ProbeResult = { kind: 'passed', isDegraded: false };
export const DEGRADED: ProbeResult = { kind: 'passed', isDegraded: true };
export const WRONG: ProbeResult = {
  kind: 'failed',
  reason: 'active',
  isRetriable: false,
  isExcluded: false,
  status: 500,
};
export const RETRIABLE: ProbeResult = { ...WRONG, isRetriable: true };
export const EXCLUDING: ProbeResult = { ...WRONG, isExcluded: true };
export const RESET: ProbeResult = { ...WRONG, reason: 'network', status: 0 };

export class HandProbe implements Probe {
  readonly askedMs: number[] = [];
  aborts = 0;
  isClosed = false;
  done: ((result: ProbeResult) => void) | null = null;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  start(done: (result: ProbeResult) => void): void {
    this.askedMs.push(this.#now());
    this.done = done;
  }

  abort(): void {
    this.aborts++;
    this.done = null;
  }

  close(): void {
    this.isClosed = true;
  }
}

export interface Trial {
  readonly check: HealthCheck;
  readonly probe: HandProbe;
  readonly events: readonly HealthEvent[];
  readonly counts: HealthCounts;
  /** Lets time pass in steps of a millisecond. */
  pass(ms: number): void;
  /** Answers the check that is under way, after waiting for it; the time that was waited, in milliseconds. */
  answer(result: ProbeResult): number;
}

export interface TrialOptions {
  readonly isFailed?: boolean;
  readonly hasTraffic?: boolean;
  readonly random?: () => number;
}

/** Begun at time 0, with a wheel that ticks every millisecond. */
export function aTrial(json: JsonObject = {}, options: TrialOptions = {}): Trial {
  const { isFailed = true, hasTraffic = true, random = () => 0 } = options;
  const [settings] = compiledChecks({ ...BASE, tcp_health_check: {}, ...json }).settings;
  if (settings === undefined) throw new Error('the check does not compile');
  let nowMs = 0;
  const clock = { now: () => nowMs, wall: () => nowMs };
  const wheel = new TimerWheel(clock, 1);
  const probe = new HandProbe(() => nowMs);
  const events: HealthEvent[] = [];
  const counts = new HealthCounts();
  const check = new HealthCheck({
    settings,
    clock,
    wheel,
    random,
    probe,
    tally: counts,
    isFailed,
    hasTraffic: () => hasTraffic,
    onEvent: (event) => events.push(event),
    onResult: () => {},
  });
  counts.checks.add(check);
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i++) {
      nowMs++;
      wheel.advance();
    }
  };
  const answer = (result: ProbeResult): number => {
    const startedMs = nowMs;
    for (let i = 0; i < 1_000_000 && probe.done === null; i++) pass(1);
    const { done } = probe;
    probe.done = null;
    done?.(result);
    return nowMs - startedMs;
  };
  check.begin();
  return { check, probe, events, counts, pass, answer };
}
