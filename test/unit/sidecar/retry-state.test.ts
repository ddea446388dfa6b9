// What is left of the retries of a request, on a clock that the test moves: how many, the gate, the deadline, the wait,
// which endpoints are picked, and what is counted.
import { beforeEach, describe, expect, test } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { silentLog } from '../../../src/base/log.ts';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { TimerWheel } from '../../../src/base/timer-wheel.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { Head } from '../../../src/http/head.ts';
import { Endpoint, LimitTally, type Cluster, type Gate, type PriorityLimits } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { flagLetters } from '../../../src/plan/response-flags.ts';
import { DEFAULT_HOSTS, EMPTY_RETRY_PLAN, RETRY_ON, type RetryPlan } from '../../../src/plan/retry-plan.ts';
import { RetryTally } from '../../../src/plan/retry-tally.ts';
import { ChainBook } from '../../../src/sidecar/chain-book.ts';
import { newEngineCounters, type Engine } from '../../../src/sidecar/engine.ts';
import { CLAIMED, LATE, OVER, RetryState, SPENT } from '../../../src/sidecar/retry-state.ts';
import { PoolRegistry } from '../../../src/sidecar/upstream-pool.ts';

class CountedGate implements Gate {
  used = 0;
  max: number;
  constructor(max: number) {
    this.max = max;
  }
  acquire(): boolean {
    if (this.used >= this.max) return false;
    this.used++;
    return true;
  }
  take(): void {
    this.used++;
  }
  release(): void {
    this.used--;
  }
}

function limitsOf(retries: Gate): PriorityLimits {
  const none = new CountedGate(Infinity);
  return {
    connections: none,
    pending: none,
    requests: none,
    retries,
    pools: none,
    refusesOverBudget: false,
    tracksRemaining: false,
    endpointGate: null,
  };
}

function anEndpoint(port: number, priority = 0, metadata = ''): Endpoint {
  return new Endpoint({
    address: '127.0.0.1',
    port,
    hostname: '',
    locality: { region: '', zone: '', subZone: '' },
    priority,
    metadata: new Map([['stage', metadata]]),
    weight: 1,
  });
}

const PLAN: RetryPlan = { ...EMPTY_RETRY_PLAN, conditions: RETRY_ON.FIVE_XX, retriesMax: 2 };

let nowMs = 0;
let chance = 0;
let fired = 0;
let x = new Exchange();
let gate = new CountedGate(10);
let tally = new RetryTally();
let limitTally = new LimitTally();
let picks: Endpoint[] = [];
let wheel = new TimerWheel({ now: () => nowMs, wall: () => nowMs });
let state: RetryState;
let cluster: Cluster;

beforeEach(() => {
  nowMs = 1000;
  chance = 0.5;
  fired = 0;
  x = new Exchange();
  gate = new CountedGate(10);
  tally = new RetryTally();
  limitTally = new LimitTally();
  picks = [];
  const clock = { now: () => nowMs, wall: () => nowMs };
  wheel = new TimerWheel(clock);
  const pools = new PoolRegistry(clock, wheel);
  const shared = { pools, counters: newEngineCounters(), chain: new ChainBook(new LocalLimits()) };
  const engine: Engine = { clock, wheel, log: silentLog, random: () => chance, ...shared };
  state = new RetryState(engine, x, () => fired++);
  cluster = {
    name: clusterId('c'),
    connectTimeoutMs: 1000,
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    picker: { pick: () => picks.shift() ?? null },
    limits: { default: limitsOf(gate), high: limitsOf(new CountedGate(0)), tally: limitTally },
    retryTally: tally,
    endpoints: [],
    metadata: new Map(),
    isWarm: true,
  };
});

function passTo(ms: number): void {
  nowMs = ms;
  wheel.advance();
}

