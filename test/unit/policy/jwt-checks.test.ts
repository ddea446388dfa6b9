// Signatures checked apart from the requests that wait for them: shared, bounded, and nothing kept of who left.
import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import type { KeySet } from '../../../src/base/key-set.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { JwtChecks, type WantedCheck } from '../../../src/policy/jwt-checks.ts';
import { JWT, PENDING } from '../../../src/policy/jwt-status.ts';

const KEY = { key: createSecretKey(Buffer.from('secret')), kid: '', alg: '', kind: 'oct', curve: '' } as const;
const SET: KeySet = { keys: [KEY], failure: null, holdsPrivateKey: false };

class World {
  /** Checks that were begun, by token, and what ends each. */
  readonly begun: string[] = [];
  readonly ends = new Map<string, (isGood: boolean) => void>();
  readonly checks: JwtChecks;

  constructor(runningMax = 2, queuedMax = 2) {
    const verify = (text: string): Promise<boolean> => {
      this.begun.push(text);
      return new Promise((end) => this.ends.set(text, end));
    };
    this.checks = new JwtChecks({ runningMax, queuedMax, verify });
  }

  async end(text: string, isGood: boolean): Promise<void> {
    this.ends.get(text)?.(isGood);
    await new Promise(setImmediate);
  }
}

function wanted(text: string, rest: Partial<WantedCheck> = {}): WantedCheck {
  return { text, alg: 'HS256', set: SET, keys: [KEY], ...rest };
}

function client(resumed: string[] = [], name = ''): Exchange {
  const x = new Exchange();
  x.resumer = { abandon: () => undefined, resume: (epoch) => void (epoch === x.epoch && resumed.push(name)) };
  return x;
}

test('a token is checked once for all who wait for it', async () => {
  const { checks, begun, ...world } = new World();
  const resumed: string[] = [];
  const [a, b] = [client(resumed, 'a'), client(resumed, 'b')];
  expect([checks.find(a, wanted('t')), checks.find(b, wanted('t'))]).toEqual([PENDING, PENDING]);
  world.ends.get('t')?.(true);
  await new Promise(setImmediate);
  expect([begun, resumed]).toEqual([['t'], ['a', 'b']]);
  expect([checks.find(a, wanted('t')), checks.find(b, wanted('t'))]).toEqual([JWT.ok, JWT.ok]);
  checks.release(a);
  checks.release(b);
  expect(checks.size).toBe(0);
});

test('so many are checked at once, so many wait, and no more are taken', async () => {
  const world = new World(2, 2);
  const found = ['a', 'b', 'c', 'd', 'e'].map((text) => world.checks.find(client(), wanted(text)));
  expect(found).toEqual([PENDING, PENDING, PENDING, PENDING, JWT.overloaded]);
  expect(world.begun).toEqual(['a', 'b']);
  await world.end('a', false);
  expect(world.begun).toEqual(['a', 'b', 'c']);
});

test('nothing is kept of who leaves, before its turn or while it is checked', async () => {
  const world = new World(1, 2);
  const [first, second] = [client(), client()];
  world.checks.find(first, wanted('a'));
  world.checks.find(second, wanted('b'));
  world.checks.release(second);
  world.checks.release(first);
  await world.end('a', true);
  expect([world.begun, world.checks.size]).toEqual([['a'], 0]);
});

test('a request that is another one by now is not woken', async () => {
  const world = new World();
  const resumed: string[] = [];
  const x = client(resumed, 'x');
  world.checks.find(x, wanted('t'));
  x.reset();
  await world.end('t', true);
  expect(resumed).toEqual([]);
});

test('what was checked with other keys does not count', async () => {
  const world = new World();
  const x = client();
  world.checks.find(x, wanted('t'));
  await world.end('t', true);
  const rotated: KeySet = { keys: [KEY], failure: null, holdsPrivateKey: false };
  expect(world.checks.find(x, wanted('t', { set: rotated }))).toBe(PENDING);
});

test('each key is tried, until one fits', async () => {
  const world = new World();
  const x = client();
  world.checks.find(x, wanted('t', { keys: [KEY, KEY, KEY] }));
  await world.end('t', false);
  await world.end('t', true);
  expect(world.begun).toEqual(['t', 't']);
  expect(world.checks.find(x, wanted('t'))).toBe(JWT.ok);
});
