// Circuit breaking per endpoint: what puts one out, for how long, how many may be out, and how it comes back.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { OUTCOME, UNFIT } from '../../../src/plan/cluster.ts';
import { compiled } from './cluster-builders.ts';
import { OutlierBench } from './outlier-bench.ts';

const { NONE, CONNECT_FAILED, CONNECT_TIMEOUT, TIMEOUT, RESET } = OUTCOME;
const many = (count: number, outcome: number): readonly number[] => Array.from({ length: count }, () => outcome);

/** Puts endpoint 0 out again by each probe, and tells how long it was out each time. */
function times(outlier: JsonObject, rounds: number, random = () => 0.5): readonly number[] {
  const bench = new OutlierBench(5, outlier, { random });
  bench.end(0, ...many(5, 503));
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    let waited = 0;
    for (;;) {
      bench.pass(500);
      waited += 500;
      const { x, index } = bench.pick();
      if (index !== 0) continue;
      bench.finish(x, 0, 503);
      break;
    }
    found.push(waited / 1000);
  }
  return found;
}

/** Endpoint 0 of three is out, for 5 s. */
function out(fields: JsonObject = {}): OutlierBench {
  const bench = new OutlierBench(3, { base_ejection_time: '5s', max_ejection_percent: 50 }, { fields });
  bench.end(0, ...many(5, 503));
  return bench;
}

describe('failures in a row put an endpoint out', () => {
  const SPLIT = { split_external_local_origin_errors: true };
  const GATEWAY = { enforcing_consecutive_gateway_failure: 100, consecutive_5xx: 0 };
  const rows: readonly (readonly [says: string, outlier: JsonObject, outcomes: readonly number[], isOut: boolean])[] = [
    ['five answers of 5xx', {}, many(5, 500), true],
    ['four are too few', {}, many(4, 500), false],
    ['an answer in between starts again', {}, [...many(4, 500), 200, ...many(4, 500)], false],
    ['404 is an answer', {}, [...many(4, 503), 404, ...many(4, 503)], false],
    ['those of different kinds count together', {}, [500, 502, TIMEOUT, CONNECT_FAILED, RESET], true],
    ['what the client gave up does not count', {}, [...many(4, 500), NONE, NONE], false],
    ['the threshold is told', { consecutive_5xx: 2 }, [500, 500], true],
    ['0 is never', { consecutive_5xx: 0 }, many(50, 500), false],
    ['enforced in no case', { enforcing_consecutive_5xx: 0 }, many(50, 500), false],
    ['gateway failures are not enforced by default', { consecutive_5xx: 0 }, many(50, 503), false],
    ['gateway failures', { ...GATEWAY }, many(5, 503), true],
    ['500 is none of the gateway', { ...GATEWAY }, [...many(4, 502), 500, ...many(4, 504)], false],
    ['a timeout is one of the gateway', { ...GATEWAY }, many(5, TIMEOUT), true],
    ['a refused connection is one of the gateway', { ...GATEWAY, consecutive_gateway_failure: 1 }, [CONNECT_FAILED], true],
    ['split: failures of this side do not count as answers', { ...SPLIT, consecutive_5xx: 1, consecutive_local_origin_failure: 9 }, many(8, RESET), false],
    ['split: failures of this side count by themselves', { ...SPLIT, consecutive_5xx: 0 }, [CONNECT_FAILED, CONNECT_TIMEOUT, TIMEOUT, RESET, RESET], true],
    ['split: an answer, even 500, says that it was reached', { ...SPLIT, consecutive_5xx: 0 }, [...many(4, RESET), 500, ...many(4, RESET)], false],
    ['split: not enforced', { ...SPLIT, consecutive_5xx: 0, enforcing_consecutive_local_origin_failure: 0 }, many(50, RESET), false],
  ]; // prettier-ignore
  it.each(rows)('%s', (_says, outlier, outcomes, isOut) => {
    const bench = new OutlierBench(5, outlier);
    bench.end(0, ...outcomes);
    expect(bench.ejected).toEqual(isOut ? [0] : []);
  });
});

