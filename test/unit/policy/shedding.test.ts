// Shedding: which class of requests is refused first, and how it is told.
import type { JsonObject } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { expect, it } from 'vitest';
import { flagLetters } from '../../../src/plan/response-flags.ts';
import { compileShedding } from '../../../src/policy/shedding-compile.ts';
import { LoadBench } from './load-bench.ts';

const CLASSES: JsonObject[] = [{ name: 'critical' }, { name: 'default', share: 0.8 }, { name: 'batch', share: 0.5 }];
const CONFIG: JsonObject = { classes: CLASSES, default: 'default', requests: 10 };

function aBench(config: JsonObject = {}): LoadBench {
  return new LoadBench(compileShedding, [StructSchema, { ...CONFIG, ...config }]);
}

/** How many of the class are let in beside `others` of the first class. */
function room(bench: LoadBench, name: string, header = 'x-request-class', others = 0): number {
  for (let i = 0; i < others; i++) bench.begin({ [header]: 'critical' });
  let count = 0;
  while (bench.begin({ [header]: name }).response.status === 0) count++;
  return count;
}

it.each([
  ['critical', 10],
  ['default', 8],
  ['batch', 5],
  ['unheard-of', 8],
])('lets so many of class %s in at a time: %i', (name, count) => {
  expect(room(aBench(), name)).toBe(count);
});

it('refuses batch while critical still finds room', () => {
  const bench = aBench();
  expect(room(bench, 'batch', 'x-request-class', 6)).toBe(0);
  expect(room(bench, 'critical')).toBe(4);
});

it('takes the last class for requests that name none, when none is named for them', () => {
  const { default: _none, ...config } = CONFIG;
  const bench = new LoadBench(compileShedding, [StructSchema, config]);
  let count = 0;
  while (bench.begin().response.status === 0) count++;
  expect(count).toBe(5);
});

it('reads the header that it is told', () => {
  expect(room(aBench({ header: 'X-Priority' }), 'batch', 'x-priority')).toBe(5);
});

it('gives a class room for one, however small its share', () => {
  expect(room(aBench({ classes: [{ name: 'batch', share: 0.01 }], default: 'batch' }), 'batch')).toBe(1);
});

it('says 503, UO and overloaded, names the class, and gives the room back', () => {
  const bench = aBench({ requests: 1 });
  const inside = bench.begin({ 'x-request-class': 'batch' });
  const x = bench.begin({ 'x-request-class': 'batch' });
  expect([x.response.status, flagLetters(x.flags), x.details, x.response.valueAt(0)]).toEqual([503, 'UO', 'shed_batch', 'true']);
  expect([bench.stat('batch.rq_shed'), bench.stat('batch.rq_active')]).toEqual([1, 1]);
  bench.end(x, 503);
  bench.end(inside, 200);
  expect(bench.stat('batch.rq_active')).toBe(0);
  expect(bench.passes(200, { 'x-request-class': 'batch' })).toBe(true);
}); // prettier-ignore

it('finds what the app can serve by itself, and divides that', () => {
  const { requests: _none, ...config } = CONFIG;
  const bench = new LoadBench(compileShedding, [StructSchema, { ...config, adaptive: true }]);
  expect(room(bench, 'batch')).toBe(2);
  expect(room(bench, 'critical')).toBe(1);
});

it.each([
  ['f.classes', { classes: [] }, 'the most important one first'],
  ['f.classes[0].name', { classes: [{ name: 'a b' }], default: 'a b' }, 'letters'],
  ['f.classes[1].name', { classes: [{ name: 'a' }, { name: 'a' }], default: 'a' }, 'once'],
  ['f.classes[0].share', { classes: [{ name: 'a', share: 2 }, { name: 'b' }], default: 'b' }, 'at most 1'],
  ['f.default', { default: 'other' }, 'name one of them'],
  ['f.requests', { requests: 0 }, 'adaptive: true'],
  ['f.requests', { adaptive: true }, 'adaptive: true'],
])('refuses what is wrong at %s', (path, config, remedy) => {
  const { filter, problems } = aBench(config);
  expect(filter).toBe(null);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(`${path}: `);
  expect(problems[0]).toContain(remedy);
});
