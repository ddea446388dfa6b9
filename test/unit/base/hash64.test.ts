// 64-bit hashes against published vectors and against a BigInt transcription of the specifications.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { Hash64, hexOfHalves, moduloOfHalves } from '../../../src/base/hash64.ts';

const MASK = (1n << 64n) - 1n;
const [P1, P2, P3, P4, P5] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
];
const rotated = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & MASK;
const round = (lane: bigint, word: bigint): bigint => (rotated((lane + word * P2) & MASK, 31n) * P1) & MASK;

function xxOf(bytes: Buffer, seed: bigint): bigint {
  let hash = (seed + P5) & MASK;
  let at = 0;
  if (bytes.length >= 32) {
    let lanes = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK];
    for (; at + 32 <= bytes.length; at += 32) {
      const start = at;
      lanes = lanes.map((lane, index) => round(lane, bytes.readBigUInt64LE(start + index * 8)));
    }
    hash = lanes.reduce((sum, lane, index) => sum + rotated(lane, [1n, 7n, 12n, 18n][index] ?? 0n), 0n) & MASK;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * P1 + P4) & MASK;
  }
  hash = (hash + BigInt(bytes.length)) & MASK;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (rotated(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P1 + P4) & MASK;
  }
  if (at + 4 <= bytes.length) {
    hash = (rotated(hash ^ ((BigInt(bytes.readUInt32LE(at)) * P1) & MASK), 23n) * P2 + P3) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at++) hash = (rotated(hash ^ ((BigInt(bytes[at] ?? 0) * P5) & MASK), 11n) * P1) & MASK;
  hash = ((hash ^ (hash >> 33n)) * P2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * P3) & MASK;
  return hash ^ (hash >> 32n);
}

function murmurOf(bytes: Buffer): bigint {
  const factor = 0xc6a4a7935bd1e995n;
  const times = (value: bigint): bigint => (value * factor) & MASK;
  let hash = 0xc70f6907n ^ times(BigInt(bytes.length));
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    const word = times(bytes.readBigUInt64LE(at));
    hash = times(hash ^ times(word ^ (word >> 47n)));
  }
  if (at < bytes.length) {
    const tail = Buffer.concat([bytes.subarray(at), Buffer.alloc(8)]).readBigUInt64LE(0);
    hash = times(hash ^ tail);
  }
  hash = times(hash ^ (hash >> 47n));
  return hash ^ (hash >> 47n);
}

const hash = new Hash64();
const inHex = (value: bigint): string => value.toString(16).padStart(16, '0');
const wire = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

describe('Hash64', () => {
  it.each([
    { text: '', seed: 0, hex: 'ef46db3751d8e999' },
    { text: 'a', seed: 0, hex: 'd24ec4f1a98c6e5b' },
    { text: 'foo', seed: 0, hex: '33bf00a859c4ba3f' },
    { text: 'abc', seed: 0, hex: '44bc2cf5ad770999' },
    { text: 'Nobody inspects the spammish repetition', seed: 0, hex: 'fbcea83c8a378bf1' },
  ])('has the published xxHash64 of "$text"', ({ text, seed, hex }) => {
    hash.xx(text, seed);
    expect(hexOfHalves(hash.high, hash.low)).toBe(hex);
  });

  it('is xxHash64 of any bytes and seed', () => {
    fc.assert(
      fc.property(wire, fc.bigInt(0n, MASK), (text, seed) => {
        hash.xx(text, Number(seed & 0xffffffffn), Number(seed >> 32n));
        expect(hexOfHalves(hash.high, hash.low)).toBe(inHex(xxOf(Buffer.from(text, 'latin1'), seed)));
      }),
    );
  });

  it('is MurmurHash64A of any bytes', () => {
    fc.assert(
      fc.property(wire, (text) => {
        hash.murmur(text);
        expect(hexOfHalves(hash.high, hash.low)).toBe(inHex(murmurOf(Buffer.from(text, 'latin1'))));
      }),
    );
  });

  it('divides both halves', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, MASK), fc.integer({ min: 1, max: 1 << 26 }), (value, divisor) => {
        const rest = moduloOfHalves(Number(value >> 32n), Number(value & 0xffffffffn), divisor);
        expect(rest).toBe(Number(value % BigInt(divisor)));
      }),
    );
  });
});
