// @hot
// Random trace and span ids, cut from a pool of cryptographic random bytes: one system call and one
// conversion serve some hundred requests. Ids are lower-case hex and never all zero.
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
const bytes = Buffer.alloc(POOL_BYTES);
let pool = '';
let at = 0;

function take(digits: number): string {
  if (at + digits > pool.length) {
    randomFillSync(bytes);
    pool = bytes.toString('hex');
    at = 0;
  }
  const start = at;
  at += digits;
  return pool.slice(start, at);
}

/** 32 hex digits. */
export function newTraceId(): string {
  const id = take(32);
  return id === '00000000000000000000000000000000' ? newTraceId() : id;
}

/** 16 hex digits. */
export function newSpanId(): string {
  const id = take(16);
  return id === '0000000000000000' ? newSpanId() : id;
}
