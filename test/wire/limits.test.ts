// Limits of a cluster over real sockets: who waits, who is refused, which connections are used again, and that nothing
// stays taken whatever happens to requests.
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { LocalLimits } from '../../src/base/shared-limits.ts';
import { LimitTally, type ClusterLimits, type PriorityLimits } from '../../src/plan/cluster.ts';
import { CONTINUE } from '../../src/plan/plan.ts';
import { step } from '../../src/plan/step.ts';
import { compileLimits } from '../../src/resilience/limits.ts';
import { CircuitBreakersSchema } from '../../src/xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import { RawClient } from '../support/raw-client.ts';
import { raw, RawUpstream, reply, type Answer } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlaneOptions } from './data-plane.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function limitsOf(breakers: JsonObject): ClusterLimits {
  return compileLimits(fromJson(CircuitBreakersSchema, breakers), {
    clusterName: 'app',
    endpoints: () => [],
    limits: new LocalLimits(),
    clock: systemClock,
    tally: new LimitTally(),
    problems: [],
    path: '',
    constraint: null,
    concurrency: null,
  });
}

async function aBench(thresholds: JsonObject, options: DataPlaneOptions = {}) {
  const upstream = await RawUpstream.start(['app']);
  cleanups.push(() => upstream.close());
  const limits = limitsOf({ thresholds: [thresholds] });
  const cluster = { ...options.cluster, limits };
  const plane = await startDataPlane(upstream.ports.get('app') ?? 0, { ...options, cluster });
  cleanups.push(() => plane.close());
  const client = async (): Promise<RawClient> => {
    const made = await RawClient.connect(plane.port);
    cleanups.push(() => made.close());
    return made;
  };
  const get = async (): Promise<number> => {
    const [response] = await (await client()).exchange({ pieces: [GET], methods: ['GET'] });
    return response?.status ?? 0;
  };
  return { upstream, plane, limits, client, get };
}

function used({ connections, pending, requests, retries }: PriorityLimits): readonly number[] {
  return [connections, pending, requests, retries].map((gate) => gate.used);
}

test('requests wait for the one connection that there may be, and are served in turn', async () => {
  const { upstream, limits, get } = await aBench({ max_connections: 1 });
  upstream.answer = { kind: 'late', afterMs: 20 };
  expect(await Promise.all(Array.from({ length: 5 }, get))).toEqual([200, 200, 200, 200, 200]);
  expect(upstream.accepted.get('app')).toBe(1);
  expect(used(limits.default)).toEqual([1, 0, 0, 0]);
});

test('of those who wait one too many is refused at once, and the others are served', async () => {
  const { upstream, limits, get } = await aBench({ max_connections: 1, max_pending_requests: 2 });
  upstream.answer = { kind: 'late', afterMs: 60 };
  const statuses = await Promise.all(Array.from({ length: 5 }, get));
  expect(statuses.toSorted((one, other) => one - other)).toEqual([200, 200, 200, 503, 503]);
  expect([limits.tally.pendingOverflow, ...used(limits.default)]).toEqual([2, 1, 0, 0, 0]);
});

test('a request past max_requests is refused though it has a connection, which serves the next', async () => {
  const { upstream, limits, client, get } = await aBench({ max_requests: 1 });
  upstream.answer = { kind: 'hang' };
  const first = await client();
  first.socket.write(GET);
  await until('request', () => upstream.seen.length === 1);
  expect([await get(), await get(), limits.tally.requestOverflow]).toEqual([503, 503, 2]);
  first.socket.resetAndDestroy();
  upstream.answer = { kind: 'default' };
  await until('room', () => limits.default.requests.used === 0);
  expect([await get(), upstream.accepted.get('app')]).toEqual([200, 2]);
});

const ENDS: readonly (readonly [title: string, answer: Answer, rest: DataPlaneOptions])[] = [
  ['answers', { kind: 'default' }, {}],
  ['connections that close after their answer', reply('200 OK', ['Connection: close']), {}],
  ['answers that break off', raw('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', true), {}],
  ['connections that reset', { kind: 'reset' }, {}],
  ['nonsense', raw('nonsense\r\n\r\n', true), {}],
  ['timeouts', { kind: 'hang' }, { timeoutMs: 30 }],
  ['one request per connection', { kind: 'default' }, { cluster: { maxRequestsPerConnection: 1 } }],
];

