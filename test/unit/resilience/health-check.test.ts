// One health check of one endpoint on a fake clock: every field that decides when it asks and what an answer means.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { ProbeResult } from '../../../src/resilience/health-check.ts';
import { aTrial, DEGRADED, EXCLUDING, PASS, RESET, RETRIABLE, WRONG, type TrialOptions } from './health-builders.ts';

const LETTERS = new Map<string, ProbeResult>([
  ['p', PASS],
  ['d', DEGRADED],
  ['w', WRONG],
  ['r', RETRIABLE],
  ['n', RESET],
  ['x', EXCLUDING],
]);

function resultOf(letter: string): ProbeResult {
  const result = LETTERS.get(letter);
  if (result === undefined) throw new Error(letter);
  return result;
}

describe('what answers do to an endpoint', () => {
  it.each<[name: string, answers: string, states: string, json?: JsonObject, options?: TrialOptions]>([
    ['the first pass takes a new one in at once', 'p', '+'],
    ['the first failure leaves a new one out', 'n', '-'],
    ['after a first failure it takes as many passes as configured', 'npp', '--+'],
    ['a pass that is followed by a failure counts no more', 'npwpp', '----+'],
    ['a wrong answer fails it at once', 'pw', '+-'],
    ['what the network says counts towards the threshold', 'pnnn', '+++-'],
    ['a retriable answer counts towards the threshold', 'prrr', '+++-'],
    ['both count together', 'prnr', '+++-'],
    ['a pass starts the count anew', 'pnnpnnn', '++++++-'],
    ['a threshold of one fails it at the first', 'pn', '+-', { unhealthy_threshold: 1 }],
    ['a threshold of nought is never reached', 'pnnnn', '+++++', { unhealthy_threshold: 0 }],
    [
      'one that served before the first check goes on through errors below the threshold',
      'nn',
      '++',
      {},
      { isFailed: false },
    ],
    ['one that served before the first check fails by a wrong answer', 'w', '-', {}, { isFailed: false }],
  ])('%s', (...[, answers, states, json = {}, options = {}]) => {
    const trial = aTrial(json, options);
    const seen = Array.from(answers).map((letter) => {
      trial.answer(resultOf(letter));
      return trial.check.isFailed ? '-' : '+';
    });
    expect(seen.join('')).toBe(states);
  });

  it('degrades at once, and recovers at once, also while it fails', () => {
    const trial = aTrial();
    const seen = Array.from('pdpwdpp').map((letter) => {
      trial.answer(resultOf(letter));
      const { isFailed, isDegraded } = trial.check;
      return `${isFailed ? '-' : '+'}${isDegraded ? 'd' : ''}`;
    });
    expect(seen).toEqual(['+', '+d', '+', '-', '-d', '+', '+']);
  });

  it('is excluded by the header until it is taken back', () => {
    const trial = aTrial();
    const seen = Array.from('pxwpp').map((letter) => {
      trial.answer(resultOf(letter));
      return trial.check.isExcluded;
    });
    expect(seen).toEqual([false, true, true, true, false]);
  });

  it('fails at once, and is excluded, when a response to a request says so; the next check keeps its time', () => {
    const trial = aTrial();
    trial.answer(PASS);
    trial.pass(4000);
    trial.check.failPassively();
    const { isFailed, isExcluded } = trial.check;
    expect({ isFailed, isExcluded, waited: trial.answer(PASS) }).toEqual({
      isFailed: true,
      isExcluded: true,
      waited: 6001,
    });
    expect(trial.counts).toMatchObject({ passiveFailures: 1, failures: 1, networkFailures: 0 });
  });

  it('takes a missing answer for a failure of the network, and says so only of one that fails', () => {
    const trial = aTrial({ timeout: '0.25s', unhealthy_threshold: 2 });
    trial.answer(PASS);
    const seen: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      trial.pass(10_001 + 251);
      const { isFailed, isTimedOut } = trial.check;
      seen.push({ isFailed, isTimedOut, aborts: trial.probe.aborts });
    }
    expect(seen).toEqual([
      { isFailed: false, isTimedOut: false, aborts: 1 },
      { isFailed: true, isTimedOut: true, aborts: 2 },
    ]);
    trial.answer(RESET);
    expect(trial.check.isTimedOut).toBe(false);
  });
});

