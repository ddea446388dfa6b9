// Buckets that fill continuously: alike in one thread and in several, and never more than the brim and what has flowed in.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { array, assert, boolean, double, integer, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import type { FillRate } from '../../../src/base/rate-bucket.ts';
import { LocalLimits, SharedLimits, type Limits } from '../../../src/base/shared-limits.ts';

const RATE: FillRate = { tokensMax: 3, tokensPerMs: 0.02 };

/** Two views of the same limits, in one thread and as two threads have them; three threads make odd rows of cells. */
const KINDS: readonly (readonly [string, () => readonly [Limits, Limits]])[] = [
  [
    'one thread',
    () => {
      const limits = new LocalLimits();
      return [limits, limits];
    },
  ],
  ...[2, 3].map((threads) => {
    const make = (): readonly [Limits, Limits] => {
      const first = new SharedLimits(threads, 0);
      return [first, new SharedLimits(threads, 1, first.memory)];
    };
    return [`${threads} threads`, make] as const;
  }),
];

test.each(KINDS)('a bucket of %s starts full, and a token comes after its time, not before', (_, make) => {
  const [one, other] = make();
  const [mine, theirs] = [one.rate('r'), other.rate('r')];
  expect([mine, theirs, mine, theirs].map((bucket) => bucket.take(1000, RATE, 1))).toEqual([true, true, true, false]);
  expect([mine.take(1049, RATE, 1), theirs.take(1050, RATE, 1), mine.take(1050, RATE, 1)]).toEqual([
    false,
    true,
    false,
  ]);
  expect(theirs.tokens(1075, RATE)).toBeCloseTo(0.5, 5);
  expect(mine.tokens(99_999, RATE)).toBe(3);
  expect(one.rate('another').take(1050, RATE, 3)).toBe(true);
});

test.each(KINDS)('a bucket of %s that is told how many it has, has them, and a request may cost several', (_, make) => {
  const [one, other] = make();
  one.rate('r').fill(5000, RATE, 2.5);
  const bucket = other.rate('r');
  expect([bucket.take(5000, RATE, 3), bucket.take(5000, RATE, 2), bucket.take(5000, RATE, 1)]).toEqual([
    false,
    true,
    false,
  ]);
});

test.each(KINDS)('%s never admit more than the brim and what flowed in', (_, make) => {
  const step = record({ afterMs: double({ min: 0, max: 40, noNaN: true }), isMine: boolean() });
  const rate = record({
    tokensMax: integer({ min: 1, max: 20 }),
    tokensPerMs: double({ min: 0.0001, max: 2, noNaN: true }),
  });
  assert(
    property(rate, array(step, { minLength: 1, maxLength: 200 }), (fill, steps) => {
      const [one, other] = make();
      const [mine, theirs] = [one.rate('r'), other.rate('r')];
      let [nowMs, admitted] = [10, 0];
      const begin = nowMs;
      for (const { afterMs, isMine } of steps) {
        nowMs += afterMs;
        if ((isMine ? mine : theirs).take(nowMs, fill, 1)) admitted++;
      }
      expect(admitted).toBeLessThanOrEqual(fill.tokensMax + (nowMs - begin) * fill.tokensPerMs + 1e-3);
    }),
    { numRuns: 60 },
  );
});

test('threads that take at once never take more than there is', async () => {
  const limits = new SharedLimits(2, 0);
  const fill = { tokensMax: 50, tokensPerMs: 0.5 };
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ SharedLimits }) => {
      const bucket = new SharedLimits(2, workerData.thread, workerData.memory).rate('r');
      const beginMs = performance.now();
      let taken = 0;
      while (performance.now() - beginMs < 100) if (bucket.take(performance.now(), workerData.fill, 1)) taken++;
      parentPort.postMessage([taken, beginMs, performance.now()]);
    });`;
  const module = new URL('../../../src/base/shared-limits.ts', import.meta.url).href;
  const workers = [0, 1].map(
    (thread) => new Worker(code, { eval: true, workerData: { module, thread, memory: limits.memory, fill } }),
  );
  const told: unknown[] = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]));
  const rows = told.map((row) => (Array.isArray(row) ? row.map(Number) : []));
  const [taken, from, to] = [
    rows.reduce((sum, row) => sum + (row[0] ?? 0), 0),
    Math.min(...rows.map((row) => row[1] ?? 0)),
    Math.max(...rows.map((row) => row[2] ?? 0)),
  ];
  expect(taken).toBeGreaterThanOrEqual(fill.tokensMax);
  expect(taken).toBeLessThanOrEqual(fill.tokensMax + (to - from) * fill.tokensPerMs + 1);
});

test.each(KINDS)('keys of %s have a bucket each, and it is the same for both', (_, make) => {
  const [one, other] = make();
  const [mine, theirs] = [one.keyedRates('callers', 16), other.keyedRates('callers', 16)];
  const take = (limits: typeof mine, key: string): boolean => limits.of(key, 100, RATE).take(100, RATE, 3);
  expect([take(mine, 'ann'), take(theirs, 'ann'), take(theirs, 'bob'), take(mine, 'bob')]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

test.each(KINDS)('more keys of %s than there may be take the place of one that has waited', (_, make) => {
  const [one] = make();
  const buckets = one.keyedRates('callers', 2);
  const take = (key: string, nowMs: number): boolean => buckets.of(key, nowMs, RATE).take(nowMs, RATE, 3);
  expect([take('ann', 100), take('bob', 110), take('carl', 120)]).toEqual([true, true, true]);
  expect([take('carl', 120), take('bob', 121)]).toEqual([false, false]);
});

test.each(KINDS)('a share of %s is all until it is set, and demand counts for both', (_, make) => {
  const [one, other] = make();
  const [mine, theirs] = [one.share('s'), other.share('s')];
  expect([mine.fraction, mine.version]).toEqual([1, 0]);
  theirs.set(0.25);
  mine.ask();
  theirs.ask();
  expect([mine.fraction, mine.version, mine.demand]).toEqual([0.25, 1, 2]);
});
