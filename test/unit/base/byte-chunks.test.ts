// Bytes in pieces: what is held stays near to what was sent, however small the pieces are, and budgets hold.
import { expect, it } from 'vitest';
import { addPiece, ByteBudget } from '../../../src/base/byte-chunks.ts';

it.each([
  ['single bytes', 200_000, 1, 40],
  ['two bytes at a time', 200_000, 2, 40],
  ['pieces of odd sizes', 300_000, 7, 45],
  ['large pieces', 1_000_000, 65_536, 16],
])('%s are held in few pieces, in their order', (_name, total, size, piecesMax) => {
  const whole = Buffer.from(Array.from({ length: total }, (_, i) => i % 251));
  const pieces: Buffer[] = [];
  for (let at = 0; at < total; at += size) addPiece(pieces, whole.subarray(at, at + size));
  expect(pieces.length).toBeLessThanOrEqual(piecesMax);
  expect(Buffer.concat(pieces).equals(whole)).toBe(true);
});

it('a large piece is not copied', () => {
  const [first, second] = [Buffer.alloc(20_000), Buffer.alloc(30_000)];
  const pieces: Buffer[] = [];
  addPiece(pieces, first);
  addPiece(pieces, second);
  expect([pieces[0] === first, pieces[1] === second]).toEqual([true, true]);
});

it('a budget takes up to its bound, and what is given back can be taken again', () => {
  const budget = new ByteBudget(10);
  expect([budget.take(6), budget.take(5), budget.take(4), budget.held]).toEqual([true, false, true, 10]);
  budget.give(6);
  expect([budget.take(6), budget.take(1)]).toEqual([true, false]);
});
