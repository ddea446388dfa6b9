// The gate in front of the system's resolver: how many run at once, in which order the others follow,
// and that a lookup that fails gives its place on.
import { describe, expect, it } from 'vitest';
import { LookupGate } from '../../../src/resilience/lookup-gate.ts';
import { settled } from './cluster-builders.ts';

describe('LookupGate', () => {
  it('runs at most so many at once, the others in order', async () => {
    const gate = new LookupGate(2);
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const results = [0, 1, 2, 3].map((number) =>
      gate.run(() => {
        begun.push(number);
        return new Promise<number>((resolve) => ends.push(() => resolve(number)));
      }),
    );
    await settled();
    expect(begun).toEqual([0, 1]);
    ends[1]?.();
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    ends[0]?.();
    ends[2]?.();
    await settled();
    ends[3]?.();
    expect(await Promise.all(results)).toEqual([0, 1, 2, 3]);
  });

  it('gives the place of one that failed to the next', async () => {
    const gate = new LookupGate(1);
    const first = gate.run(() => Promise.reject(new Error('no')));
    const second = gate.run(() => Promise.resolve('yes'));
    await expect(first).rejects.toThrow('no');
    expect(await second).toBe('yes');
    expect(await gate.run(() => Promise.resolve('again'))).toBe('again');
  });
});
