// What holds the control service together when callers do as they like: how often they may ask, how much they may have
// logged, and what is told to whom.
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../../../src/base/log.ts';
import { bearerTokens } from '../../../../src/control/authentication/caller.ts';
import { refusal } from '../../../../src/control/authentication/refusal.ts';
import { RefusalBook } from '../../../../src/control/authentication/refusal-book.ts';
import { tokenClaims } from '../../../../src/control/authentication/token-claims.ts';
import { CallerRate } from '../../../../src/control/caller-rate.ts';
import { Metadata } from '@grpc/grpc-js';
import { SecureControl } from './secure-control.ts';

function fakeClock() {
  const clock = { ms: 0, now: () => clock.ms, wall: () => clock.ms };
  return clock;
}

describe('the rate of callers', () => {
  test('gives each its burst, and then so many a second', () => {
    const clock = fakeClock();
    const rate = new CallerRate({ clock, burst: 2, perSecond: 1 });
    const asked = (caller: string): boolean => rate.admits(caller);
    expect([asked('a'), asked('a'), asked('a'), asked('b')]).toEqual([true, true, false, true]);
    clock.ms = 999;
    expect(asked('a')).toBe(false);
    clock.ms = 2000;
    expect([asked('a'), asked('a'), asked('a')]).toEqual([true, true, false]);
  });
});

describe('the book of refusals', () => {
  test('counts all and writes sixty lines a minute of each reason', () => {
    const clock = fakeClock();
    const lines: string[] = [];
    const book = new RefusalBook(
      createLog('refusals', 'info', (line) => lines.push(line)),
      clock,
    );
    for (let i = 0; i < 100; i++) book.note('xds', refusal('no_credentials', 'nothing'));
    book.note('ca', refusal('no_credentials', 'nothing'));
    expect(lines).toHaveLength(61);
    clock.ms = 60_000;
    book.note('xds', refusal('no_credentials', 'nothing'));
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ reason: 'no_credentials', omitted: 40 });
    expect([book.count('xds'), book.count('ca')]).toEqual([101, 1]);
  });

  test('cuts what a caller wrote, and takes its control characters out', () => {
    const lines: string[] = [];
    const book = new RefusalBook(
      createLog('refusals', 'info', (line) => lines.push(line)),
      fakeClock(),
    );
    book.note('xds', refusal('namespace', 'a\u001b[2Jb'), { node: 'x'.repeat(10_000) });
    const { details, node } = JSON.parse(lines[0] ?? '{}');
    expect([details, node.length]).toEqual(['a?[2Jb', 256]);
  });
});

describe('a bearer token', () => {
  const CASES: readonly (readonly [string, readonly string[]])[] = [
    ['Bearer abc.def.ghi', ['abc.def.ghi']],
    ['bearer abc', ['abc']],
    ['Basic abc', []],
    ['Bearer', []],
    ['Bearer a b', []],
  ];
  test.each(CASES)('in "%s" is %j', (value, tokens) => {
    const metadata = new Metadata();
    metadata.set('authorization', value);
    expect(bearerTokens(metadata)).toEqual(tokens);
  });
});

const token = (payload: string): string => `e30.${Buffer.from(payload).toString('base64url')}.AA`;

describe('what a token says of itself', () => {
  const CASES: readonly (readonly [string, object | null])[] = [
    [token('{"aud":"a","exp":2}'), { audiences: ['a'], expiresAtMs: 2000 }],
    [token('{"aud":["a","b",3]}'), { audiences: ['a', 'b'], expiresAtMs: Infinity }],
    [token('{}'), { audiences: [], expiresAtMs: Infinity }],
    [token('[]'), null],
    [token('{'), null],
    ['a.b', null],
    ['a b.c.d', null],
  ];
  test.each(CASES)('%s is read as %j', (text, claims) => {
    expect(tokenClaims(text)).toEqual(claims);
  });
});

describe('a debug page', () => {
  let control: SecureControl;
  beforeAll(async () => {
    control = await SecureControl.start();
  });
  afterAll(async () => await control.stop());

  async function statusOf(path: string, host: string): Promise<number> {
    const [address = '', port = ''] = control.addresses.http.split(':');
    return await new Promise((resolve, reject) => {
      const asking = request({ host: address, port: Number(port), path, headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asking.on('error', reject);
      asking.end();
    });
  }

  const CASES: readonly (readonly [string, string, number])[] = [
    ['/debug/registry', 'localhost:15014', 200],
    ['/debug/registry', '127.0.0.1', 200],
    ['/debug/registry', 'rebound.example', 403],
    ['/debug/syncz?x', '10.0.0.1:15014', 403],
    ['/ready', 'rebound.example', 200],
    ['/metrics', 'control.example', 200],
  ];
  test.each(CASES)('%s asked of %s is answered %d', async (path, host, status) => {
    expect(await statusOf(path, host)).toBe(status);
  });
});
