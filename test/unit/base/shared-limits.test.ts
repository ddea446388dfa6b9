// Limits behave alike whether threads share them or not; what a thread held that is no more is given back.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { LocalLimits, SharedLimits, type Limits } from '../../../src/base/shared-limits.ts';

const RATE = { tokensMax: 3, tokensPerFill: 2, fillMs: 100 };

/** Two views of the same limits. */
const KINDS: readonly (readonly [string, () => readonly [Limits, Limits]])[] = [
  [
    'one thread',
    () => {
      const limits = new LocalLimits();
      return [limits, limits];
    },
  ],
  [
    'two threads',
    () => {
      const first = new SharedLimits(2, 0);
      return [first, new SharedLimits(2, 1, first.memory)];
    },
  ],
];

test.each(KINDS)('a budget holds for all of %s, by name', (_, make) => {
  const [one, other] = make();
  const [mine, theirs] = [one.budget('connections'), other.budget('connections')];
  expect([mine.acquire(2), theirs.acquire(2), mine.acquire(2), theirs.acquire(2)]).toEqual([true, true, false, false]);
  expect(other.budget('retries').acquire(1)).toBe(true);
  theirs.release();
  expect([mine.used, mine.acquire(2), theirs.used, theirs.acquire(2)]).toEqual([1, true, 2, false]);
  // A smaller limit holds for newcomers.
  mine.release();
  expect(mine.acquire(1)).toBe(false);
});

test.each(KINDS)('a bucket of %s starts full and fills by the interval, never above its brim', (_, make) => {
  const [one, other] = make();
  const [mine, theirs] = [one.bucket('requests', RATE), other.bucket('requests', RATE)];
  const take = (nowMs: number): boolean[] => [
    mine.take(nowMs),
    theirs.take(nowMs),
    mine.take(nowMs),
    theirs.take(nowMs),
  ];
  expect(take(50)).toEqual([true, true, true, false]);
  expect(take(99)).toEqual([false, false, false, false]);
  expect(take(100)).toEqual([true, true, false, false]);
  expect(take(10_000)).toEqual([true, true, true, false]);
});

test('what a thread held is given back when it is forgotten, and nothing of the others', () => {
  const first = new SharedLimits(2, 0);
  const second = new SharedLimits(2, 1, first.memory);
  const budget = first.budget('connections');
  for (let i = 0; i < 3; i++) second.budget('connections').acquire(10);
  budget.acquire(10);
  expect(budget.used).toBe(4);
  first.forget(1);
  expect(budget.used).toBe(1);
});

test('names beyond the table are limited by each thread for itself, and it says so', () => {
  const limits = new SharedLimits(1, 0);
  for (let i = 0; i < 65_536; i++) limits.budget(`name ${i}`);
  expect(limits.isFull).toBe(false);
  const late = limits.budget('one too many');
  expect([limits.isFull, late.acquire(1), late.acquire(1)]).toEqual([true, true, false]);
});

test('threads share a thousand limits by key, which take no room from the others; further ones are told of', () => {
  const first = new SharedLimits(2, 0);
  const second = new SharedLimits(2, 1, first.memory);
  const rate = { tokensMax: 1, tokensPerMs: 0.001 };
  for (let i = 0; i < 1024; i++) {
    const mine = first.keyedRates(`limit ${i}`, 500).of('ann', 1000, rate);
    const theirs = second.keyedRates(`limit ${i}`, 500).of('ann', 1000, rate);
    expect([mine.take(1000, rate, 1), theirs.take(1000, rate, 1)]).toEqual([true, false]);
  }
  expect([first.isFull, second.isFull]).toEqual([false, false]);
  first.budget('connections').acquire(1);
  expect(second.budget('connections').acquire(1)).toBe(false);
  const take = (limits: SharedLimits): boolean =>
    limits.keyedRates('one too many', 500).of('ann', 1000, rate).take(1000, rate, 1);
  expect([take(first), take(first), take(second)]).toEqual([true, false, true]);
  expect([first.isFull, second.isFull]).toEqual([true, true]);
});

test.each(KINDS)(
  'a bucket of %s follows its configuration: a changed size at once, a changed interval anew',
  (_, make) => {
    const [one, other] = make();
    const small = one.bucket('requests', { tokensMax: 1, tokensPerFill: 1, fillMs: 100 });
    expect([small.take(5000), small.take(5000)]).toEqual([true, false]);
    const larger = other.bucket('requests', { tokensMax: 2, tokensPerFill: 1, fillMs: 100 });
    expect([larger.take(5000), larger.take(5000)]).toEqual([true, false]);
    const slower = one.bucket('requests', { tokensMax: 1, tokensPerFill: 1, fillMs: 1000 });
    expect([slower.take(5000), slower.take(5999), slower.take(6000)]).toEqual([true, false, true]);
  },
);

test('threads tell the same time, so that the tokens of a bucket come when they should', async () => {
  const thread = new Worker(`require('node:worker_threads').parentPort.postMessage(performance.now())`, { eval: true });
  const before = systemClock.now();
  const [there]: unknown[] = await once(thread, 'message');
  expect(there).toBeGreaterThanOrEqual(before);
  expect(there).toBeLessThanOrEqual(systemClock.now());
});