describe('when it asks', () => {
  const EDGES: JsonObject = {
    unhealthy_interval: '3s',
    unhealthy_edge_interval: '2s',
    healthy_edge_interval: '1s',
    no_traffic_interval: '30s',
  };
  it.each<[name: string, json: JsonObject, answers: string, waits: number[], options?: TrialOptions]>([
    ['interval, whatever the answer, when nothing else is configured', {}, 'pnnnwp', [10, 10, 10, 10, 10]],
    ['unhealthy_interval while it fails', { unhealthy_interval: '3s' }, 'pwnp', [10, 3, 3]],
    ['the edge intervals while the next answers decide', EDGES, 'pnnnnpp', [10, 2, 2, 3, 3, 1]],
    ['unhealthy_edge_interval is unhealthy_interval by default', { unhealthy_interval: '3s' }, 'pnp', [10, 3]],
    ['healthy_edge_interval is interval by default', { unhealthy_interval: '3s' }, 'wpp', [3, 10]],
    ['no_traffic_interval, 60 s by default, before there is traffic', {}, 'pwp', [60, 60], { hasTraffic: false }],
    ['no_traffic_interval before any other', EDGES, 'pnnnw', [30, 30, 30, 30], { hasTraffic: false }],
    [
      'no_traffic_healthy_interval after a pass',
      { no_traffic_interval: '5s', no_traffic_healthy_interval: '50s' },
      'pwwp',
      [50, 5, 5],
      { hasTraffic: false },
    ],
    ['interval_jitter at most', { interval_jitter: '4s' }, 'ppp', [12, 12], { random: () => 0.5 }],
    ['interval_jitter_percent of the wait', { interval_jitter_percent: 50 }, 'pp', [12.5], { random: () => 0.5 }],
    [
      'both jitters together',
      { interval_jitter: '4s', interval_jitter_percent: 50 },
      'pp',
      [14.5],
      { random: () => 0.5 },
    ],
    [
      'the percentage of the wait that is in force',
      { interval_jitter_percent: 100, unhealthy_interval: '2s' },
      'pww',
      [15, 3],
      { random: () => 0.5 },
    ],
  ])('%s', (...[, json, answers, waits, options = {}]) => {
    const trial = aTrial(json, options);
    const seen = Array.from(answers).map((letter) => trial.answer(resultOf(letter)));
    // The wheel fires within a tick after the deadline.
    expect(seen).toEqual([0, ...waits.map((seconds) => seconds * 1000 + 1)]);
  });

  it.each([
    ['at once', {}, 0],
    ['after a random part of initial_jitter', { initial_jitter: '8s' }, 4001],
    ['interval jitters do not touch the first', { interval_jitter: '8s', interval_jitter_percent: 80 }, 0],
  ])('%s', (_name, json, waited) => {
    const trial = aTrial(json, { random: () => 0.5 });
    expect(trial.answer(PASS)).toBe(waited);
  });

  it('asks nothing more once it is closed, and hears nothing', () => {
    const trial = aTrial();
    const { done } = trial.probe;
    trial.check.close();
    done?.(PASS);
    trial.pass(30_000);
    const { isChecked } = trial.check;
    expect({ isChecked, asked: trial.probe.askedMs, isClosed: trial.probe.isClosed }).toEqual({
      isChecked: false,
      asked: [0],
      isClosed: true,
    });
  });
});

describe('what it tells', () => {
  it.each<[name: string, json: JsonObject, answers: string, events: string[]]>([
    ['the first pass', {}, 'pp', ['added first']],
    ['the first failure, and no other', {}, 'wwn', ['failed first ACTIVE']],
    ['going and coming back', {}, 'pwwpp', ['added first', 'ejected ACTIVE', 'added']],
    ['the failure that was one too many', {}, 'pnnn', ['added first', 'ejected NETWORK']],
    ['degradation', {}, 'pddp', ['added first', 'degraded', 'recovered']],
    [
      'every failure where that is asked for',
      { always_log_health_check_failures: true },
      'pwn',
      ['added first', 'ejected ACTIVE', 'failed ACTIVE', 'failed NETWORK'],
    ],
    [
      'every success where that is asked for',
      { always_log_health_check_success: true },
      'ppwppd',
      ['added first', 'passed', 'ejected ACTIVE', 'passed', 'added', 'passed', 'degraded'],
    ],
  ])('%s', (_name, json, answers, events) => {
    const trial = aTrial(json);
    for (const letter of answers) trial.answer(resultOf(letter));
    const told = trial.events.map((event) =>
      [event.kind, 'isFirst' in event && event.isFirst ? 'first' : '', 'failure' in event ? event.failure : '']
        .filter((word) => word !== '')
        .join(' '),
    );
    expect(told).toEqual(events);
  });

  it('counts as Envoy does', () => {
    const trial = aTrial();
    for (const letter of 'pdnw') trial.answer(resultOf(letter));
    trial.pass(10_001 + 1001);
    const { attempts, successes, failures, networkFailures, healthy, degraded } = trial.counts;
    expect({ attempts, successes, failures, networkFailures, healthy, degraded }).toEqual({
      attempts: 5,
      successes: 2,
      failures: 3,
      networkFailures: 2,
      healthy: 0,
      degraded: 1,
    });
  });
});
