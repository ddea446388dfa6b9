// The back-off of our own reconnects: within its bounds, doubling, and never in step with others.
import { expect, test } from 'vitest';
import { createBackoff } from '../../../src/base/backoff.ts';

test.each([
  [0, [50, 100, 200, 400, 500, 500]],
  [0.5, [75, 150, 300, 600, 750, 750]],
  [0.999, [100, 200, 400, 800, 1000, 1000]],
])('with chance at %d the delays are %j', (chance, expected) => {
  const backoff = createBackoff({ baseMs: 100, maxMs: 1000, random: () => chance });
  expect(expected.map(() => Math.round(backoff.next()))).toEqual(expected);
});

test('after a success it begins anew', () => {
  const backoff = createBackoff({ baseMs: 100, maxMs: 1000, random: () => 0 });
  backoff.next();
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(50);
});

test('two that begin together do not stay together', () => {
  const [one, other] = [createBackoff({ baseMs: 100, maxMs: 1000 }), createBackoff({ baseMs: 100, maxMs: 1000 })];
  const delays = (backoff: typeof one): number[] => Array.from({ length: 8 }, () => backoff.next());
  expect(delays(one)).not.toEqual(delays(other));
});