describe('a claim', () => {
  test('waits for its back-off, which grows, and fires once', () => {
    state.begin(PLAN, cluster);
    expect(state.claim(cluster, null, 'why')).toBe(CLAIMED);
    passTo(1012);
    expect([fired, state.isWaiting]).toEqual([0, true]);
    passTo(1020);
    expect([fired, state.isWaiting]).toEqual([1, false]);
    expect(state.claim(cluster, null, 'why')).toBe(CLAIMED);
    passTo(1044);
    expect(fired).toBe(1);
    passTo(1060);
    expect(fired).toBe(2);
    expect(tally).toMatchObject({ retries: 2, exponentialBackOffs: 2, limitsExceeded: 0 });
  });

  test('fails when none is left, and says so', () => {
    state.begin({ ...PLAN, retriesMax: 1 }, cluster);
    expect(state.claim(cluster, null, 'why')).toBe(CLAIMED);
    passTo(2000);
    expect(state.claim(cluster, null, 'why')).toBe(SPENT);
    expect(flagLetters(x.flags)).toBe('URX');
    expect(tally.limitsExceeded).toBe(1);
    expect(gate.used).toBe(0);
  });

  test('holds the gate until the next, or the end', () => {
    state.begin(PLAN, cluster);
    state.claim(cluster, null, 'why');
    expect(gate.used).toBe(1);
    passTo(2000);
    expect(gate.used).toBe(1);
    state.claim(cluster, null, 'why');
    expect(gate.used).toBe(1);
    state.finish();
    expect([gate.used, state.isWaiting]).toEqual([0, false]);
  });

  test('fails when the gate is shut', () => {
    gate.max = 0;
    state.begin(PLAN, cluster);
    expect(state.claim(cluster, null, 'why')).toBe(OVER);
    expect(flagLetters(x.flags)).toBe('UO');
    expect([limitTally.retryOverflow, tally.retries]).toEqual([1, 0]);
    expect(x.events?.map(({ name }) => name)).toEqual(['retry_refused']);
  });

  test('asks the gate of its priority', () => {
    x.isHighPriority = true;
    state.begin(PLAN, cluster);
    expect(state.claim(cluster, null, 'why')).toBe(OVER);
  });

  test.each([
    ['before the deadline', 1013, CLAIMED],
    ['at the deadline', 1012.5, LATE],
    ['behind the deadline', 1005, LATE],
  ])('that would end %s', (_name, deadlineMs, expected) => {
    x.deadlineMs = deadlineMs;
    state.begin(PLAN, cluster);
    expect(state.claim(cluster, null, 'why')).toBe(expected);
    expect(gate.used).toBe(expected === CLAIMED ? 1 : 0);
  });

  test('waits as long as the upstream says, and the doubling does not count it', () => {
    const rateLimited = { headers: [{ id: internHeader('retry-after'), isTimestamp: false }], maxMs: 5000 };
    state.begin({ ...PLAN, rateLimited }, cluster);
    const head = new Head();
    head.add(internHeader('retry-after'), '2');
    chance = 0;
    expect(state.claim(cluster, head, 'why')).toBe(CLAIMED);
    passTo(2990);
    expect(fired).toBe(0);
    passTo(3010);
    expect(fired).toBe(1);
    chance = 0.99;
    state.claim(cluster, null, 'why');
    passTo(3045);
    expect(fired).toBe(2);
    expect(tally).toMatchObject({ rateLimitedBackOffs: 1, exponentialBackOffs: 1 });
  });

  test('of a request that reached nobody asks no gate and waits for nothing', () => {
    gate.max = 0;
    state.begin({ ...PLAN, retriesMax: 1 }, cluster);
    expect([state.claimRedial(), state.isWaiting, gate.used, tally.retries]).toEqual([true, false, 0, 1]);
    expect(state.claimRedial()).toBe(false);
    expect(state.claim(cluster, null, 'why')).toBe(SPENT);
  });

  test('is noted for the span', () => {
    state.begin(PLAN, cluster);
    state.claim(cluster, null, 'status 503');
    expect(x.events).toEqual([{ timeMs: 1000, name: 'retry', detail: 'status 503' }]);
  });

  test('that is cancelled never fires', () => {
    state.begin(PLAN, cluster);
    state.claim(cluster, null, 'why');
    state.cancel();
    passTo(5000);
    expect(fired).toBe(0);
    expect([state.claim(cluster, null, 'why'), x.flags]).toEqual([LATE, 0]);
  });
});

const picksOf = (hosts: RetryPlan['hosts'], given: readonly Endpoint[]): (number | undefined)[] => {
  picks = [...given];
  state.begin({ ...PLAN, hosts }, cluster);
  const picked: (number | undefined)[] = [];
  while (picks.length > 0) {
    picked.push(state.pick(cluster)?.port);
    x.attempts++;
  }
  return picked;
};

const isDev = (endpoint: Endpoint): boolean => endpoint.metadata.get('stage') === 'dev';

describe('an endpoint', () => {
  const [one, two, three] = [anEndpoint(1), anEndpoint(2, 1), anEndpoint(3, 2, 'dev')];
  const AVOIDS = { ...DEFAULT_HOSTS, avoidsTried: true };

  test.each<[string, RetryPlan['hosts'], readonly Endpoint[], readonly number[]]>([
    ['may come again', DEFAULT_HOSTS, [one, one], [1, 1]],
    ['that was tried is picked once more, then taken', AVOIDS, [one, one, one], [1, 1]],
    ['that was tried is avoided', AVOIDS, [one, one, two], [1, 2]],
    ['is looked for as often as it says', { ...AVOIDS, picksMax: 3 }, [one, one, one, one, two], [1, 2]],
    ['that is rejected may be the first', { ...DEFAULT_HOSTS, rejects: isDev }, [three, three, one], [3, 1]],
  ])('%s', (_name, hosts, given, expected) => {
    expect(picksOf(hosts, given)).toEqual(expected);
  });

  test.each([
    [1, [0, 1, 3]],
    [2, [0, 0, 3]],
  ])('priorities are left out every %s attempts', (priorityFrequency, expected) => {
    state.begin({ ...PLAN, hosts: { ...DEFAULT_HOSTS, priorityFrequency } }, cluster);
    const masks: number[] = [];
    for (const endpoint of [one, two, three]) {
      picks = [endpoint];
      state.pick(cluster);
      x.attempts++;
      masks.push(x.excludedPriorities);
    }
    expect(masks).toEqual(expected);
  });
});

test('a success counts only behind a retry', () => {
  state.begin(PLAN, cluster);
  state.succeed();
  expect(tally.successes).toBe(0);
  state.claim(cluster, null, 'why');
  state.succeed();
  expect(tally.successes).toBe(1);
});
