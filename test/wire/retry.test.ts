// Retries by policy: what is tried again, how often, and what the client gets in the end. A scripted upstream does to each
// request what its script says; the back-off is a millisecond.
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  Endpoint,
  LimitTally,
  OUTCOME,
  type Cluster,
  type ClusterLimits,
  type Gate,
  type Picker,
  type PriorityLimits,
} from '../../src/plan/cluster.ts';
import { EMPTY_RETRY_PLAN, RETRY_ON, type RetryPlan } from '../../src/plan/retry-plan.ts';
import { RetryTally } from '../../src/plan/retry-tally.ts';
import { CONTINUE } from '../../src/plan/plan.ts';
import { flagLetters } from '../../src/plan/response-flags.ts';
import { step } from '../../src/plan/step.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { headerOf } from '../support/message-reader.ts';
import { RawClient } from '../support/raw-client.ts';
import { startDataPlane, type DataPlane } from './data-plane.ts';

const open: (() => void)[] = [];

afterEach(() => {
  for (const close of open.splice(0).toReversed()) close();
});

/** What the upstream does with one request. */
type Act =
  | number // answers with this status
  | { readonly status: number; readonly headers: string }
  | 'reset' // resets before an answer
  | 'half-head' // resets inside of the head
  | 'half-body' // resets inside of the body
  | 'half-quiet' // says no more inside of the body
  | 'stall'; // never answers

interface Stage {
  readonly plane: DataPlane;
  readonly client: RawClient;
  /** Requests as they arrived, whole. */
  readonly seen: string[];
  readonly tally: RetryTally;
  /** Connections that the upstream has accepted so far. */
  readonly accepted: () => number;
}

function act(socket: Socket, what: Act): void {
  if (what === 'reset') socket.resetAndDestroy();
  else if (what === 'stall') return;
  else if (what === 'half-head') socket.write('HTTP/1.1 200 O', () => socket.resetAndDestroy());
  else if (what === 'half-quiet') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
  else if (what === 'half-body') {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', () => socket.resetAndDestroy());
  } else {
    const { status, headers } = typeof what === 'number' ? { status: what, headers: '' } : what;
    const body = `answer ${status}`;
    socket.write(`HTTP/1.1 ${status} X\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`);
  }
}

/** The last act goes on for ever. */
async function aStage(
  script: readonly Act[],
  plan: Partial<RetryPlan>,
  cluster: Partial<Cluster> = {},
): Promise<Stage> {
  const seen: string[] = [];
  let connections = 0;
  const server: Server = createServer((socket: Socket) => {
    connections++;
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? '0');
      if (end === -1 || text.length < end + 4 + length) return;
      seen.push(text);
      text = '';
      act(socket, script[Math.min(seen.length, script.length) - 1] ?? 200);
    });
  });
  const port = await listen(server);
  open.push(() => server.close());
  const tally = new RetryTally();
  const retry: RetryPlan = {
    ...EMPTY_RETRY_PLAN,
    backOff: { baseMs: 1, maxMs: 10, isMinimum: false },
    ...plan,
  };
  const part = { onRequest: [step('retry', 'test', (x) => ((x.retry = retry), CONTINUE), null)] };
  const plane = await startDataPlane(port, { part, cluster: { retryTally: tally, ...cluster } });
  open.push(() => plane.close());
  const client = await RawClient.connect(plane.port);
  open.push(() => client.close());
  return { plane, client, seen, tally, accepted: () => connections };
}

const PLACE = {
  address: '127.0.0.1',
  hostname: '',
  locality: { region: '', zone: '', subZone: '' },
  priority: 0,
  metadata: new Map<string, string>(),
  weight: 1,
};
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const { FIVE_XX, GATEWAY_ERROR, RESET, CONNECT_FAILURE, STATUS_CODES, RETRIABLE_4XX, RESET_BEFORE_REQUEST } = RETRY_ON;

