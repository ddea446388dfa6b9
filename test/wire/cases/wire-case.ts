// What a wire case is: bytes from a client or from an upstream, and what must come of them on either side.
// The cases of http1.json are data in this very form; the tables beside it make more of them.
// Every string is Latin-1: one character is one byte.
import { readFileSync } from 'node:fs';

export interface Expectation {
  readonly action: 'forward' | 'reject';
  readonly status?: number;
  /** Other statuses that pass as well. */
  readonly statusOk?: readonly number[];
  /** A silent close passes too. */
  readonly statusOptional?: boolean;
  /** Requests: how many complete ones reach the upstream; 1 for `forward`, 0 for `reject`. */
  readonly requests?: number;
  /** Requests: the client's connection is closed afterwards. Responses: the upstream's is not used again. */
  readonly close?: boolean;
  /** Responses: a message that is visibly cut passes too. */
  readonly abort?: boolean;
  readonly upstreamMustContain?: readonly string[];
  readonly upstreamMustNotContain?: readonly string[];
  readonly downstreamMustContain?: readonly string[];
  readonly downstreamMustNotContain?: readonly string[];
  /** What forces this outcome: an RFC's word, or our choice within it. */
  readonly level: 'MUST' | 'SHOULD' | 'MAY' | 'policy';
  readonly note: string;
  readonly source: string;
}

export interface CaseContext {
  /** For a response: the request that it answers. */
  readonly request?: string;
  /** For a request: what the upstream answers. */
  readonly response?: string;
  readonly when?: 'idle-before-request';
  readonly listener?: 'h1-only' | 'edge' | 'sidecar-inbound';
  readonly tls?: boolean;
  readonly pathNormalization?: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
}

export interface WireCase {
  readonly name: string;
  readonly side: 'request' | 'response';
  readonly bytes: string;
  /** What the sender does after the bytes; without it the connection stays open. */
  readonly eof?: 'fin' | 'rst';
  readonly context?: CaseContext;
  readonly expect: Expectation;
}

export function readCases(): readonly WireCase[] {
  return JSON.parse(readFileSync(new URL('http1.json', import.meta.url), 'utf8'));
}

/** How the bytes are put on the wire. */
export interface Delivery {
  readonly name: string;
  /** A good exchange on the same connection comes first. */
  readonly isGlued: boolean;
  readonly cut: (bytes: string) => readonly string[];
}

/** Bytes at either end of a long input that are written one by one; its middle goes in larger pieces. */
const BYTEWISE_EDGE = 1024;
const MIDDLE_PIECE = 251;

export function deliveriesOf(seeds: readonly number[]): readonly Delivery[] {
  return [
    { name: 'one write', isGlued: false, cut: (bytes) => [bytes] },
    { name: 'bytewise', isGlued: false, cut: cutBytewise },
    ...seeds.map((seed) => ({
      name: `cuts ${seed}`,
      isGlued: false,
      cut: (bytes: string) => cutRandomly(bytes, seed),
    })),
    { name: 'glued', isGlued: true, cut: (bytes) => [bytes] },
  ];
}

function cutBytewise(bytes: string): readonly string[] {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const isMiddle = at >= BYTEWISE_EDGE && at < bytes.length - BYTEWISE_EDGE - MIDDLE_PIECE;
    const size = isMiddle ? MIDDLE_PIECE : 1;
    pieces.push(bytes.slice(at, at + size));
    at += size;
  }
  return pieces;
}

/** Between two and nine pieces at places that the seed and the bytes decide. */
export function cutRandomly(bytes: string, seed: number): readonly string[] {
  const random = randomFrom(seed * 7919 + bytes.length);
  const edges = Array.from({ length: 1 + Math.floor(random() * 8) }, () => Math.floor(random() * (bytes.length + 1)));
  const sorted = [0, ...edges.toSorted((a, b) => a - b), bytes.length];
  return sorted
    .slice(1)
    .map((edge, index) => bytes.slice(sorted[index], edge))
    .filter((piece) => piece !== '');
}

/** A small repeatable generator (mulberry32's recurrence): numbers in [0, 1). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
