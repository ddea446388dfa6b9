// What may wait for clients at once, and who goes next.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PushBudget } from '../../../src/control/push-budget.ts';

const MIB = 1024 * 1024;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('who waits is called in turn as soon as there is room, and not before', () => {
  const budget = new PushBudget({ bytesMax: 2 * MIB });
  const [first, second] = [budget.take(MIB), budget.take(MIB)];
  const called: string[] = [];
  for (const name of ['a', 'b'])
    budget.wait(() => {
      called.push(name);
      budget.take(MIB);
    });
  expect(budget.isSpent).toBe(true);
  first();
  expect(called).toEqual(['a']);
  first();
  expect(called).toEqual(['a']);
  second();
  expect(called).toEqual(['a', 'b']);
  expect(budget.waiting).toBe(0);
});

test('a client that takes nothing counts for a second', () => {
  const budget = new PushBudget({ bytesMax: MIB });
  budget.take(MIB);
  const resume = vi.fn();
  budget.wait(resume);
  vi.advanceTimersByTime(999);
  expect(resume).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(resume).toHaveBeenCalledTimes(1);
});

test('small messages do not count, and who is gone is not called', () => {
  const budget = new PushBudget({ bytesMax: MIB });
  for (let message = 0; message < 100; message++) budget.take(16 * 1024);
  expect(budget.isSpent).toBe(false);
  const release = budget.take(MIB);
  const gone = vi.fn();
  budget.wait(gone);
  budget.forget(gone);
  release();
  expect(gone).not.toHaveBeenCalled();
});
