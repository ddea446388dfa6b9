// Admission control: what is a success, when requests are turned away, and with what chance.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { internHeader } from '../../../src/http/header-name.ts';
import { compileAdmission } from '../../../src/policy/admission-compile.ts';
import { AdmissionControlSchema } from '../../../src/xds/gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.js';
import { LoadBench, type LoadBenchOptions } from './load-bench.ts';

const ALL = { successCriteria: {} };
const percent = (value: number): JsonObject => ({ defaultValue: { value } });

function aBench(config: JsonObject = {}, options: LoadBenchOptions = {}): LoadBench {
  return new LoadBench(compileAdmission, [AdmissionControlSchema, { ...ALL, ...config }], options);
}

/** The chance with which the next request is turned away after these answers, found by drawing ever larger numbers. */
function chanceAfter(config: JsonObject, statuses: readonly number[], runtime: Record<string, number> = {}): number {
  let drawn = 1;
  const bench = aBench(config, { random: () => drawn, runtime });
  for (const status of statuses) bench.passes(status);
  let low = 0;
  let high = 1;
  for (let step = 0; step < 24; step++) {
    drawn = (low + high) / 2;
    const x = bench.begin();
    if (x.response.status === 503) low = drawn;
    else high = drawn;
  }
  return low;
}

const times = (count: number, status: number): readonly number[] => Array.from({ length: count }, () => status);

const key = (value: JsonObject): JsonObject => ({ ...value, runtimeKey: 'k' });

describe('the chance of being turned away', () => {
  const rows: readonly (readonly [string, JsonObject, readonly number[], number, Record<string, number>?])[] = [
    ['nothing, when all goes well', {}, times(100, 200), 0],
    ['nothing, when 95 % go well', {}, [...times(95, 200), ...times(5, 500)], 0],
    ['what fails more than that', {}, [...times(50, 200), ...times(50, 500)], (100 - 50 / 0.95) / 101],
    ['at most 80 %', {}, times(1000, 500), 0.8],
    ['a maximum of its own', { maxRejectionProbability: percent(30) }, times(1000, 500), 0.3],
    ['a threshold of its own', { srThreshold: percent(50) }, [...times(25, 200), ...times(75, 500)], (100 - 50) / 101],
    ['a threshold is at least 1 %', { srThreshold: percent(0) }, [200, ...times(99, 500)], 0],
    ['more of it by aggression', { aggression: { defaultValue: 2 } }, [...times(50, 200), ...times(50, 500)], Math.sqrt((100 - 50 / 0.95) / 101)],
    ['aggression is at least 1', { aggression: { defaultValue: 0.1 } }, [...times(50, 200), ...times(50, 500)], (100 - 50 / 0.95) / 101],
    ['nothing below so many requests per second', { rpsThreshold: { defaultValue: 101 } }, times(100, 500), 0],
    ['as ever from so many on', { rpsThreshold: { defaultValue: 100 } }, times(100, 500), 0.8],
    ['nothing when it is off', { enabled: { defaultValue: false } }, times(100, 500), 0],
    ['nothing when runtime switches it off', { enabled: key({ defaultValue: true }) }, times(100, 500), 0, { k: 0 }],
    ['by runtime keys', { maxRejectionProbability: key(percent(80)) }, times(1000, 500), 0.2, { k: 20 }],
    ['404 is a success', {}, times(100, 404), 0],
    ['statuses that are told', { successCriteria: { httpCriteria: { httpSuccessStatus: [{ start: 500, end: 501 }] } } }, times(100, 500), 0],
    ['the end of a range is not in it', { successCriteria: { httpCriteria: { httpSuccessStatus: [{ start: 200, end: 300 }] } } }, times(1000, 300), 0.8],
  ]; // prettier-ignore
  for (const [says, config, statuses, chance, runtime] of rows) {
    it(says, () => expect(chanceAfter(config, statuses, runtime)).toBeCloseTo(chance, 4));
  }
});

it('answers 503 without a body, counts it, and does not learn from it', () => {
  const bench = aBench({}, { random: () => 0 });
  for (let i = 0; i < 10; i++) bench.passes(500);
  const before = bench.stat('rq_failure');
  const x = bench.begin();
  expect([x.response.status, x.replyBody, x.details]).toEqual([503, '', 'denied_by_admission_control']);
  bench.end(x, 503);
  expect([bench.stat('rq_rejected') > 0, bench.stat('rq_failure')]).toEqual([true, before]);
});

it('forgets what is older than the window', () => {
  const bench = aBench({ samplingWindow: '5s' }, { random: () => 0 });
  for (let i = 0; i < 10; i++) bench.passes(500);
  expect(bench.passes()).toBe(false);
  bench.nowMs += 4000;
  expect(bench.passes()).toBe(false);
  bench.nowMs += 1000;
  expect(bench.passes()).toBe(true);
});

it('does not count a request whose client has left before the answer', () => {
  const bench = aBench();
  bench.end(bench.begin(), 0);
  expect([bench.stat('rq_success'), bench.stat('rq_failure')]).toEqual([0, 0]);
});

it.each([
  ['0', 200, true],
  ['5', 200, true],
  ['14', 200, false],
  ['4', 200, false],
])('takes gRPC status %s by what it says', (grpcStatus, status, isSuccess) => {
  const bench = aBench();
  const x = bench.begin({ 'content-type': 'application/grpc' });
  x.response.add(internHeader('grpc-status'), grpcStatus);
  bench.end(x, status);
  expect([bench.stat('rq_success'), bench.stat('rq_failure')]).toEqual(isSuccess ? [1, 0] : [0, 1]);
});

it.each([
  ['f', {}, 'success_criteria'],
  ['f.success_criteria.http_criteria.http_success_status', { successCriteria: { httpCriteria: {} } }, 'leave http_criteria out'],
  ['f.success_criteria.grpc_criteria.grpc_success_status', { successCriteria: { grpcCriteria: {} } }, 'leave grpc_criteria out'],
  ['f.sr_threshold', { ...ALL, srThreshold: percent(101) }, 'percentage'],
  ['f.sr_threshold', { ...ALL, srThreshold: percent(0.9) }, 'too low'],
  ['f.max_rejection_probability', { ...ALL, maxRejectionProbability: percent(-1) }, 'percentage'],
  ['f.sampling_window', { ...ALL, samplingWindow: '0.5s' }, '1s'],
  ['f.success_criteria.http_criteria.http_success_status[0]', { successCriteria: { httpCriteria: { httpSuccessStatus: [{ start: 300, end: 200 }] } } }, '600'],
  ['f.success_criteria.grpc_criteria.grpc_success_status', { successCriteria: { grpcCriteria: { grpcSuccessStatus: [17] } } }, '16'],
])('refuses what is wrong at %s', (path, config, remedy) => {
  const { filter, problems } = new LoadBench(compileAdmission, [AdmissionControlSchema, config]);
  expect(filter).toBe(null);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(`${path}: `);
  expect(problems[0]).toContain(remedy);
}); // prettier-ignore
