// When an extension counts as stuck, and what a thread does that was interrupted.
import { expect, it } from 'vitest';
import { ExtensionWatch } from '../../../src/sidecar/extension-watch.ts';
import { LOOK_MS, RunningCell, StuckLook, type WatchedExtension } from '../../../src/sidecar/stuck-extension.ts';

const extension = (number: number, stuckMs = 3 * LOOK_MS): WatchedExtension => ({
  number,
  name: `outrigger.extension/${number}`,
  module: `m${number}@sha256:a`,
  failurePolicy: 'FailClosed',
  stuckMs,
});

/** What each look says of how long the extension has been stuck. */
function looks(look: StuckLook, between: readonly (() => void)[]): readonly number[] {
  const first = look.look()?.forMs ?? 0;
  return [
    first,
    ...between.map((act) => {
      act();
      return look.look()?.forMs ?? 0;
    }),
  ];
}

const idle = (): void => {};

it.each<[string, (cell: RunningCell) => readonly (() => void)[], readonly number[]]>([
  ['one call that goes on', () => [idle, idle, idle, idle], [0, 0, 0, 300, 400]],
  ['nothing that runs', (cell) => [() => cell.leave(), idle, idle, idle], [0, 0, 0, 0, 0]],
  ['call after call', (cell) => Array.from({ length: 4 }, () => () => cell.enter(1)), [0, 0, 0, 0, 0]],
  ['another one that is unknown', (cell) => [() => cell.enter(7), idle, idle, idle], [0, 0, 0, 0, 0]],
  ['one that ends late', () => [idle, idle, idle, idle], [0, 0, 0, 300, 400]],
])('%s', (_name, between, expected) => {
  const cell = new RunningCell();
  const look = new StuckLook(cell.memory);
  look.add(extension(1));
  cell.enter(1);
  expect(looks(look, between(cell))).toEqual(expected);
});

it('what ended is not stuck any more, and may be again', () => {
  const cell = new RunningCell();
  const look = new StuckLook(cell.memory);
  look.add(extension(1, LOOK_MS));
  cell.enter(1);
  expect(looks(look, [idle, () => cell.leave(), () => cell.enter(1), idle])).toEqual([0, 100, 0, 0, 100]);
});

it('a watch tells of each extension with its patience, bans what was interrupted, and tells its fence', () => {
  const told: WatchedExtension[] = [];
  const watch = new ExtensionWatch({ tell: (each) => told.push(each), banned: ['old@sha256:b'] });
  let interruptions = 0;
  const fence = { interrupted: () => interruptions++ };
  const base = { name: 'outrigger.extension/x', module: 'x@sha256:a', failurePolicy: 'FailOpen' };
  const numbers = [10, 1000].map((budgetMs) => watch.add(fence, { ...base, budgetMs }));
  expect(told).toEqual([
    { ...base, number: 1, stuckMs: 2000 },
    { ...base, number: 2, stuckMs: 12_000 },
  ]);
  watch.cell.enter(numbers[1] ?? 0);
  expect(['x@sha256:a', 'old@sha256:b'].map((module) => watch.isBanned(module))).toEqual([false, true]);
  watch.interrupted(numbers[1] ?? 0);
  expect([watch.isBanned('x@sha256:a'), interruptions]).toEqual([true, 1]);
  expect(new Int32Array(watch.cell.memory)[0]).toBe(0);
});
