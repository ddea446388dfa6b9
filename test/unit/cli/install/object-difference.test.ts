// Differences between an object and what it would become, as people read them.
import { expect, test } from 'vitest';
import { objectDifference } from '../../../../src/cli/install/object-difference.ts';

test.each([
  { title: 'nothing', before: { spec: { a: 1 } }, after: { spec: { a: 1 } }, lines: [] },
  { title: 'no object', before: null, after: { spec: { a: 1 } }, lines: [] },
  { title: 'a value', before: { spec: { a: 1 } }, after: { spec: { a: 2 } }, lines: ['spec.a: 1 → 2'] },
  { title: 'a field more', before: { spec: {} }, after: { spec: { a: 'x' } }, lines: ['spec.a: nothing → "x"'] },
  { title: 'a field less', before: { spec: { a: [1] } }, after: {}, lines: ['spec: {"a":[1]} → nothing'] },
  { title: 'an item', before: { a: [1, 2] }, after: { a: [1, 3, 4] }, lines: ['a[1]: 2 → 3', 'a[2]: nothing → 4'] },
  { title: 'an empty object', before: { spec: {} }, after: {}, lines: [] },
  { title: 'false', before: { a: false }, after: {}, lines: ['a: false → nothing'] },
  {
    title: 'a label with dots',
    before: { metadata: { name: 'a', labels: { 'b.c/d': '1' } } },
    after: { metadata: { name: 'a', labels: { 'b.c/d': '2' } } },
    lines: ['metadata.labels."b.c/d": "1" → "2"'],
  },
  {
    title: 'what the server keeps for itself',
    before: { metadata: { resourceVersion: '1', uid: 'a', generation: 1 }, status: { a: 1 } },
    after: { metadata: { resourceVersion: '2', uid: 'b', generation: 2 }, status: { a: 2 } },
    lines: [],
  },
])('shows $title', ({ before, after, lines }) => {
  expect(objectDifference(before, after)).toEqual(lines);
});

test('cuts long values', () => {
  const [line = ''] = objectDifference({ a: '' }, { a: 'x'.repeat(10_000) });
  expect(line.length).toBeLessThan(200);
});
