// The wheel on a clock that the test moves: never early, at most a tick late, once.
import { expect, test } from 'vitest';
import { TimerWheel, WheelTimer } from '../../../src/base/timer-wheel.ts';

function aWheel(): { wheel: TimerWheel; pass: (ms: number) => void } {
  let nowMs = 1000;
  const wheel = new TimerWheel({ now: () => nowMs, wall: () => nowMs });
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 10) {
      nowMs += Math.min(10, left);
      wheel.advance();
    }
  };
  return { wheel, pass };
}

test.each([1, 9, 10, 11, 25, 2559, 2560, 2561, 30_000])(
  'fires once, not before %i ms and within a tick after',
  (delayMs) => {
    const { wheel, pass } = aWheel();
    let fired = 0;
    wheel.arm(new WheelTimer(() => fired++), delayMs);
    pass(delayMs - 1);
    expect(fired).toBe(0);
    pass(21);
    expect(fired).toBe(1);
    pass(60_000);
    expect(fired).toBe(1);
    expect(wheel.armed).toBe(0);
  },
);

test('a disarmed timer does not fire, and can be armed again', () => {
  const { wheel, pass } = aWheel();
  let fired = 0;
  const timer = new WheelTimer(() => fired++);
  wheel.arm(timer, 50);
  wheel.disarm(timer);
  wheel.disarm(timer);
  pass(100);
  expect(fired).toBe(0);
  wheel.arm(timer, 50);
  wheel.arm(timer, 100);
  pass(70);
  expect(fired).toBe(0);
  pass(60);
  expect(fired).toBe(1);
});

test('timers may arm and disarm each other while they fire', () => {
  const { wheel, pass } = aWheel();
  const order: string[] = [];
  const late = new WheelTimer(() => order.push('late'));
  const victim = new WheelTimer(() => order.push('victim'));
  const first = new WheelTimer(() => {
    order.push('first');
    wheel.disarm(victim);
    wheel.arm(late, 30);
  });
  wheel.arm(victim, 20);
  wheel.arm(first, 20);
  pass(100);
  expect(order).toEqual(['first', 'late']);
});

test('a clock that jumps fires what became due, once', () => {
  let nowMs = 0;
  const wheel = new TimerWheel({ now: () => nowMs, wall: () => nowMs });
  let fired = 0;
  for (const delayMs of [5, 500, 5000, 50_000]) wheel.arm(new WheelTimer(() => fired++), delayMs);
  nowMs = 1_000_000;
  wheel.advance();
  expect(fired).toBe(4);
});
