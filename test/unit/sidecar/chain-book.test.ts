// What the app sends belongs to what it is working for: by x-request-id, or by what holds for all of it.
import { expect, test } from 'vitest';
import { clusterId } from '../../../src/base/brand.ts';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { H, internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { EMPTY_RETRY_PLAN, RETRY_ON, type RetryPlan } from '../../../src/plan/retry-plan.ts';
import { markAttempt } from '../../../src/resilience/chain-mark.ts';
import { ChainBook } from '../../../src/sidecar/chain-book.ts';

const ATTEMPT = internHeader('x-outrigger-attempt');

interface Request {
  /** x-request-id. */
  readonly id?: string;
  /** x-outrigger-attempt. */
  readonly mark?: string;
  readonly deadlineMs?: number;
}

function aRequest({ id, mark, deadlineMs = 0 }: Request): Exchange {
  const x = new Exchange();
  if (id !== undefined) x.request.add(H.requestId, id);
  if (mark !== undefined) x.request.add(ATTEMPT, mark);
  x.deadlineMs = deadlineMs;
  return x;
}

interface Row {
  readonly name: string;
  /** What the app is working for. */
  readonly works: readonly Request[];
  readonly sent: Request;
  /** Retried above, the mark that goes on, and the deadline. */
  readonly becomes: readonly [boolean, string | null, number];
}

const ROWS: readonly Row[] = [
  { name: 'works for nothing', works: [], sent: { id: 'a' }, becomes: [false, null, 0] },
  {
    name: 'the id finds the promise',
    works: [{ id: 'a', mark: '1/3' }, { id: 'b' }],
    sent: { id: 'a' },
    becomes: [true, '1/3', 0],
  },
  {
    name: 'the id finds that there is none',
    works: [
      { id: 'a', mark: '1/3' },
      { id: 'b', deadlineMs: 5 },
    ],
    sent: { id: 'b' },
    becomes: [false, null, 5],
  },
  {
    name: 'the id finds the deadline',
    works: [{ id: 'a', deadlineMs: 70 }],
    sent: { id: 'a' },
    becomes: [false, null, 70],
  },
  {
    name: 'the sooner deadline counts',
    works: [{ id: 'a', deadlineMs: 70 }],
    sent: { id: 'a', deadlineMs: 60 },
    becomes: [false, null, 60],
  },
  {
    name: 'another id, and all work is promised',
    works: [
      { id: 'a', mark: '2/3' },
      { id: 'b', mark: '1/3' },
    ],
    sent: { id: 'c' },
    becomes: [true, '1/3', 0],
  },
  {
    name: 'another id, and not all of it is',
    works: [{ id: 'a', mark: '2/3' }, { id: 'b' }],
    sent: { id: 'c' },
    becomes: [false, null, 0],
  },
  {
    name: 'a deadline is not guessed',
    works: [{ id: 'a', mark: '2/3', deadlineMs: 9 }],
    sent: {},
    becomes: [true, '2/3', 0],
  },
  { name: 'the app passes the promise on', works: [{ id: 'a' }], sent: { mark: '2/3' }, becomes: [true, '2/3', 0] },
  {
    name: 'a retry that promises nothing is no promise',
    works: [{ id: 'a', mark: '2' }],
    sent: { id: 'a', mark: '2' },
    becomes: [false, null, 0],
  },
  { name: 'nonsense is no promise', works: [{ id: 'a', mark: '/' }], sent: { mark: '3/' }, becomes: [false, null, 0] },
];

test.each(ROWS)('$name', ({ works, sent, becomes }) => {
  const book = new ChainBook(new LocalLimits());
  for (const work of works) book.enter(aRequest(work));
  const x = aRequest(sent);
  book.attribute(x);
  expect([x.isRetriedAbove, x.request.get(ATTEMPT), x.deadlineMs]).toEqual(becomes);
});

test.each<Request>([{ id: 'a' }, { id: 'a', mark: '1/3' }])('nobody outside of the mesh is told of it: %j', (sent) => {
  const book = new ChainBook(new LocalLimits());
  book.enter(aRequest({ id: 'a', mark: '1/3' }));
  const x = aRequest(sent);
  x.cluster = new ClusterRef(clusterId('PassthroughCluster'));
  book.attribute(x);
  markAttempt(x);
  expect([x.isRetriedAbove, x.request.get(ATTEMPT)]).toEqual([true, null]);
});

test('what has ended holds for nothing any more', () => {
  const book = new ChainBook(new LocalLimits());
  const work = aRequest({ id: 'a', mark: '1/3', deadlineMs: 9 });
  book.enter(work);
  book.leave(work);
  book.leave(work);
  for (const id of ['a', 'b']) {
    const x = aRequest({ id });
    book.attribute(x);
    expect([x.isRetriedAbove, x.deadlineMs]).toEqual([false, 0]);
  }
});

test('an attempt that ends late takes nothing from the next one of the same request', () => {
  const book = new ChainBook(new LocalLimits());
  const [first, second] = [aRequest({ id: 'a', mark: '1/3' }), aRequest({ id: 'a', mark: '2/3', deadlineMs: 9 })];
  book.enter(first);
  book.enter(second);
  book.leave(first);
  const x = aRequest({ id: 'a' });
  book.attribute(x);
  expect([x.isRetriedAbove, x.request.get(ATTEMPT), x.deadlineMs]).toEqual([true, '2/3', 9]);
});

const plan = (conditions: number, statuses: readonly number[] = []): RetryPlan => ({
  ...EMPTY_RETRY_PLAN,
  conditions,
  statuses,
  retriesMax: 2,
});
const PROMISED = ['1/3', '2/3', '3/3'];
const COUNTED = [null, '2', '3'];

test.each([
  { name: '5xx', retry: plan(RETRY_ON.FIVE_XX), marks: PROMISED },
  { name: 'gateway errors', retry: plan(RETRY_ON.GATEWAY_ERROR | RETRY_ON.CONNECT_FAILURE), marks: PROMISED },
  { name: '503 by its number', retry: plan(RETRY_ON.STATUS_CODES, [500, 503]), marks: PROMISED },
  { name: 'other numbers', retry: plan(RETRY_ON.STATUS_CODES, [500]), marks: COUNTED },
  { name: 'connections that failed', retry: plan(RETRY_ON.CONNECT_FAILURE), marks: COUNTED },
  { name: 'nothing', retry: null, marks: COUNTED },
  { name: '5xx, no more than no times', retry: { ...plan(RETRY_ON.FIVE_XX), retriesMax: 0 }, marks: COUNTED },
])('who retries $name marks attempts $marks', ({ retry, marks }) => {
  const book = new ChainBook(new LocalLimits());
  const x = aRequest({});
  book.attribute(x);
  x.retry = retry;
  const seen = marks.map((_mark, index) => {
    x.attempts = index + 1;
    markAttempt(x);
    return x.request.get(ATTEMPT);
  });
  expect(seen).toEqual(marks);
});

test('outside of a mesh no attempt is marked', () => {
  const x = aRequest({});
  x.retry = plan(RETRY_ON.FIVE_XX);
  x.attempts = 2;
  markAttempt(x);
  expect(x.request.get(ATTEMPT)).toBe(null);
});