describe('how many may be out', () => {
  const rows: readonly (readonly [says: string, hosts: number, outlier: JsonObject, bad: number, out: number])[] = [
    ['one of five, although that is more than 10 %', 5, {}, 3, 1],
    ['none of five by Envoy, when that is asked for', 5, { always_eject_one_host: false }, 3, 0],
    ['a tenth of twenty', 20, {}, 5, 2],
    ['half of four', 4, { max_ejection_percent: 50 }, 4, 2],
    ['all but the last', 4, { max_ejection_percent: 100 }, 4, 3],
    ['never the only one', 1, { max_ejection_percent: 100 }, 1, 0],
    ['none at 0 %', 5, { max_ejection_percent: 0 }, 5, 0],
  ];
  it.each(rows)('%s', (...[, hosts, outlier, bad, out]) => {
    const bench = new OutlierBench(hosts, outlier);
    for (let index = 0; index < bad; index++) bench.end(index, ...many(5, 503));
    expect([bench.ejected.length, bench.tally.active, bench.tally.overflow]).toEqual([out, out, bad - out]);
  });

  it('does not put out the last that is well, whatever made the others unfit', () => {
    const bench = new OutlierBench(3, { max_ejection_percent: 100 });
    bench.cluster.setUnfit(bench.endpoint(1), UNFIT.FAILED_CHECK, true);
    bench.cluster.setUnfit(bench.endpoint(2), UNFIT.FAILED_CHECK, true);
    bench.end(0, ...many(5, 503));
    expect(bench.ejected).toEqual([]);
  });

  it('says once in each interval that one would be put out, in the log, and each time in the span', () => {
    const bench = new OutlierBench(1, { interval: '10s' });
    for (let round = 0; round < 3; round++) {
      const x = bench.end(0, ...many(5, 503));
      expect(x.events?.map(({ name }) => name)).toEqual(['ejection_capped']);
    }
    expect(bench.saying('endpoint would be ejected')).toHaveLength(1);
    bench.pass(10_000);
    bench.end(0, ...many(5, 503));
    expect(bench.saying('endpoint would be ejected')).toHaveLength(2);
    expect(bench.tally.overflow).toBe(4);
  });
});

describe('how long it is out', () => {
  const rows: readonly (readonly [says: string, outlier: JsonObject, seconds: readonly number[]])[] = [
    ['30 s, and so much more each time', {}, [30, 60, 90]],
    ['a base of its own', { base_ejection_time: '5s' }, [5, 10, 15]],
    ['never more than the maximum', { base_ejection_time: '5s', max_ejection_time: '12s' }, [5, 10, 12, 12]],
    ['a maximum below the base does not count', { base_ejection_time: '20s', max_ejection_time: '10s' }, [20, 20]],
    ['with jitter on top', { base_ejection_time: '5s', max_ejection_time_jitter: '2s' }, [6, 11]],
  ];
  it.each(rows)('%s', (_says, outlier, seconds) => {
    expect(times({ interval: '1000s', ...outlier }, seconds.length)).toEqual(seconds);
  });

  it('forgives one ejection for each interval in which it was well', () => {
    const bench = new OutlierBench(5, { interval: '10s', base_ejection_time: '5s' });
    const host = bench.watch.detectorOf(bench.cluster.name)?.hostOf(bench.endpoint(0));
    bench.end(0, ...many(5, 503));
    bench.pass(5000);
    bench.finish(bench.pick().x, 0, 200);
    expect(host?.ejections).toBe(1);
    bench.pass(10_000);
    expect(host?.ejections).toBe(0);
  });
});

