// How Envoy and the sidecar share requests between endpoints, from the same bootstrap: each share is compared with
// what the configuration promises, within four standard deviations. And sessions, which each side must keep, in
// the cookie of the other too.
import { expect, test } from 'vitest';
import { RawClient, type SeenResponse } from '../support/raw-client.ts';
import { SIDE_NAMES, startSide, type Side } from './side.ts';

const REQUESTS = 200;

/** Percent by upstream. */
const SHARES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  '/spill': { a: 70, c: 30 },
  '/factor': { a: 50, c: 50 },
  '/degraded': { a: 70, b: 30 },
  '/panic': { a: 25, b: 25, c: 25, d: 25 },
  '/total': { a: 50, c: 50 },
  '/weighted': { a: 25, b: 37.5, c: 37.5 },
  '/halfdown': { a: 41.2, c: 58.8 },
  '/weightless': { a: 33.3, b: 33.3, c: 33.3 },
  '/spilling': { a: 70, c: 30 },
  '/subset/v': { b: 50, c: 50 },
  '/subset/any': { a: 25, b: 25, c: 25, d: 25 },
  '/subset/keys': { a: 50, b: 50 },
};

test.each(SIDE_NAMES)('%s shares requests as the configuration promises, and keeps sessions', async (name) => {
  const side = await startSide(name, 'selection');
  try {
    await Promise.all(
      Object.entries(SHARES).map(async ([path, shares]) => {
        const found = await sharesOf(side, path);
        const far = Object.keys({ ...shares, ...found }).filter((upstream) => isFar(found[upstream], shares[upstream]));
        expect({ path, far, found: far.length === 0 ? 'fine' : found }).toEqual({ path, far: [], found: 'fine' });
      }),
    );
    await keepsSessions(side);
  } finally {
    await side.stop();
  }
});

function isFar(count = 0, percent = 0): boolean {
  const promised = percent / 100;
  const deviation = Math.sqrt((promised * (1 - promised)) / REQUESTS);
  return Math.abs(count / REQUESTS - promised) > 4 * deviation + 1 / REQUESTS;
}

async function sharesOf(side: Side, path: string): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const { body } of await ask(side, path, REQUESTS)) {
    const upstream = body.toString().replace('from ', '').trim();
    counts[upstream] = (counts[upstream] ?? 0) + 1;
  }
  return counts;
}

async function keepsSessions(side: Side): Promise<void> {
  const [first] = await ask(side, '/sticky', 1);
  const cookie = fieldOf(first, 'set-cookie');
  expect(cookie).toMatch(/^stay="[\w+/]+=*"; Max-Age=120; Path=\/sticky; HttpOnly$/);
  const again = await ask(side, '/sticky/more', 20, `cookie: ${cookie.split(';')[0] ?? ''}\r\n`);
  expect(new Set(again.map((response) => response.body.toString()))).toEqual(new Set([first?.body.toString()]));
  expect(again.map((response) => fieldOf(response, 'set-cookie')).filter((text) => text !== '')).toEqual([]);
  for (const [upstream, isThere] of [
    ['b', true],
    ['d', false],
  ] as const) {
    const address = Buffer.from(`127.0.0.1:${side.upstream.ports.get(upstream) ?? 0}`).toString('base64');
    const strict = await ask(side, '/strict', 5, `x-stay: ${address}\r\n`);
    const texts = strict.map(({ status, body }) => `${status} ${body.toString()}`);
    expect(new Set(texts)).toEqual(new Set([isThere ? `200 from ${upstream}` : '503 no healthy upstream']));
  }
}

function fieldOf(response: SeenResponse | undefined, name: string): string {
  return response?.headers.find(([field]) => field.toLowerCase() === name)?.[1] ?? '';
}

async function ask(side: Side, path: string, count: number, headers = ''): Promise<readonly SeenResponse[]> {
  const client = await RawClient.connect(side.ports.get('listen.main') ?? 0);
  const request = `GET ${path} HTTP/1.1\r\nHost: example.test\r\n${headers}\r\n`;
  const methods = Array.from({ length: count }, () => 'GET');
  const responses = await client.exchange({ pieces: [request.repeat(count)], methods });
  client.close();
  return responses;
}
