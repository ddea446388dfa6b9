// Weighted splits that keep everybody: shares follow the weights, and when weights grow some come to the
// destinations that grew and nobody goes anywhere else, for any number of destinations and steps.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exchange } from '../../../src/plan/exchange.ts';
import { stickyChoice, type StickySplit } from '../../../src/routing/sticky-split.ts';
import { compileStickySplit } from '../../../src/routing/sticky-split-compile.ts';
import { anEnv, seeded } from '../resilience/cluster-builders.ts';

const USERS = Array.from({ length: 300 }, (_, index) => `user-${index}`);

function splitOver(count: number): StickySplit {
  const names = Array.from({ length: count }, (_, index) => `outbound|80|v${index}|shop`);
  const split = compileStickySplit({ sticky_split: { identity: true } }, names, anEnv(), 'r');
  if (split === null) throw new Error('refused');
  return split;
}

const x = new Exchange();

function choice(split: StickySplit, user: string, weights: readonly number[]): number {
  x.clientAddress = user;
  return stickyChoice(x, split, Float64Array.from(weights));
}

const weightsAndGrowth = fc
  .array(fc.record({ weight: fc.integer({ min: 0, max: 100 }), growth: fc.integer({ min: 0, max: 100 }) }), {
    minLength: 2,
    maxLength: 6,
  })
  .filter((rows) => rows.some(({ weight }) => weight > 0));

describe('a sticky split', () => {
  it('moves people only to a destination whose weight grew more than that of theirs', () => {
    fc.assert(
      fc.property(weightsAndGrowth, (rows) => {
        const split = splitOver(rows.length);
        const before = rows.map(({ weight }) => weight);
        const after = rows.map(({ weight, growth }) => weight + growth);
        for (const user of USERS) {
          const from = choice(split, user, before);
          const to = choice(split, user, after);
          if (from === to) continue;
          const ratio = (index: number): number => (after[index] ?? 0) / (before[index] ?? 0);
          expect(ratio(to)).toBeGreaterThan(ratio(from));
        }
      }),
    );
  });

  it('never moves anybody back while a canary grows to everything', () => {
    const split = splitOver(2);
    const gone = new Set<string>();
    for (let canary = 0; canary <= 100; canary++) {
      for (const user of USERS) {
        const isCanary = choice(split, user, [100 - canary, canary]) === 1;
        expect(isCanary || !gone.has(user)).toBe(true);
        if (isCanary) gone.add(user);
      }
    }
    expect(gone.size).toBe(USERS.length);
  });

  it.each([{ weights: [50, 50] }, { weights: [90, 10] }, { weights: [1, 2, 3, 4] }, { weights: [5, 0, 5] }])(
    'gives each destination its share: $weights',
    ({ weights }) => {
      const split = splitOver(weights.length);
      const counts = weights.map(() => 0);
      const users = 20_000;
      for (let index = 0; index < users; index++) {
        const at = choice(split, `10.0.${index >> 8}.${index & 255}`, weights);
        counts[at] = (counts[at] ?? 0) + 1;
      }
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [index, weight] of weights.entries()) {
        expect((counts[index] ?? 0) / users).toBeCloseTo(weight / total, 1.7);
      }
    },
  );
});

describe('who is asked for', () => {
  const env = { ...anEnv(), random: seeded(4) };

  it('is in a header, and unknown without it', () => {
    const split = compileStickySplit({ sticky_split: { header: ':authority' } }, ['a', 'b'], env, 'r');
    if (split === null) throw new Error('refused');
    const own = new Exchange();
    expect(stickyChoice(own, split, Float64Array.from([1, 1]))).toBe(-1);
    own.request.authority = 'somebody';
    expect(stickyChoice(own, split, Float64Array.from([0, 1]))).toBe(1);
  });

  it('is a new visitor without the cookie', () => {
    const split = compileStickySplit(
      { sticky_split: { cookie: { name: 'who', ttl_seconds: 60 } } },
      ['a', 'b'],
      env,
      'r',
    );
    if (split === null) throw new Error('refused');
    const own = new Exchange();
    stickyChoice(own, split, Float64Array.from([1, 1]));
    expect(own.isNewVisitor).toBe(true);
    expect(split.attributes).toBe('; Max-Age=60; Path=/; HttpOnly');
  });

  it('must be said', () => {
    const problems = anEnv();
    expect(compileStickySplit({ sticky_split: { cookie: {} } }, ['a'], problems, 'r')).toBeNull();
    expect(problems.problems.map(({ severity, path }) => `${severity} ${path}`)).toEqual([
      'error r.metadata.filter_metadata.outrigger.sticky_split',
    ]);
  });
});
