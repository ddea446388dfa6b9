// Bytes that one request costs on the JavaScript heap, the sockets' share included. The engine makes no
// object of its own per request; what is left is Node's write requests, chunks and strings. A closure or
// a promise per request shows here at once.
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { RawClient } from '../support/raw-client.ts';
import { RawUpstream } from '../support/raw-upstream.ts';

const WARM_UP = 2000;
const COUNTED = 4000;
/** Measured: 3.9 kB. An async function per request alone would add 2.6 kB. */
const BYTES_MAX = 5000;

let child: ChildProcess | null = null;

afterEach(() => {
  child?.kill();
});

function tell(from: ChildProcess, key: string): Promise<number> {
  return new Promise((done) => {
    from.once('message', (message: unknown) => {
      const value: unknown = typeof message === 'object' && message !== null ? Reflect.get(message, key) : null;
      done(Number(value));
    });
  });
}

test('a proxied request allocates a bounded number of bytes', async () => {
  const upstream = await RawUpstream.start(['app']);
  const probe = fileURLToPath(new URL('allocation-probe.ts', import.meta.url));
  child = fork(probe, [String(upstream.ports.get('app'))], { execArgv: ['--expose-gc'] });
  const port = await tell(child, 'port');
  const client = await RawClient.connect(port);
  const drive = async (count: number): Promise<void> => {
    const text = 'GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n';
    for (let i = 0; i < count; i++) await client.exchange({ pieces: [text], methods: ['GET'] });
  };
  const allocated = async (): Promise<number> => {
    const answer = child === null ? Promise.resolve(0) : tell(child, 'bytes');
    child?.send('measure');
    return answer;
  };
  await drive(WARM_UP);
  const before = await allocated();
  await drive(COUNTED);
  const perRequest = ((await allocated()) - before) / COUNTED;
  client.close();
  await upstream.close();
  console.log(`${Math.round(perRequest)} bytes a request`);
  expect(perRequest).toBeLessThan(BYTES_MAX);
});
