// Request ids look like UUIDs of version 4, and no two are the same.
import { expect, test } from 'vitest';
import { newUniqueId } from '../../../src/base/unique-id.ts';

const COUNT = 4000;
const ids = Array.from({ length: COUNT }, () => newUniqueId());

test('an id is a UUID of version 4 and the usual variant', () => {
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  expect(ids.filter((id) => !form.test(id))).toEqual([]);
});

test('no two are the same', () => {
  expect(new Set(ids).size).toBe(COUNT);
});

test('each digit that is random takes all its values about equally often', () => {
  for (let place = 0; place < 36; place++) {
    const counts = new Map<string, number>();
    for (const id of ids) counts.set(id.charAt(place), (counts.get(id.charAt(place)) ?? 0) + 1);
    if (counts.size === 1) continue;
    expect([place, counts.size]).toEqual([place, place === 19 ? 4 : 16]);
    const fair = COUNT / counts.size;
    for (const count of counts.values()) expect(Math.abs(count - fair)).toBeLessThan(fair * 0.5);
  }
});