describe('how it comes back', () => {
  it('takes no request before its time is over', () => {
    const bench = out();
    bench.pass(4999);
    expect(Array.from({ length: 50 }, () => bench.pick().index)).not.toContain(0);
  });

  it('takes one request, and no other until that has ended', () => {
    const bench = out();
    bench.pass(5000);
    const probe = bench.pick();
    expect(probe.index).toBe(0);
    expect(Array.from({ length: 50 }, () => bench.pick().index)).not.toContain(0);
    bench.finish(probe.x, 0, 204);
    expect(bench.ejected).toEqual([]);
    expect(bench.endpoint(0).warmSinceMs).toBe(6000);
    expect(Array.from({ length: 50 }, () => bench.pick().index)).toContain(0);
    expect([bench.tally.active, bench.tally.probesSucceeded]).toEqual([0, 1]);
  });

  it('goes out again when that request fails, for longer', () => {
    const bench = out();
    bench.pass(5000);
    bench.finish(bench.pick().x, 0, 500);
    bench.pass(9999);
    expect(bench.pick().index).not.toBe(0);
    bench.pass(1);
    expect(bench.pick().index).toBe(0);
    expect([bench.tally.active, bench.tally.probesFailed]).toEqual([1, 1]);
  });

  it('is probed anew when the client of the probe gave up, or when it was never sent', () => {
    const bench = out();
    bench.pass(5000);
    bench.finish(bench.pick().x, 0, NONE);
    expect(bench.pick().index).toBe(0);
    bench.pass(15_000);
    expect(bench.pick().index).toBe(0);
  });

  it('does not listen to requests that had been sent before it was put out', () => {
    const bench = out();
    bench.pass(5000);
    bench.pick();
    bench.end(0, 503, 200);
    expect([bench.ejected, bench.tally.probesFailed, bench.tally.probesSucceeded]).toEqual([[0], 0, 0]);
  });

  it('prefers a request that can be repeated, for a second', () => {
    const bench = out();
    bench.pass(5000);
    expect(bench.pick('POST').index).not.toBe(0);
    bench.pass(1000);
    expect(bench.pick('POST').index).toBe(0);
  });

  it('takes any request when nobody else is there', () => {
    const bench = out();
    for (const index of [1, 2]) bench.cluster.setUnfit(bench.endpoint(index), UNFIT.FAILED_CHECK, true);
    bench.pass(5000);
    const panicless = out({ common_lb_config: { healthy_panic_threshold: { value: 0 } } });
    for (const index of [1, 2]) panicless.cluster.setUnfit(panicless.endpoint(index), UNFIT.FAILED_CHECK, true);
    panicless.pass(5000);
    expect([panicless.pick('POST').index, panicless.pick('POST').index]).toEqual([0, 0]);
  });

  it('returns at once when its active checks pass, unless that is switched off', () => {
    const bench = out();
    bench.cluster.checked.tell(bench.endpoint(0), true);
    expect(bench.ejected).toEqual([]);
    const stays = new OutlierBench(3, { successful_active_health_check_uneject_host: false });
    stays.end(0, ...many(5, 503));
    stays.cluster.checked.tell(stays.endpoint(0), true);
    expect(stays.ejected).toEqual([0]);
  });

  it('is in again when outlier detection is no more', () => {
    const bench = out();
    bench.cluster.update(new OutlierBench(3, {}).cluster.settings);
    expect(bench.ejected).toEqual([0]);
    const { outlier: _gone, ...without } = bench.cluster.settings;
    bench.cluster.update(without);
    expect([bench.ejected, bench.endpoint(0).watches.length]).toEqual([[], 0]);
  });
});

