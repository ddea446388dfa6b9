// Bodies that a filter sees before the request goes on: they reach the filter and then the app whole, a client that
// waits to be told gets 100, and what is larger than the limit is answered with 413.
import { createServer, request, type Server } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import type { Exchange } from '../../src/plan/exchange.ts';
import { CONTINUE, PAUSE } from '../../src/plan/plan.ts';
import { step } from '../../src/plan/step.ts';
import { startDataPlane, type DataPlane } from './data-plane.ts';

let plane: DataPlane | null = null;
let app: Server | null = null;
afterEach(() => {
  plane?.close();
  app?.close();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly wasTold: boolean;
}

async function send(
  limit: { bytesMax: number; isPartial: boolean },
  body: string,
  headers = {},
): Promise<[Answer, string]> {
  let seen = 'nothing';
  const hold = step(
    'hold',
    'test',
    (x: Exchange, arg: { bytesMax: number; isPartial: boolean }) => {
      x.holdBytesMax = arg.bytesMax;
      x.holdsPartial = arg.isPartial;
      return PAUSE;
    },
    limit,
  );
  const look = step(
    'look',
    'test',
    (x: Exchange) => {
      seen = x.heldBody === null ? 'none' : `${x.heldBody.toString('latin1')} ${x.isHeldPartial}`;
      return CONTINUE;
    },
    null,
  );
  app = createServer((message, response) => message.pipe(response));
  await new Promise<void>((resolve) => app?.listen(0, '127.0.0.1', resolve));
  const address = app.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  plane = await startDataPlane(port, { part: { onRequest: [hold, look] } });
  const answer = await new Promise<Answer>((resolve, reject) => {
    let wasTold = false;
    const ask = request({ host: '127.0.0.1', port: plane?.port, method: 'POST', path: '/', headers, agent: false });
    ask.on('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, wasTold }));
    });
    ask.on('error', reject);
    if (!('expect' in headers)) ask.end(body);
    ask.on('continue', () => {
      wasTold = true;
      ask.end(body);
    });
    if ('expect' in headers) ask.flushHeaders();
  });
  return [answer, seen];
}

const LONG = 'x'.repeat(300_000);

const WHOLE = { bytesMax: 10, isPartial: false };

it.each([
  { name: 'a body', limit: WHOLE, body: 'abc', is: [200, 'abc', 'abc false'] },
  { name: 'a body at the limit', limit: { ...WHOLE, bytesMax: 3 }, body: 'abc', is: [200, 'abc', 'abc false'] },
  { name: 'a body above it', limit: { ...WHOLE, bytesMax: 2 }, body: 'abc', is: [413, 'Payload Too Large', 'nothing'] },
  { name: 'the beginning', limit: { bytesMax: 2, isPartial: true }, body: 'abc', is: [200, 'abc', 'ab true'] },
  {
    name: 'the beginning of a long one',
    limit: { bytesMax: 2, isPartial: true },
    body: LONG,
    is: [200, LONG, 'xx true'],
  },
  { name: 'a long body', limit: { ...WHOLE, bytesMax: 400_000 }, body: LONG, is: [200, LONG, `${LONG} false`] },
  {
    name: 'a chunked body',
    limit: WHOLE,
    body: 'abc',
    headers: { 'transfer-encoding': 'chunked' },
    is: [200, 'abc', 'abc false'],
  },
  { name: 'no body', limit: WHOLE, body: '', headers: { 'content-length': '0' }, is: [200, '', 'none'] },
])('$name', async ({ limit, body, headers = {}, is }) => {
  const [answer, seen] = await send(limit, body, headers);
  expect([answer.status, answer.body, seen]).toEqual(is);
});

it('tells a client that waits for it to go on', async () => {
  const headers = { expect: '100-continue', 'content-length': '3' };
  const [answer, seen] = await send({ bytesMax: 10, isPartial: false }, 'abc', headers);
  expect([answer, seen]).toEqual([{ status: 200, body: 'abc', wasTold: true }, 'abc false']);
});