test.each(ENDS)('nothing stays taken after %s', async (_, answer, rest) => {
  const { upstream, plane, limits, client } = await aBench({ max_connections: 2, max_pending_requests: 3 }, rest);
  upstream.answer = answer;
  const clients = await Promise.all(Array.from({ length: 8 }, client));
  await Promise.all(clients.map((one) => one.exchange({ pieces: [GET], methods: ['GET'], timeoutMs: 2000 })));
  await until('idle', () => limits.default.requests.used === 0 && limits.default.pending.used === 0);
  await until('connections', () => limits.default.connections.used === plane.endpoint.connectionsActive);
  expect([limits.tally.pendingActive, plane.endpoint.active]).toEqual([0, 0]);
});

test('nothing stays taken by clients that leave while they wait, or when nothing listens', async () => {
  const { upstream, plane, limits, client } = await aBench({ max_connections: 1 });
  upstream.answer = { kind: 'hang' };
  const clients = await Promise.all(Array.from({ length: 3 }, client));
  for (const one of clients) one.socket.write(GET);
  await until('waiting', () => limits.default.pending.used === 2);
  for (const one of clients) one.socket.resetAndDestroy();
  await until('idle', () => used(limits.default).join() === '0,0,0,0');
  await upstream.close();
  const [refused] = await (await client()).exchange({ pieces: [GET], methods: ['GET'] });
  expect([refused?.status, ...used(limits.default), plane.endpoint.active]).toEqual([503, 0, 0, 0, 0, 0]);
});

test('a tunnel is a request under way until both sides have ended it', async () => {
  const { upstream, plane, limits, client } = await aBench({});
  upstream.answer = raw('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', true);
  const one = await client();
  const upgrade = GET.replace('\r\n\r\n', '\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [response] = await one.exchange({ pieces: [upgrade], methods: ['GET'] });
  expect([response?.status, ...used(limits.default)]).toEqual([101, 1, 0, 1, 0]);
  one.socket.end();
  await until('idle', () => used(limits.default).join() === '0,0,0,0');
  expect([plane.endpoint.connectionsActive, plane.endpoint.active]).toEqual([0, 0]);
});

test('requests of high priority have limits and connections of their own', async () => {
  const marks = step('high', 'test', (x) => ((x.isHighPriority = x.request.path === '/high'), CONTINUE), null);
  const { upstream, limits, client } = await aBench({ max_pending_requests: 0 }, { part: { onRequest: [marks] } });
  const statuses: number[] = [];
  for (const path of ['/high', '/low', '/high']) {
    const pieces = [GET.replace('/', path)];
    const [response] = await (await client()).exchange({ pieces, methods: ['GET'] });
    statuses.push(response?.status ?? 0);
  }
  expect([statuses, upstream.accepted.get('app')]).toEqual([[200, 503, 200], 1]);
  expect([used(limits.high), used(limits.default)]).toEqual([
    [1, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
});

const REUSES: readonly (readonly [
  title: string,
  headers: readonly string[],
  rest: object,
  idleMs: number,
  count: number,
])[] = [
  ['within the time that the server said', ['Keep-Alive: timeout=5, max=100'], {}, 3900, 1],
  ['a little before that time is over', ['Keep-Alive: timeout=5, max=100'], {}, 4100, 2],
  ['of a second, the first half', ['Keep-Alive: timeout=1'], {}, 400, 1],
  ['of a second, the second half', ['Keep-Alive: timeout=1'], {}, 600, 2],
  ['without a word of the server', [], {}, 60_000, 1],
  ['of a server that means something else', ['Keep-Alive: max=1'], {}, 60_000, 1],
  ['within max_connection_duration', [], { maxConnectionDurationMs: 1000 }, 900, 1],
  ['past max_connection_duration', [], { maxConnectionDurationMs: 1000 }, 1100, 2],
];

test.each(REUSES)('a connection is used again %s', async (...row) => {
  const [, headers, cluster, idleMs, count] = row;
  let nowMs = 5000;
  const clock = { now: () => nowMs, wall: () => nowMs };
  const { upstream, get } = await aBench({}, { cluster, clock });
  upstream.answer = reply('200 OK', headers);
  expect(await get()).toBe(200);
  nowMs += idleMs;
  expect([await get(), upstream.accepted.get('app')]).toEqual([200, count]);
});
