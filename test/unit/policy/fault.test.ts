// The fault filter, step by step: what it counts, how many may be active, and what is refused. Which requests it
// chooses and what the client sees is compared with Envoy in test/peer.
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import type { HttpFilter } from '../../../src/plan/http-filter.ts';
import { PAUSE, REPLY, type CompileEnv, type PlanPart } from '../../../src/plan/plan.ts';
import { flagLetters } from '../../../src/plan/response-flags.ts';
import { run, runThrough } from '../../../src/plan/run.ts';
import { compileFault } from '../../../src/policy/fault-compile.ts';
import { HTTPFaultSchema } from '../../../src/xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { NO_REMOTE } from '../../support/no-remote.ts';

const ALWAYS = { numerator: 100 };
const DELAY = { delay: { fixedDelay: '2s', percentage: ALWAYS } };
const ABORT = { abort: { httpStatus: 503, percentage: ALWAYS } };

const packed = (config: JsonObject): Any =>
  create(AnySchema, {
    typeUrl: `type.googleapis.com/${HTTPFaultSchema.typeName}`,
    value: toBinary(HTTPFaultSchema, fromJson(HTTPFaultSchema, config)),
  });

interface Bench {
  readonly filter: HttpFilter | null;
  readonly problems: readonly string[];
  /** `name value` of every statistic that is not 0, with the part in front. */
  readonly counts: () => readonly string[];
  readonly env: CompileEnv;
}

function aFilter(config: JsonObject, random: () => number = () => 0): Bench {
  const env: CompileEnv = {
    problems: [],
    clusterRef: (name) => new ClusterRef(clusterId(name)),
    random,
    runtimeNumber: (_key, fallback) => fallback,
  };
  const tallies = new Map<string, FilterTally>();
  const filter = compileFault(packed(config), {
    env,
    path: 'fault',
    name: 'f',
    bit: 4,
    statPrefix: 'main',
    place: 'in',
    serviceCluster: 'web',
    isInbound: false,
    isMesh: false,
    routeMatch: () => null,
    clock: { now: () => 1234, wall: () => 0 },
    limits: new LocalLimits(),
    remote: NO_REMOTE,
    tally: (_name, stats, part) => {
      const key = part === undefined ? '' : `${part.value}.`;
      const tally = tallies.get(key) ?? new FilterTally(stats);
      tallies.set(key, tally);
      return tally;
    },
  });
  const counts = (): readonly string[] =>
    [...tallies].flatMap(([key, tally]) =>
      tally.stats.flatMap(({ name }, index) => (tally.of(index) === 0 ? [] : [`${key}${name} ${tally.of(index)}`])),
    );
  return { filter, problems: env.problems.map(formatProblem), counts, env };
}

function anExchange(headers: Readonly<Record<string, string>> = {}): Exchange {
  const x = new Exchange();
  for (const [name, value] of Object.entries(headers)) x.request.add(internHeader(name), value);
  return x;
}

const begin = (x: Exchange, part: PlanPart | undefined): number => run(x, part?.onRequest ?? []);
const end = (x: Exchange, part: PlanPart | undefined): void => runThrough(x, part?.onEnd ?? []);

test('a delay pauses, is active until the exchange ends, and is told by flag, count and event', () => {
  const { filter, counts } = aFilter(DELAY);
  const x = anExchange();
  expect([begin(x, filter?.part), x.pauseMs, flagLetters(x.flags)]).toEqual([PAUSE, 2000, 'DI']);
  expect(counts()).toEqual(['delays_injected 1', 'active_faults 1']);
  expect(x.events).toEqual([{ timeMs: 1234, name: 'fault', detail: 'delay of 2000 ms' }]);
  end(x, filter?.part);
  end(x, filter?.part);
  expect(counts()).toEqual(['delays_injected 1']);
});

test('an abort answers, and after a delay counts as the same fault', () => {
  const { filter, counts } = aFilter({ ...DELAY, ...ABORT, maxActiveFaults: 1 });
  const x = anExchange();
  expect([begin(x, filter?.part), begin(x, filter?.part)]).toEqual([PAUSE, REPLY]);
  expect([x.response.status, x.replyBody, x.details, flagLetters(x.flags)]).toEqual([
    503,
    'fault filter abort',
    'fault_filter_abort',
    'DI,FI',
  ]);
  expect(counts()).toEqual(['delays_injected 1', 'aborts_injected 1', 'active_faults 1']);
});

test('one more than may be active passes and is counted; the next after an end does not', () => {
  const { filter, counts } = aFilter({ ...DELAY, maxActiveFaults: 1 });
  const [first, second, third] = [anExchange(), anExchange(), anExchange()];
  expect([begin(first, filter?.part), begin(second, filter?.part)]).toEqual([PAUSE, 0]);
  expect(counts()).toEqual(['delays_injected 1', 'active_faults 1', 'faults_overflow 1']);
  end(first, filter?.part);
  end(second, filter?.part);
  expect(begin(third, filter?.part)).toBe(PAUSE);
});

test('settings of a route share the count of what is active with the filter', () => {
  const { filter, env } = aFilter(DELAY);
  const part = filter?.withSettings(packed({ ...DELAY, maxActiveFaults: 1 }), env, '');
  expect([begin(anExchange(), filter?.part), begin(anExchange(), part ?? {})]).toEqual([PAUSE, 0]);
});

test.each([
  {
    name: 'counts by downstream cluster',
    config: {},
    expected: ['aborts_injected 1', 'active_faults 1', 'web.aborts_injected 1'],
  },
  {
    name: 'does not when that is switched off',
    config: { disableDownstreamClusterStats: true },
    expected: ['aborts_injected 1', 'active_faults 1'],
  },
])('$name', ({ config, expected }) => {
  const { filter, counts } = aFilter({ ...ABORT, ...config });
  begin(anExchange({ 'x-envoy-downstream-service-cluster': 'web' }), filter?.part);
  expect(counts()).toEqual(expected);
});

test('delay and abort are drawn apart, each by its share', () => {
  const draws = [0.3, 0.69, 0.31, 0.7, 0.29, 0.1];
  const { filter } = aFilter(
    {
      delay: { fixedDelay: '1s', percentage: { numerator: 30 } },
      abort: { httpStatus: 500, percentage: { numerator: 7000, denominator: 'TEN_THOUSAND' } },
    },
    () => draws.shift() ?? 0,
  );
  const verdicts = [anExchange(), anExchange()].map((x) => begin(x, filter?.part));
  const third = anExchange();
  verdicts.push(begin(third, filter?.part), begin(third, filter?.part));
  expect(verdicts).toEqual([REPLY, 0, PAUSE, REPLY]);
});

test.each<readonly [string, JsonObject, string]>([
  ['a delay of nothing', { delay: { fixedDelay: '0s' } }, 'fault.delay.fixed_delay: must be above 0; leave delay out'],
  ['a delay that says nothing', { delay: {} }, 'fault.delay: says no delay; write fixed_delay or header_delay'],
  [
    'a status out of range',
    { abort: { httpStatus: 600 } },
    'fault.abort.http_status: 600 is no status; write 200 to 599',
  ],
  [
    'an abort that says nothing',
    { abort: {} },
    'fault.abort: says no status; write http_status, grpc_status or header_abort',
  ],
  [
    'a header without a name',
    { headers: [{ presentMatch: true }] },
    'fault.headers[0].name: must not be empty; name the header',
  ],
])('%s is refused with its place', (_name, config, expected) => {
  const { filter, problems } = aFilter(config);
  expect([filter, problems]).toEqual([null, [expected]]);
});
