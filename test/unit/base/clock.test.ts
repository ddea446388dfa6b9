// The system's clock: it goes on by itself, stands still while a turn lasts, and never goes back, whatever
// turns begin and end in whatever order. It is watched against Node's own, by which a moment is waited for.
// Turns are ended by each test, since the clock is one for the process.
import { expect, test } from 'vitest';
import { beginTurn, endTurn, systemClock } from '../../../src/base/clock.ts';

/** Lets a moment pass without giving the turn away. */
function passTime(): void {
  const start = performance.now();
  while (performance.now() === start);
}

function passMillisecond(): void {
  const start = Date.now();
  while (Date.now() === start);
}

test('outside of a turn the clock goes on', () => {
  const before = systemClock.now();
  passTime();
  expect(systemClock.now()).toBeGreaterThan(before);
});

test('a turn has one time, that of its first question', () => {
  const before = systemClock.now();
  beginTurn();
  passTime();
  const first = systemClock.now();
  passTime();
  const second = systemClock.now();
  endTurn();
  expect(first).toBeGreaterThan(before);
  expect(second).toBe(first);
  expect(systemClock.now()).toBeGreaterThan(first);
});

test('a new turn has a new time, and one within another never leads back', () => {
  const times: number[] = [];
  const ask = (): void => {
    passTime();
    times.push(systemClock.now());
  };
  beginTurn();
  ask();
  beginTurn();
  ask();
  endTurn();
  ask();
  endTurn();
  ask();
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  expect(new Set(times).size).toBe(times.length);
});

test('the wall clock has one time in a turn as well, and goes on behind it', () => {
  const before = systemClock.wall();
  passMillisecond();
  beginTurn();
  const first = systemClock.wall();
  passMillisecond();
  const second = systemClock.wall();
  endTurn();
  const behind = systemClock.wall();
  beginTurn();
  const next = systemClock.wall();
  endTurn();
  expect([first > before, second === first, behind > first, next >= behind]).toEqual([true, true, true, true]);
});
