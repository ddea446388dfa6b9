// Deadlines end to end, on a clock of the test's own: what a request brings, what counts, and what the next hop is told.
import { expect, test } from 'vitest';
import { internHeader } from '../../../src/http/header-name.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { beginTimeout, isOver, takeTimes, tellTimeLeft, timeLeft } from '../../../src/resilience/deadline.ts';

const HEEDS = { respectsExpectedTimeout: true, suppressesEnvoyHeaders: false };
const DEAF = { respectsExpectedTimeout: false, suppressesEnvoyHeaders: false };
const MUTE = { respectsExpectedTimeout: true, suppressesEnvoyHeaders: true };
const START_MS = 1000;

interface Row {
  readonly name: string;
  readonly rules?: typeof HEEDS;
  readonly isInternal?: boolean;
  readonly asked?: string;
  readonly left?: string;
  readonly timeoutMs?: number;
  /** The request was complete, and the attempt is sent, so long after the start. */
  readonly completeMs?: number;
  readonly sentMs: number;
  readonly attemptMs?: number;
  /** What the next hop is told; null: nothing. */
  readonly told: string | null;
}

const ROWS: readonly Row[] = [
  { name: 'the timeout counts from the complete request', timeoutMs: 5000, completeMs: 400, sentMs: 500, told: '4900' },
  { name: 'before that all of it is left', timeoutMs: 5000, sentMs: 500, told: '5000' },
  { name: 'a later attempt has what remains', timeoutMs: 5000, completeMs: 0, sentMs: 3210, told: '1790' },
  {
    name: 'an attempt has no more than its own time',
    timeoutMs: 5000,
    completeMs: 0,
    sentMs: 0,
    attemptMs: 700,
    told: '700',
  },
  { name: 'nor more than remains', timeoutMs: 5000, completeMs: 0, sentMs: 4800, attemptMs: 700, told: '200' },
  { name: 'an attempt may have the only limit', timeoutMs: 0, completeMs: 0, sentMs: 9, attemptMs: 700, told: '700' },
  { name: 'no limit is not told', timeoutMs: 0, completeMs: 0, sentMs: 0, told: null },
  {
    name: 'what is over is one millisecond, since 0 were for ever',
    timeoutMs: 10,
    completeMs: 0,
    sentMs: 50,
    told: '1',
  },
  { name: 'the caller’s time counts from the arrival', left: '800', completeMs: 300, sentMs: 500, told: '300' },
  { name: 'also before the request is complete', left: '800', sentMs: 500, told: '300' },
  { name: 'also where there is no other', left: '800', timeoutMs: 0, completeMs: 0, sentMs: 0, told: '800' },
  { name: 'the shorter counts', left: '9000', timeoutMs: 5000, completeMs: 0, sentMs: 0, told: '5000' },
  {
    name: 'a caller that has nothing left has said nothing',
    left: '0',
    timeoutMs: 5000,
    completeMs: 0,
    sentMs: 0,
    told: '5000',
  },
  { name: 'a caller is not heeded', rules: DEAF, left: '800', completeMs: 0, sentMs: 0, told: '15000' },
  { name: 'the next hop is not told', rules: MUTE, left: '800', completeMs: 0, sentMs: 100, told: '800' },
  { name: 'a trusted client asks', isInternal: true, asked: '2000', completeMs: 0, sentMs: 0, told: '2000' },
  { name: 'a stranger asks', asked: '2000', completeMs: 0, sentMs: 0, told: '15000' },
  { name: 'a trusted client asks for none', isInternal: true, asked: '0', completeMs: 0, sentMs: 0, told: null },
  {
    name: 'a trusted client asks for nonsense',
    isInternal: true,
    asked: '1e3',
    completeMs: 0,
    sentMs: 0,
    told: '15000',
  },
];

test.each(ROWS)('$name', (row) => {
  const x = new Exchange();
  x.startMs = START_MS;
  x.timeoutMs = row.timeoutMs ?? 15_000;
  x.isInternal = row.isInternal ?? false;
  const expected = internHeader('x-envoy-expected-rq-timeout-ms');
  const upstream = internHeader('x-envoy-upstream-rq-timeout-ms');
  if (row.asked !== undefined) x.request.add(upstream, row.asked);
  if (row.left !== undefined) x.request.add(expected, row.left);
  takeTimes(x, row.rules ?? HEEDS);
  if (row.completeMs !== undefined) {
    x.requestEndMs = START_MS + row.completeMs;
    beginTimeout(x, x.requestEndMs);
  }
  tellTimeLeft(x, START_MS + row.sentMs, row.attemptMs ?? 0);
  expect(x.request.get(expected)).toBe(row.told);
  if (x.isInternal) expect(x.request.has(upstream)).toBe(false);
});

test('what is left ends at the deadline, and then no attempt begins', () => {
  const x = new Exchange();
  expect([timeLeft(x, 9e9), isOver(x, 9e9)]).toEqual([0, false]);
  x.timeoutMs = 100;
  beginTimeout(x, START_MS);
  expect([timeLeft(x, 1040), isOver(x, 1099.9), isOver(x, 1100), timeLeft(x, 1200)]).toEqual([60, false, true, 1]);
});

test('a gRPC request is told in its own field', () => {
  const x = new Exchange();
  x.startMs = START_MS;
  x.requestEndMs = START_MS;
  x.timeoutMs = 2000;
  x.heedsGrpcTimeout = true;
  takeTimes(x, MUTE);
  beginTimeout(x, START_MS);
  tellTimeLeft(x, START_MS + 250, 0);
  expect(x.request.get(internHeader('grpc-timeout'))).toBe('1750m');
});
