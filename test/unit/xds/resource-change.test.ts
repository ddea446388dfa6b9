// What changed between two sets of resources is the same whether they are flat or in layers.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { changeBetween, LayeredResources, type NamedResources } from '../../../src/xds/resource-change.ts';
import { versionOf } from '../../../src/xds/resource.ts';
import type { EncodedResource } from '../../../src/xds/resource.ts';

const resource = fc
  .record({ name: fc.constantFrom('a', 'b', 'c', 'd', 'e'), version: fc.constantFrom('1', '2') })
  .map(({ name, version }): EncodedResource => ({ typeUrl: 't', name, version, bytes: new Uint8Array() }));
const layer = fc
  .array(resource, { maxLength: 5 })
  .map((list): NamedResources => new Map(list.map((one) => [one.name, one])));
const layers = fc.tuple(layer, layer).map(([below, above]) => new LayeredResources(below, above));

const names = (list: readonly EncodedResource[]): readonly string[] => list.map(({ name }) => name).toSorted();

test('layers hold what a flat set of the same holds', () => {
  fc.assert(
    fc.property(layers, (layered) => {
      const flat = new Map([...layered.below, ...layered.above]);
      expect(layered.size).toBe(flat.size);
      expect(new Map(layered)).toEqual(flat);
      expect([...layered.keys()].toSorted()).toEqual([...flat.keys()].toSorted());
      for (const name of 'abcdef') {
        expect(layered.get(name)).toBe(flat.get(name));
        expect(layered.has(name)).toBe(flat.has(name));
      }
    }),
  );
});

test('a change of layers is the change of the flat sets', () => {
  fc.assert(
    fc.property(layers, layers, fc.boolean(), (before, other, isShared) => {
      const after = isShared ? new LayeredResources(before.below, other.above) : other;
      const told = changeBetween(before, after);
      const flat = changeBetween(new Map(before), new Map(after));
      expect(names(told.changed)).toEqual(names(flat.changed));
      expect(names(told.added)).toEqual(names(flat.added));
      expect(names(told.removed)).toEqual(names(flat.removed));
    }),
  );
});

test('a change is worked out once', () => {
  const [before, after] = [new Map(), new Map()];
  expect(changeBetween(before, after)).toBe(changeBetween(before, after));
});

test('equal layers have equal versions, and different ones different', () => {
  const one: EncodedResource = { typeUrl: 't', name: 'a', version: '1', bytes: new Uint8Array() };
  const below = new Map([['a', one]]);
  const layered = (version: string): NamedResources =>
    new LayeredResources(new Map(below), new Map([['b', { ...one, name: 'b', version }]]));
  expect(versionOf(layered('1'))).toBe(versionOf(layered('1')));
  expect(versionOf(layered('1'))).not.toBe(versionOf(layered('2')));
});