describe('at the end of an interval', () => {
  const RATES = { consecutive_5xx: 0, interval: '10s', max_ejection_percent: 100 };
  /** So many of a hundred requests fail, for each endpoint; who is out after the interval. */
  const judge = (outlier: JsonObject, failures: readonly number[], outcome: number = 500): readonly number[] => {
    const bench = new OutlierBench(failures.length, { ...RATES, ...outlier });
    for (const [index, bad] of failures.entries()) bench.end(index, ...many(bad, outcome), ...many(100 - bad, 200));
    bench.pass(10_000);
    return bench.ejected;
  };
  const NO_RATE = { enforcing_success_rate: 0, enforcing_local_origin_success_rate: 0 };
  const LOCAL = { split_external_local_origin_errors: true, consecutive_local_origin_failure: 0 };
  const rows: readonly (readonly [string, JsonObject, readonly number[], number, readonly number[]])[] = [
    ['who lies far below the mean', {}, [0, 1, 0, 1, 40], 500, [4]],
    ['nobody, when all are alike', {}, [30, 30, 30, 30, 30], 500, []],
    ['nobody, of four', {}, [0, 0, 0, 40], 500, []],
    ['somebody, of three, when three are enough', { success_rate_minimum_hosts: 3, success_rate_stdev_factor: 1000 }, [0, 0, 40], 500, [2]],
    ['nobody, with too few requests', { success_rate_request_volume: 101 }, [0, 0, 0, 0, 40], 500, []],
    ['nobody, when deviations count double', { success_rate_stdev_factor: 3800 }, [0, 0, 0, 0, 40], 500, []],
    ['nobody, not enforced', NO_RATE, [0, 0, 0, 0, 40], 500, []],
    ['who fails 85 %', { ...NO_RATE, enforcing_failure_percentage: 100 }, [84, 85, 0, 0, 0], 500, [1]],
    ['whoever fails so often, by a threshold of its own', { ...NO_RATE, enforcing_failure_percentage: 100, failure_percentage_threshold: 20 }, [20, 19, 30, 0, 0], 500, [0, 2]],
    ['nobody, with too few endpoints', { ...NO_RATE, enforcing_failure_percentage: 100 }, [0, 0, 0, 100], 500, []],
    ['nobody, with too few requests for percentages', { ...NO_RATE, enforcing_failure_percentage: 100, failure_percentage_request_volume: 101 }, [100, 0, 0, 0, 0], 500, []],
    ['who cannot be reached, by success rate', LOCAL, [0, 0, 0, 0, 40], RESET, [4]],
    ['who cannot be reached, by percentage', { ...LOCAL, ...NO_RATE, enforcing_failure_percentage_local_origin: 100 }, [90, 0, 0, 0, 0], RESET, [0]],
  ]; // prettier-ignore
  it.each(rows)('%s', (...[, outlier, failures, outcome, ejected]) => {
    expect(judge(outlier, failures, outcome)).toEqual(ejected);
  });

  it('forgets what was before the interval', () => {
    const bench = new OutlierBench(5, { ...RATES });
    for (let index = 0; index < 5; index++) bench.end(index, ...many(60, index === 4 ? 500 : 200));
    bench.pass(10_000);
    for (let index = 0; index < 5; index++) bench.end(index, ...many(60, 200));
    bench.pass(10_000);
    expect(bench.ejected).toEqual([]);
  });
});

it('tells of an ejection and of the return in the log, in the span and in numbers', () => {
  const bench = new OutlierBench(3, { base_ejection_time: '5s' });
  const x = bench.end(1, ...many(5, 503));
  expect(x.events).toEqual([{ timeMs: 1000, name: 'ejected', detail: '127.0.0.1:8001 consecutive_5xx' }]);
  bench.pass(5000);
  bench.finish(bench.pick().x, 1, 200);
  const said = bench.lines
    .filter(({ level }) => level !== 'debug')
    .map(({ message, endpoint, why }) => [message, endpoint, why]);
  expect(said).toEqual([
    ['endpoint ejected', '127.0.0.1:8001', 'consecutive_5xx, for 5000 ms'],
    ['endpoint returns', '127.0.0.1:8001', 'a request succeeded'],
  ]);
  expect([bench.tally.detected('consecutive_5xx'), bench.tally.enforced('consecutive_5xx')]).toEqual([1, 1]);
});

it.each([
  ['max_ejection_percent', { max_ejection_percent: 101 }],
  ['enforcing_success_rate', { enforcing_success_rate: 200 }],
  ['base_ejection_time', { base_ejection_time: '0s' }],
  ['interval', { interval: '0s' }],
])('refuses a bad %s by its path', (field, outlier) => {
  const { settings, problems } = compiled({ outlier_detection: outlier });
  expect(settings).toBe(null);
  expect(problems.map(({ path }) => path)).toEqual([`clusters[0].outlier_detection.${field}`]);
});
