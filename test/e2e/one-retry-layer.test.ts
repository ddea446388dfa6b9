// A chain of three services, each call of which may be tried twice more. Whatever the applications pass on, one layer
// retries and the deadline of the first call holds for the last; faults are met by single attempts.
import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChainMesh } from './chain-mesh.ts';

const rule = (host: string, rest: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  http:
    - ${rest}
      route: [{ destination: { host: ${host} } }]
`;
const percent = (value: number): string => `percentage: { value: ${value} }`;
const RETRIES = "retries: { attempts: 2, retryOn: '5xx', backoff: 1ms }";

describe('retries', () => {
  let mesh: ChainMesh;
  beforeAll(async () => {
    const rules = [rule('middle', RETRIES), rule('last', RETRIES)].join('---\n');
    mesh = await ChainMesh.start(['front', 'middle', 'last'], rules);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  test.each([
    { name: 'x-request-id', passesOn: ['x-request-id'] },
    { name: 'the promise', passesOn: ['x-outrigger-attempt'] },
    { name: 'nothing', passesOn: [] },
  ])('one layer of them asks a failing service again when applications pass on $name', async ({ passesOn }) => {
    mesh.behaviour = { passesOn, status: 503 };
    const { status, seen } = await mesh.ask();
    expect([status, ...seen.map(({ length }) => length)]).toEqual([503, 1, 3, 3]);
    expect(seen.map((requests) => requests.map((headers) => headers['x-outrigger-attempt']))).toEqual([
      [undefined],
      ['1/3', '2/3', '3/3'],
      ['1/3', '2/3', '3/3'],
    ]);
  });

  test('nobody asks a service again that answers', async () => {
    mesh.behaviour = { passesOn: [], status: 200 };
    const { status, seen } = await mesh.ask();
    expect([status, ...seen.map(({ length }) => length)]).toEqual([200, 1, 1, 1]);
  });
});

describe('time', () => {
  let mesh: ChainMesh;
  beforeAll(async () => {
    const rules = [rule('middle', 'timeout: 1s'), rule('last', 'timeout: 10s')].join('---\n');
    mesh = await ChainMesh.start(['front', 'middle', 'last'], rules);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  test.each([
    { name: 'x-request-id', passesOn: ['x-request-id'], leftMs: 700 },
    // What the field said when the application got it.
    { name: 'the time left', passesOn: ['x-envoy-expected-rq-timeout-ms'], leftMs: 1000 },
    { name: 'nothing', passesOn: [], leftMs: 10_000 },
  ])('the last service is told what is left of it when applications pass on $name', async ({ passesOn, leftMs }) => {
    mesh.behaviour = { passesOn, status: 200, worksMs: 300 };
    const { seen } = await mesh.ask();
    const told = seen.map((requests) => Number(requests[0]?.['x-envoy-expected-rq-timeout-ms']));
    expect(told[1]).toBeGreaterThan(900);
    expect(told[1]).toBeLessThanOrEqual(1000);
    expect(told[2]).toBeGreaterThan(leftMs - 200);
    expect(told[2]).toBeLessThanOrEqual(leftMs);
  });

  test('a service that does not answer is waited for no longer than the first call may take', async () => {
    mesh.behaviour = { passesOn: ['x-request-id'], status: null };
    const startMs = performance.now();
    const { status, seen } = await mesh.ask();
    expect([status, ...seen.map(({ length }) => length)]).toEqual([504, 1, 1, 1]);
    expect(performance.now() - startMs).toBeLessThan(2000);
  });
});

describe('applications', () => {
  let mesh: ChainMesh;
  beforeAll(async () => {
    mesh = await ChainMesh.start(['front', 'last'], rule('last', 'timeout: 20s'));
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  test('are trusted by their own sidecar to ask for another timeout', async () => {
    mesh.behaviour = { passesOn: [], adds: { 'x-envoy-upstream-rq-timeout-ms': '200' }, status: null };
    const { status, seen } = await mesh.ask();
    expect([status, seen[1]?.[0]?.['x-envoy-upstream-rq-timeout-ms']]).toEqual([504, undefined]);
    const told = Number(seen[1]?.[0]?.['x-envoy-expected-rq-timeout-ms']);
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(200);
  });

  test('are trusted by their own sidecar to ask for retries', async () => {
    const adds = { 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': '3' };
    mesh.behaviour = { passesOn: [], adds, status: 500 };
    const { status, seen } = await mesh.ask();
    expect([status, seen[1]?.length]).toEqual([500, 4]);
    expect(seen[1]?.map((headers) => headers['x-envoy-internal'])).toEqual(seen[1]?.map(() => undefined));
  });
});

describe('faults', () => {
  let mesh: ChainMesh;
  beforeAll(async () => {
    mesh = await ChainMesh.start(['front', 'last']);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const counts = async (): Promise<{ readonly aborts: number; readonly delays: number }> => ({
    aborts: await mesh.statOf('fault.aborts_injected'),
    delays: await mesh.statOf('fault.delays_injected'),
  });

  test.each([
    {
      name: 'an abort is retried like any answer, and the service is not asked',
      fault: `abort: { httpStatus: 503, ${percent(100)} }`,
      rest: "retries: { attempts: 2, retryOn: '5xx', backoff: 1ms }",
      expected: { status: 503, asked: 0, aborts: 3, delays: 0 },
    },
    {
      name: 'a retry may meet none',
      fault: `abort: { httpStatus: 503, ${percent(50)} }`,
      rest: "retries: { attempts: 30, retryOn: '5xx', backoff: 1ms }",
      expected: { status: 200, asked: 1 },
    },
    {
      name: 'the time of an attempt counts a delay',
      fault: `delay: { fixedDelay: 20s, ${percent(100)} }`,
      rest: "retries: { attempts: 1, retryOn: '5xx', perTryTimeout: 100ms, backoff: 1ms }",
      expected: { status: 504, asked: 0, aborts: 0, delays: 2 },
    },
    {
      name: 'the timeout of the route counts a delay',
      fault: `delay: { fixedDelay: 20s, ${percent(100)} }`,
      rest: 'timeout: 200ms',
      expected: { status: 504, asked: 0, aborts: 0, delays: 1 },
    },
    {
      name: 'a delay ends before an abort',
      fault: `delay: { fixedDelay: 50ms, ${percent(100)} }, abort: { httpStatus: 418, ${percent(100)} }`,
      rest: 'timeout: 10s',
      expected: { status: 418, asked: 0, aborts: 1, delays: 1 },
    },
    {
      name: 'a delay that is over leaves the rest to the service',
      fault: `delay: { fixedDelay: 50ms, ${percent(100)} }`,
      rest: 'timeout: 10s',
      expected: { status: 200, asked: 1, aborts: 0, delays: 1 },
    },
  ])('$name', async ({ name, fault, rest, expected }) => {
    await mesh.write(rule('last', `name: ${name}\n      fault: { ${fault} }\n      ${rest}`), `plan ${name}`);
    const before = await counts();
    const { status, seen } = await mesh.ask();
    const after = await counts();
    const injected = { aborts: after.aborts - before.aborts, delays: after.delays - before.delays };
    expect({ status, asked: seen[1]?.length, ...injected }).toMatchObject(expected);
    expect(await mesh.statOf('fault.active_faults')).toBe(0);
  });
});
