// The debounce on a clock that the test owns.
import { expect, test } from 'vitest';

import { Debounce, type Extent, type Schedule } from '../../../src/control/debounce.ts';

function aDebounce(options: { readonly quietMs?: number; readonly maxMs?: number } = {}, runMs = 0) {
  let nowMs = 0;
  const timers: { dueMs: number; run: () => void }[] = [];
  const runs: { extent: Extent; atMs: number }[] = [];
  const schedule: Schedule = (run, delayMs) => {
    const timer = { dueMs: nowMs + delayMs, run };
    timers.push(timer);
    return () => {
      if (timers.includes(timer)) timers.splice(timers.indexOf(timer), 1);
    };
  };
  const clock = { now: () => nowMs, wall: () => nowMs };
  const run = (extent: Extent): void => {
    runs.push({ extent, atMs: nowMs });
    nowMs += runMs;
  };
  const debounce = new Debounce({ run, clock, schedule, ...options });
  const advance = (toMs: number): void => {
    for (;;) {
      const next = timers.toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > toMs) break;
      timers.splice(timers.indexOf(next), 1);
      nowMs = next.dueMs;
      next.run();
    }
    nowMs = toMs;
  };
  return { debounce, runs, advance };
}

test('changes are gathered until nothing has changed for 100 ms', () => {
  const { debounce, runs, advance } = aDebounce();
  for (const atMs of [0, 60, 120]) {
    advance(atMs);
    debounce.note();
  }
  advance(219);
  expect(runs).toEqual([]);
  advance(1000);
  expect(runs).toEqual([{ extent: 'all', atMs: 220 }]);
  expect(debounce.isWaiting).toBe(false);
});

test('a change never waits longer than the maximum', () => {
  const { debounce, runs, advance } = aDebounce();
  for (let atMs = 0; atMs < 10_500; atMs += 50) {
    advance(atMs);
    debounce.note();
  }
  expect(runs).toEqual([{ extent: 'all', atMs: 10_000 }]);
});

test('endpoints alone do not wait, and many changes at once are one run', () => {
  const { debounce, runs, advance } = aDebounce();
  advance(5);
  debounce.noteEndpoints();
  debounce.noteEndpoints();
  advance(5);
  expect(runs).toEqual([{ extent: 'endpoints', atMs: 5 }]);
});

test.each([
  [5, 45],
  [100, 350],
])('after a run of %i ms endpoints rest, and what comes meanwhile is one run at %i ms', (runMs, nextMs) => {
  const { debounce, runs, advance } = aDebounce({}, runMs);
  debounce.noteEndpoints();
  advance(runMs);
  for (const aheadMs of [1, 2, 3]) {
    advance(runMs + aheadMs);
    debounce.noteEndpoints();
  }
  advance(1000);
  expect(runs.map(({ atMs }) => atMs)).toEqual([0, nextMs]);
});

test('endpoints neither hasten nor delay other changes that wait', () => {
  const { debounce, runs, advance } = aDebounce();
  debounce.note();
  advance(90);
  debounce.noteEndpoints();
  advance(500);
  expect(runs).toEqual([
    { extent: 'endpoints', atMs: 90 },
    { extent: 'all', atMs: 100 },
  ]);
});

test('the quiet time can be chosen, flush does not wait, and close forgets', () => {
  const { debounce, runs, advance } = aDebounce({ quietMs: 10 });
  debounce.note();
  advance(10);
  debounce.note();
  debounce.flush();
  debounce.note();
  debounce.close();
  advance(1000);
  expect(runs).toEqual([
    { extent: 'all', atMs: 10 },
    { extent: 'all', atMs: 10 },
  ]);
});
