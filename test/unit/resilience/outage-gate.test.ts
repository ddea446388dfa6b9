// Retries in an outage: what one that gets nothing but failures may still do.
import { expect, it } from 'vitest';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { CountGate } from '../../../src/resilience/count-gate.ts';
import { OutageGate } from '../../../src/resilience/outage-gate.ts';
import { endpointsWithWeights } from './cluster-builders.ts';

function aGate(max = Infinity) {
  const endpoints = endpointsWithWeights([1, 1]);
  const gate = new OutageGate(new CountGate(new LocalLimits(), 'retries', max), () => endpoints);
  const [endpoint] = endpoints;
  const attempt = (isFailure: boolean): void => {
    if (endpoint === undefined) return;
    endpoint.requestsTotal++;
    if (isFailure) endpoint.failuresTotal++;
  };
  /** Requests that fail, each tried up to three times more; how many retries there were. */
  const storm = (requests: number): number => {
    let retries = 0;
    for (let request = 0; request < requests; request++) {
      attempt(true);
      for (let more = 0; more < 3 && gate.acquire(); more++) {
        attempt(true);
        gate.release();
        retries++;
      }
    }
    return retries;
  };
  return { gate, attempt, storm };
}

it('allows a fifth of the requests while nothing goes well', () => {
  const { storm } = aGate();
  const retries = storm(2000);
  expect(retries / 2000).toBeLessThanOrEqual(0.2);
  expect(retries / 2000).toBeGreaterThan(0.19);
});

it('allows the first twenty in any case', () => {
  expect(aGate().storm(5)).toBe(15);
  expect(aGate().storm(20)).toBe(20);
});

it('begins anew when something has gone well', () => {
  const { storm, attempt } = aGate();
  storm(2000);
  attempt(false);
  expect(storm(5)).toBe(15);
});

it('never stops those whose requests go well now and then', () => {
  const { storm, attempt } = aGate();
  for (let round = 0; round < 100; round++) {
    expect(storm(5)).toBe(15);
    attempt(false);
  }
});

it('asks the gate behind it, and takes nothing when that one refuses', () => {
  const { gate } = aGate(1);
  expect([gate.acquire(), gate.acquire(), gate.used]).toEqual([true, false, 1]);
  gate.release();
  expect([gate.acquire(), gate.used, gate.max]).toEqual([true, 1, 1]);
});
