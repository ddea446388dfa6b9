// What is asked for, remembered and given up of virtual hosts that are fetched on demand.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HostDemand } from '../../../src/sidecar/host-demand.ts';

let asked: (readonly string[])[];
let told: unknown[];

beforeEach(() => {
  asked = [];
  told = [];
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

const demandOf = (options: { timeoutMs?: number; missingMax?: number } = {}): HostDemand =>
  new HostDemand({ onChange: (names) => asked.push([...names]), ...options });
const done = (isThere: boolean | null): void => void told.push(isThere);

test('many who wait for one host ask once, and are all answered', () => {
  const demand = demandOf();
  demand.ask('r/a', done);
  demand.ask('r/a', done);
  expect([asked, demand.isKnown('r/a')]).toEqual([[['r/a']], false]);
  demand.told(['r/a'], []);
  expect([told, demand.isKnown('r/a')]).toEqual([[true, true], true]);
});

test('what is not there is known, and stays asked for', () => {
  const demand = demandOf();
  demand.ask('r/a', done);
  demand.told([], ['r/a']);
  expect([told, demand.isKnown('r/a'), demand.isAbsent('r/a'), [...demand.names]]).toEqual([
    [false],
    true,
    true,
    ['r/a'],
  ]);
  demand.told(['r/a'], []);
  expect([demand.isAbsent('r/a'), [...demand.names]]).toEqual([false, ['r/a']]);
});

test('nobody waits for ever, and who is late finds an answer that came meanwhile', () => {
  const demand = demandOf({ timeoutMs: 100 });
  demand.ask('r/a', done);
  vi.advanceTimersByTime(99);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect([told, demand.isKnown('r/a')]).toEqual([[null], false]);
  demand.ask('r/a', done);
  expect(asked).toHaveLength(1);
  demand.told(['r/a'], []);
  vi.advanceTimersByTime(1000);
  expect(told).toEqual([null, true]);
});

test('who has left is told nothing', () => {
  const demand = demandOf({ timeoutMs: 100 });
  demand.ask('r/a', done).cancel();
  demand.told(['r/a'], []);
  vi.advanceTimersByTime(1000);
  expect(told).toEqual([]);
});

test('of hosts that are not there the oldest are given up, and none that are', () => {
  const demand = demandOf({ missingMax: 2 });
  demand.ask('r/kept', done);
  demand.told(['r/kept'], []);
  for (const name of ['r/1', 'r/2', 'r/3']) {
    demand.ask(name, done);
    demand.told([], [name]);
  }
  expect([...demand.names]).toEqual(['r/kept', 'r/2', 'r/3']);
  expect(demand.isKnown('r/1')).toBe(false);
});

test('a host that is gone is not there, and one that was never asked for is not remembered', () => {
  const demand = demandOf();
  demand.ask('r/a', done);
  demand.told(['r/a'], []);
  demand.told([], ['r/a', 'r/b']);
  expect([demand.isAbsent('r/a'), demand.isKnown('r/b'), [...demand.names]]).toEqual([true, false, ['r/a']]);
});

test('hosts of a configuration that is gone are wanted no more', () => {
  const demand = demandOf();
  demand.ask('gone/a', done);
  demand.ask('kept/a', done);
  demand.keep(new Set(['kept']));
  expect([told, [...demand.names], asked.at(-1)]).toEqual([[false], ['kept/a'], ['kept/a']]);
});