describe('what is tried again', () => {
  test.each<[string, Partial<RetryPlan>, readonly Act[], { status: number; attempts: number; flags: string }]>([
    ['nothing without conditions', {}, [503, 200], { status: 503, attempts: 1, flags: '-' }],
    ['a 503 under 5xx', { conditions: FIVE_XX }, [503, 200], { status: 200, attempts: 2, flags: '-' }],
    ['not a 404 under 5xx', { conditions: FIVE_XX }, [404, 200], { status: 404, attempts: 1, flags: '-' }],
    ['a 504 under gateway-error', { conditions: GATEWAY_ERROR }, [504, 200], { status: 200, attempts: 2, flags: '-' }],
    ['not a 500 under gateway-error', { conditions: GATEWAY_ERROR }, [500], { status: 500, attempts: 1, flags: '-' }],
    ['a 409 under retriable-4xx', { conditions: RETRIABLE_4XX }, [409, 200], { status: 200, attempts: 2, flags: '-' }],
    [
      'a listed status',
      { conditions: STATUS_CODES, statuses: [418] },
      [418, 200],
      { status: 200, attempts: 2, flags: '-' },
    ],
    ['a reset under reset', { conditions: RESET }, ['reset', 200], { status: 200, attempts: 2, flags: '-' }],
    ['a cut head under reset', { conditions: RESET }, ['half-head', 200], { status: 200, attempts: 2, flags: '-' }],
    [
      'not a reset under reset-before-request, once it was written',
      { conditions: RESET_BEFORE_REQUEST },
      ['reset', 200],
      { status: 503, attempts: 1, flags: 'UC' },
    ],
    [
      'not a reset under connect-failure',
      { conditions: CONNECT_FAILURE },
      ['reset', 200],
      { status: 503, attempts: 1, flags: 'UC' },
    ],
    [
      'as often as it says, then the last answer',
      { conditions: FIVE_XX, retriesMax: 3 },
      [503, 502, 501, 500, 200],
      { status: 500, attempts: 4, flags: 'URX' },
    ],
    [
      'until the last failure',
      { conditions: FIVE_XX, retriesMax: 2 },
      ['reset'],
      { status: 503, attempts: 3, flags: 'URX,UC' },
    ],
    ['never with none left', { conditions: FIVE_XX, retriesMax: 0 }, [503], { status: 503, attempts: 1, flags: 'URX' }],
    [
      'an attempt that is too slow',
      { conditions: FIVE_XX, perTryTimeoutMs: 30 },
      ['stall', 200],
      { status: 200, attempts: 2, flags: '-' },
    ],
    [
      'an attempt that is too quiet',
      { conditions: FIVE_XX, perTryIdleTimeoutMs: 30 },
      ['stall', 200],
      { status: 200, attempts: 2, flags: '-' },
    ],
    [
      'nothing when only the time is over',
      { perTryTimeoutMs: 30 },
      ['stall'],
      { status: 504, attempts: 1, flags: 'UT' },
    ],
    [
      'beside a slow one when hedged',
      { conditions: FIVE_XX, perTryTimeoutMs: 30, isHedged: true },
      ['stall', 200],
      { status: 200, attempts: 2, flags: '-' },
    ],
    [
      'not what is limited',
      { conditions: FIVE_XX },
      [{ status: 503, headers: 'x-envoy-ratelimited: true\r\n' }],
      { status: 503, attempts: 1, flags: '-' },
    ],
    [
      'what is overloaded, as Envoy does',
      { conditions: FIVE_XX },
      [{ status: 503, headers: 'x-envoy-overloaded: true\r\n' }, 200],
      { status: 200, attempts: 2, flags: '-' },
    ],
  ])('%s', async (_name, plan, script, expected) => {
    const { plane, client, seen } = await aStage(script, plan);
    const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect({ status: response?.status, attempts: seen.length, flags: flagLetters(plane.ended[0] ?? -1) }).toEqual(
      expected,
    );
    expect(plane.endpoint.active).toBe(0);
  });
});

test('the body goes with every attempt, also one larger than a block', async () => {
  const { client, seen } = await aStage([503, 503, 200], { conditions: FIVE_XX, retriesMax: 2 });
  const body = 'b'.repeat(300_000);
  const request = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const [response] = await client.exchange({ pieces: [request], methods: ['POST'] });
  expect(response?.status).toBe(200);
  expect(seen.map((text) => text.endsWith(`\r\n\r\n${body}`))).toEqual([true, true, true]);
});

