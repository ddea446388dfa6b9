// How a limit is divided among the instances that enforce it: by demand, and never more than it is, whatever is heard when.
import { array, assert, boolean, double, integer, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { RateDivision, targetsOf } from '../../../src/control/rate-division.ts';

const LIMIT = 100;
const GROUP = 'default/app/all';

/** Instances that hear of their parts when the test says so. */
class Fleet {
  nowMs = 0;
  readonly held = new Map<string, number>();
  readonly #untold: (readonly [member: string, fraction: number])[] = [];
  readonly division = new RateDivision({
    rateOf: (group) => (group === GROUP ? LIMIT : null),
    tell: ({ member, fraction }) => this.#untold.push([member, fraction]),
    graceMs: 1000,
  });

  report(member: string, perSecond: number, seconds = 0.5): void {
    const held = this.held.get(member) ?? 0;
    this.division.report(GROUP, member, { asked: perSecond * seconds, seconds, held });
  }

  /** The first message that is under way arrives, and is answered. */
  hear(): void {
    const first = this.#untold.shift();
    if (first === undefined) return;
    this.held.set(...first);
    this.report(first[0], 0, 0);
  }

  hearAll(): void {
    while (this.#untold.length > 0) this.hear();
  }

  /** Some seconds in which each is asked for so much. */
  run(demands: Readonly<Record<string, number>>, seconds: number): void {
    for (let i = 0; i < seconds * 2; i++) {
      this.nowMs += 500;
      for (const [member, demand] of Object.entries(demands)) this.report(member, demand);
      this.division.turn(this.nowMs);
      this.hearAll();
    }
  }

  /** Requests per second that pass. */
  admitted(demands: Readonly<Record<string, number>>): number {
    return Object.entries(demands).reduce(
      (sum, [member, demand]) => sum + Math.min(demand, (this.held.get(member) ?? 0) * LIMIT),
      0,
    );
  }

  get inForce(): number {
    return [...this.held.values()].reduce((sum, part) => sum + part, 0);
  }
}

test.each([
  ['one', [5], 1, [1]],
  ['none asks', [0, 0], 1, [0.5, 0.5]],
  ['one asks for all', [2, 0, 0], 1, [0.98, 0.01, 0.01]],
  ['all ask for more', [2, 3], 1, [0.5, 0.5]],
  ['who asks for little has it with some room', [2, 0.1], 1, [0.875, 0.125]],
])('a limit is divided where %s', (_, demands, total, parts) => {
  expect(targetsOf(demands, total).map((part) => Math.round(part * 1000) / 1000)).toEqual(parts);
});

test('the first has all of it at once, and a newcomer what the others have given up', () => {
  const fleet = new Fleet();
  fleet.report('a', 50);
  fleet.hearAll();
  expect(fleet.held.get('a')).toBe(1);
  fleet.report('b', 0);
  // Nobody has heard yet: the newcomer has nothing.
  expect(fleet.held.get('b') ?? 0).toBe(0);
  fleet.hearAll();
  expect(fleet.held.get('b')).toBeGreaterThan(0.2);
  expect(fleet.inForce).toBeLessThanOrEqual(1 + 1e-9);
});

test('parts follow the demand within two seconds', () => {
  const fleet = new Fleet();
  const [skewed, moved] = [
    { a: 300, b: 10, c: 5 },
    { a: 5, b: 10, c: 300 },
  ];
  fleet.run(skewed, 3);
  expect(fleet.admitted(skewed)).toBeGreaterThan(LIMIT * 0.95);
  fleet.run(moved, 2);
  expect(fleet.admitted(moved)).toBeGreaterThan(LIMIT * 0.9);
  expect(fleet.inForce).toBeLessThanOrEqual(1 + 1e-9);
});

test.each([2, 50, 500, 2000])('%i that ask for half of the limit together have what they ask for', (count) => {
  const fleet = new Fleet();
  const demands = Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, (LIMIT * 0.5) / count]));
  fleet.run(demands, 3);
  expect(fleet.admitted(demands)).toBeGreaterThan(LIMIT * 0.499);
  expect(fleet.inForce).toBeLessThanOrEqual(1 + 1e-6);
  // Then one of them asks for much, and has what the others leave.
  const greedy = { ...demands, m0: LIMIT * 2 };
  fleet.run(greedy, 3);
  expect(fleet.admitted(greedy)).toBeGreaterThan(LIMIT * 0.9);
});

test('who is gone keeps its part for a while, and who comes again has it', () => {
  const fleet = new Fleet();
  fleet.run({ a: 100, b: 100 }, 2);
  fleet.division.leave('b', fleet.nowMs);
  const before = fleet.held.get('a') ?? 0;
  fleet.run({ a: 100 }, 0.5);
  expect(fleet.held.get('a')).toBeCloseTo(before, 2);
  fleet.run({ a: 100 }, 1);
  fleet.held.delete('b');
  expect(fleet.held.get('a')).toBeGreaterThan(0.95);
});

test('what a new control service is told is in force counts', () => {
  const fleet = new Fleet();
  fleet.held.set('a', 0.7);
  fleet.held.set('b', 0.3);
  fleet.report('a', 10);
  fleet.report('b', 10);
  expect(fleet.division.inForce(GROUP)).toBeLessThanOrEqual(1 + 1e-9);
});

test('a limit that does not exist is not divided', () => {
  const fleet = new Fleet();
  fleet.division.report('default/other/all', 'a', { asked: 1, seconds: 1, held: 0 });
  expect(fleet.division.inForce('default/other/all')).toBe(0);
});

test('parts in force never add up to more than the limit, whoever hears what when', () => {
  const step = record({
    member: integer({ min: 0, max: 4 }),
    demand: double({ min: 0, max: 400, noNaN: true }),
    hears: integer({ min: 0, max: 3 }),
    turns: boolean(),
    leaves: boolean(),
  });
  assert(
    property(array(step, { minLength: 1, maxLength: 120 }), (steps) => {
      const fleet = new Fleet();
      for (const { member, demand, hears, turns, leaves } of steps) {
        if (leaves) fleet.division.leave(`m${member}`, fleet.nowMs);
        else fleet.report(`m${member}`, demand);
        for (let i = 0; i < hears; i++) fleet.hear();
        if (turns) {
          fleet.nowMs += 100;
          fleet.division.turn(fleet.nowMs);
        }
        // Whoever is forgotten after its grace is out of the reckoning, and so it is here.
        if (fleet.nowMs >= 900) return;
        expect(fleet.inForce).toBeLessThanOrEqual(1 + 1e-6);
      }
    }),
    { numRuns: 200 },
  );
});
