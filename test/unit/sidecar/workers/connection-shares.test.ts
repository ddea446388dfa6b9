// Whom a new connection goes to, by how many each worker has.
import { expect, test } from 'vitest';
import { ConnectionShares } from '../../../../src/sidecar/workers/connection-shares.ts';

/** The counts of the workers, and who serves what the first of them accepts; null: it is not there. */
const CASES: readonly (readonly [readonly (number | null)[], number])[] = [
  [[0, 0], 0],
  [[1, 0], 1],
  [[0, 1], 0],
  [[3, 2, 1], 2],
  [[15, 14], 1],
  [[16, 14], 0],
  [[16, 13], 1],
  [[160, 149], 0],
  [[160, 148], 1],
  [[5, null], 0],
  [[null, 5], 1],
];

test.each(CASES)('with %o connections the next one goes to worker %i', (counts, chosen) => {
  const shares = new ConnectionShares(counts.length);
  counts.forEach((count, worker) => {
    if (count === null) return;
    shares.enter(worker);
    shares.add(worker, count);
  });
  expect(shares.choose(0)).toBe(chosen);
});

test('a worker that leaves gets nothing, and comes back with nothing', () => {
  const shares = new ConnectionShares(2);
  shares.enter(0);
  shares.enter(1);
  shares.add(0, 4);
  shares.add(1, 3);
  shares.leave(1);
  expect(new ConnectionShares(2, shares.memory).choose(0)).toBe(0);
  shares.enter(1);
  expect(shares.choose(0)).toBe(1);
});

test('short connections that never meet are shared out, too', () => {
  const shares = new ConnectionShares(2);
  shares.enter(0);
  shares.enter(1);
  const given = [0, 0];
  for (let i = 0; i < 100; i++) {
    // The kernel gives all of them to the first one.
    const chosen = shares.choose(0);
    shares.gave(chosen);
    given[chosen] = (given[chosen] ?? 0) + 1;
  }
  expect(Math.min(...given)).toBeGreaterThanOrEqual(43);
});

test('a worker that was away does not make up for what it missed', () => {
  const shares = new ConnectionShares(2);
  shares.enter(0);
  for (let i = 0; i < 1000; i++) shares.gave(0);
  shares.enter(1);
  expect(shares.choose(0)).toBe(0);
});
