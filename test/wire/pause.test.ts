// What waits: a step that pauses the exchange, and a fault that holds a single attempt. Nothing is lost meanwhile, and
// nothing goes on for a client that has left.
import { afterEach, describe, expect, test } from 'vitest';
import type { AttemptFault } from '../../src/plan/attempt-fault.ts';
import { PAUSE, CONTINUE, type PlanPart } from '../../src/plan/plan.ts';
import { FLAGS } from '../../src/plan/response-flags.ts';
import { EMPTY_RETRY_PLAN, RETRY_ON } from '../../src/plan/retry-plan.ts';
import { step } from '../../src/plan/step.ts';
import { RawClient } from '../support/raw-client.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlane, type DataPlaneOptions } from './data-plane.ts';

const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function aBench(
  options: DataPlaneOptions,
): Promise<{ readonly plane: DataPlane; readonly upstream: RawUpstream; readonly client: RawClient }> {
  const upstream = await RawUpstream.start(['app']);
  open.push(() => upstream.close());
  const plane = await startDataPlane(upstream.ports.get('app') ?? 0, options);
  open.push(() => plane.close());
  const client = await RawClient.connect(plane.port);
  open.push(() => client.close());
  return { plane, upstream, client };
}

/** Pauses each request. */
const paused = (pauseMs: number): PlanPart => ({
  onRequest: [step('wait', '', (x, arg: { pauseMs: number }) => ((x.pauseMs = arg.pauseMs), PAUSE), { pauseMs })],
});

interface Script {
  readonly delays?: readonly number[];
  readonly aborts?: readonly number[];
  readonly perTryTimeoutMs?: number;
}

/** Each attempt meets the next delay and the next abort; up to two retries on 5xx. */
function faulty({ delays = [], aborts = [], perTryTimeoutMs = 0 }: Script): PlanPart {
  const left = { delays: [...delays], aborts: [...aborts] };
  const fault: AttemptFault = {
    delayOf: () => left.delays.shift() ?? 0,
    abortOf: () => left.aborts.shift() ?? 0,
  };
  const retry = {
    ...EMPTY_RETRY_PLAN,
    conditions: RETRY_ON.FIVE_XX,
    retriesMax: 2,
    perTryTimeoutMs,
    backOff: { baseMs: 1, maxMs: 1, isMinimum: false },
  };
  return {
    onRequest: [step('faulty', '', (x) => ((x.attemptFault = fault), (x.retry = retry), CONTINUE), null)],
  };
}

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';

describe('a step that pauses', () => {
  test.each([
    { name: 'a request', pieces: [GET], methods: ['GET'], bodies: [''] },
    { name: 'a body that comes with it', pieces: [`${POST}hello`], methods: ['POST'], bodies: ['hello'] },
    { name: 'a body that comes meanwhile', pieces: [POST, 'hel', 'lo'], methods: ['POST'], bodies: ['hello'] },
    { name: 'the request behind it', pieces: [`${POST}hello${GET}`], methods: ['POST', 'GET'], bodies: ['hello', ''] },
  ])('passes $name on afterwards', async ({ pieces, methods, bodies }) => {
    const { upstream, client } = await aBench({ part: paused(50) });
    const startMs = performance.now();
    const responses = await client.exchange({ pieces, methods });
    expect(responses.map(({ status }) => status)).toEqual(bodies.map(() => 200));
    expect(upstream.seen.map(({ body }) => body.toString())).toEqual(bodies);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(50 * bodies.length);
  });

  test('sends nothing for a client that has left', async () => {
    const { plane, upstream, client } = await aBench({ part: paused(100) });
    client.socket.write(GET);
    await until('the request is there', () => plane.manager.tally.requestsActive === 1);
    client.socket.resetAndDestroy();
    await until('the request has ended', () => plane.ended.length === 1);
    expect(plane.ended).toEqual([FLAGS.DC]);
    const other = await RawClient.connect(plane.port);
    open.push(() => other.close());
    // The first one's pause would be over before this answer.
    await other.exchange({ pieces: [GET], methods: ['GET'] });
    expect(upstream.seen.length).toBe(1);
  });

  test('ends when the stream has lasted too long', async () => {
    const { plane, upstream, client } = await aBench({ part: paused(10_000), manager: { maxStreamDurationMs: 50 } });
    const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect([response?.status, upstream.seen.length, plane.manager.tally.durationTimeouts]).toEqual([504, 0, 1]);
  });
});

describe('a fault of an attempt', () => {
  test.each([
    { name: 'holds it', script: { delays: [40] }, status: 200, asked: 1, slowMs: 40 },
    { name: 'answers it, and the next is sent', script: { aborts: [503] }, status: 200, asked: 1, slowMs: 0 },
    { name: 'answers what is not retried', script: { aborts: [404] }, status: 404, asked: 0, slowMs: 0 },
    { name: 'answers all there are', script: { aborts: [500, 502, 503] }, status: 503, asked: 0, slowMs: 0 },
    { name: 'answers after holding it', script: { delays: [40], aborts: [418] }, status: 418, asked: 0, slowMs: 40 },
    {
      name: 'counts for the time of the attempt',
      script: { delays: [10_000, 10_000], perTryTimeoutMs: 30 },
      status: 200,
      asked: 1,
      slowMs: 60,
    },
  ])('$name', async ({ script, status, asked, slowMs }) => {
    const { upstream, plane, client } = await aBench({ part: faulty(script) });
    const startMs = performance.now();
    const [response] = await client.exchange({ pieces: [`${POST}hello`], methods: ['POST'] });
    expect([response?.status, upstream.seen.length]).toEqual([status, asked]);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(slowMs);
    expect([plane.endpoint.active, plane.endpoint.failuresTotal]).toEqual([
      0,
      script.perTryTimeoutMs === undefined ? 0 : 2,
    ]);
  });

  test('counts for the timeout of the route', async () => {
    const { upstream, client } = await aBench({ part: faulty({ delays: [10_000, 10_000] }), timeoutMs: 50 });
    const responses = [
      ...(await client.exchange({ pieces: [GET], methods: ['GET'] })),
      ...(await client.exchange({ pieces: [`${POST}hello`], methods: ['POST'] })),
    ];
    expect([...responses.map(({ status }) => status), upstream.seen.length]).toEqual([504, 504, 0]);
  });

  test('sends nothing for a client that has left', async () => {
    const { plane, upstream, client } = await aBench({ part: faulty({ delays: [100, 120] }) });
    client.socket.write(GET);
    await until('the attempt is held', () => plane.endpoint.active === 1);
    client.socket.resetAndDestroy();
    await until('the request has ended', () => plane.ended.length === 1);
    const other = await RawClient.connect(plane.port);
    open.push(() => other.close());
    await other.exchange({ pieces: [GET], methods: ['GET'] });
    expect([upstream.seen.length, plane.endpoint.active]).toEqual([1, 0]);
  });
});
