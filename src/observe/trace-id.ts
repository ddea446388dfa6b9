// @hot
// Random trace and span ids, cut from a pool of cryptographic random bytes: one system call serves
// some hundred requests. Ids are lower-case hex and never all zero.
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
const pool = Buffer.alloc(POOL_BYTES);
let at = POOL_BYTES;

function take(bytes: number): string {
  if (at + bytes > POOL_BYTES) {
    randomFillSync(pool);
    at = 0;
  }
  const start = at;
  at += bytes;
  return pool.toString('hex', start, at);
}

/** 32 hex digits. */
export function newTraceId(): string {
  const id = take(16);
  return id === '00000000000000000000000000000000' ? newTraceId() : id;
}

/** 16 hex digits. */
export function newSpanId(): string {
  const id = take(8);
  return id === '0000000000000000' ? newSpanId() : id;
}