test('a body that is more than is kept is sent once', async () => {
  const { client, seen, tally } = await aStage([503, 200], { conditions: FIVE_XX, bodyBytesMax: 99 });
  const request = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n${'b'.repeat(100)}`;
  const [response] = await client.exchange({ pieces: [request], methods: ['POST'] });
  expect(response?.status).toBe(503);
  expect(seen.length).toBe(1);
  expect(tally.abandoned).toBe(1);
});

test('a connection whose answer was passed by carries the next attempt', async () => {
  const { client, plane, seen } = await aStage([503, 200], { conditions: FIVE_XX });
  await client.exchange({ pieces: [GET], methods: ['GET'] });
  expect(seen.length).toBe(2);
  expect(plane.endpoint.connectionsTotal).toBe(1);
});

const shut: Gate = { acquire: () => false, take: () => {}, release: () => {}, used: 0, max: 0 };
const wide: Gate = { ...shut, acquire: () => true };
const limitsOf = (refusesOverBudget: boolean): ClusterLimits => {
  const limits: PriorityLimits = {
    connections: wide,
    pending: wide,
    requests: wide,
    retries: shut,
    pools: wide,
    refusesOverBudget,
    tracksRemaining: false,
    endpointGate: null,
  };
  return { default: limits, high: limits, tally: new LimitTally() };
};

describe('the gate of retries', () => {
  test.each([
    ['lets the answer stand', false, { status: 500, body: 'answer 500', overloaded: undefined, flags: 'UO' }],
    ['answers 503 where the budget says so', true, { status: 503, overloaded: 'true', flags: 'UO' }],
  ])('%s', async (_name, refuses, expected) => {
    const { client, seen, plane } = await aStage([500], { conditions: FIVE_XX }, { limits: limitsOf(refuses) });
    const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect(seen.length).toBe(1);
    expect({
      status: response?.status,
      body: response?.body.toString(),
      overloaded: headerOf(response?.headers ?? [], 'x-envoy-overloaded') ?? undefined,
      flags: flagLetters(plane.ended[0] ?? -1),
    }).toMatchObject(expected);
  });
});

describe('what an endpoint is told', () => {
  test.each<[string, Partial<RetryPlan>, readonly Act[], readonly number[]]>([
    ['each answer', { conditions: FIVE_XX }, [503, 200], [503, 200]],
    ['a reset', { conditions: RESET }, ['reset', 200], [OUTCOME.RESET, 200]],
    [
      'an attempt that was too slow',
      { conditions: FIVE_XX, perTryTimeoutMs: 30 },
      ['stall', 200],
      [OUTCOME.TIMEOUT, 200],
    ],
    [
      'the slow one when a hedge wins',
      { conditions: FIVE_XX, perTryTimeoutMs: 30, isHedged: true },
      ['stall', 200],
      [OUTCOME.TIMEOUT, 200],
    ],
  ])('%s', async (_name, plan, script, expected) => {
    const { client, plane } = await aStage(script, plan);
    const told: number[] = [];
    plane.endpoint.watches = [{ onOutcome: (_endpoint, outcome) => void told.push(outcome) }];
    await client.exchange({ pieces: [GET], methods: ['GET'] });
    expect(told).toEqual(expected);
  });
});

test('the loser of a hedge is dropped, and the winner has its own head', async () => {
  const { client, plane } = await aStage(['stall', { status: 201, headers: 'x-from: hedge\r\n' }], {
    conditions: FIVE_XX,
    perTryTimeoutMs: 30,
    isHedged: true,
  });
  const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
  expect([response?.status, headerOf(response?.headers ?? [], 'x-from')]).toEqual([201, 'hedge']);
  expect(plane.endpoint.active).toBe(0);
  const [next] = await client.exchange({ pieces: [GET], methods: ['GET'] });
  expect(next?.status).toBe(201);
});

describe('an endpoint that refuses', () => {
  test.each<[string, Partial<RetryPlan>, string]>([
    ['under reset-before-request', { conditions: RESET_BEFORE_REQUEST }, 'GET'],
    ['under reset-before-request, a POST', { conditions: RESET_BEFORE_REQUEST }, 'POST'],
    ['under connect-failure', { conditions: CONNECT_FAILURE }, 'POST'],
    ['without any condition', {}, 'POST'],
  ])('costs no request, nor a place at the gate: %s', async (_name, plan, method) => {
    const [closed = 0] = await freePorts(1);
    const bad = new Endpoint({ ...PLACE, port: closed });
    let good: Endpoint | null = null;
    let picks = 0;
    const picker: Picker = { pick: () => (picks++ === 0 ? bad : good) };
    const cluster = { picker, endpoints: [bad, bad], limits: limitsOf(false) };
    const { client, plane, seen } = await aStage([200], plan, cluster);
    good = plane.endpoint;
    const [response] = await client.exchange({
      pieces: [`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`],
      methods: [method],
    });
    expect(response?.status).toBe(200);
    expect(seen.length).toBe(1);
  });

  test.each<[string, Partial<RetryPlan>]>([
    ['under connect-failure', { conditions: CONNECT_FAILURE }],
    ['without any condition', {}],
  ])('costs no connection: the other endpoint has one to go on with, %s', async (_name, plan) => {
    const [closed = 0] = await freePorts(1);
    const bad = new Endpoint({ ...PLACE, port: closed });
    let good: Endpoint | null = null;
    let picks = 0;
    // Every request meets the bad one first.
    const picker: Picker = { pick: () => (picks++ % 2 === 0 ? bad : good) };
    const { client, plane, seen, accepted } = await aStage([200], plan, { picker, endpoints: [bad, bad] });
    good = plane.endpoint;
    for (let i = 0; i < 3; i++) {
      const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
      expect(response?.status).toBe(200);
    }
    expect({ requests: seen.length, connections: accepted() }).toEqual({ requests: 3, connections: 1 });
  });
});

test.each<[string, Act, Partial<RetryPlan>, [string, string]]>([
  ['a reset', 'half-body', {}, ['UC', 'upstream_reset_after_response_started{connection_termination}']],
  ['a quiet attempt', 'half-quiet', { perTryIdleTimeoutMs: 30 }, ['UT', 'upstream_per_try_idle_timeout']],
])('a response that breaks off behind its head says so in its details: %s', async (_name, what, plan, said) => {
  const { client, plane } = await aStage([what], plan);
  await client.exchange({ pieces: [GET], methods: ['GET'] });
  expect([flagLetters(plane.ended[0] ?? 0), plane.endedDetails[0]]).toEqual(said);
});
