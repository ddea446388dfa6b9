// Adaptive concurrency and admission control on Envoy and on the sidecar: what a client gets that is turned away, what the
// access log says, which statistics there are, and how often admission control turns away when nothing goes well.
import { expect, test } from 'vitest';
import { RawClient, type SeenResponse } from '../support/raw-client.ts';
import { reply } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { SIDE_NAMES, startSide, type Side } from './side.ts';

const REQUESTS = 400;

test('a request that is turned away looks the same to the client, in the log and in the statistics as with Envoy', async () => {
  const [envoy, ours] = await Promise.all(SIDE_NAMES.map(observe));
  expect(ours?.told).toEqual(envoy?.told);
  expect(ours?.told.adaptive).toMatchObject({ status: 503, body: 'reached concurrency limit' });
  // With n requests and no success the chance is n / (n + 1): all but a few.
  for (const side of [envoy, ours]) expect(side?.rejected).toBeGreaterThan(REQUESTS * 0.9);
}, 60_000);

interface Seen {
  readonly told: {
    readonly adaptive: object;
    readonly admission: object;
    readonly log: readonly string[];
    readonly stats: readonly string[];
  };
  readonly rejected: number;
}

async function observe(name: (typeof SIDE_NAMES)[number]): Promise<Seen> {
  const side = await startSide(name, 'overload');
  try {
    const adaptive = await refusedByLimit(side);
    side.upstream.rewind();
    side.upstream.answer = reply('500 Internal Server Error');
    const client = await RawClient.connect(portOf(side, 'admission'));
    let admission: SeenResponse | undefined;
    let rejected = 0;
    for (let i = 0; i < REQUESTS; i++) {
      const [response] = await client.exchange({ pieces: [requestOf(`/${i}`)], methods: ['GET'] });
      if (response?.status !== 503) continue;
      rejected++;
      admission = response;
    }
    client.close();
    const stats = await namesOf(side);
    await side.stop();
    const lines = side.child
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('LOG '));
    const log = [...new Set(lines.map((line) => line.replace(/ \/\S*/, '')))].toSorted();
    return { told: { adaptive, admission: shown(admission), log, stats }, rejected };
  } finally {
    await side.stop();
  }
}

/** The answer to a request while the only one that may be under way is never answered. */
async function refusedByLimit(side: Side): Promise<object> {
  side.upstream.answer = { kind: 'hang' };
  const held = await RawClient.connect(portOf(side, 'adaptive'));
  held.socket.write(requestOf('/held'));
  await until('the first request', () => side.upstream.seen.length === 1);
  const client = await RawClient.connect(portOf(side, 'adaptive'));
  const [response] = await client.exchange({ pieces: [requestOf('/refused')], methods: ['GET'] });
  client.close();
  held.socket.resetAndDestroy();
  return shown(response);
}

const requestOf = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: example.test\r\n\r\n`;

function shown(response: SeenResponse | undefined): object {
  const header = (name: string): string | undefined =>
    response?.headers.find(([known]) => known.toLowerCase() === name)?.[1];
  return { status: response?.status, body: response?.body.toString('latin1'), type: header('content-type') };
}

async function namesOf(side: Side): Promise<readonly string[]> {
  const response = await fetch(`http://127.0.0.1:${side.ports.get('admin') ?? 0}/stats`);
  const names = (await response.text()).split('\n').map((line) => line.split(':')[0] ?? '');
  return names.filter((line) => /^http\.\w+\.(?:adaptive_concurrency|admission_control)\./.test(line)).toSorted();
}

function portOf(side: Side, listener: string): number {
  return side.ports.get(`listen.${listener}`) ?? 0;
}
