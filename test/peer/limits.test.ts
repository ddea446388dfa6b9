// Limits of clusters on Envoy and on the sidecar: what the client gets that meets one, what the access log says of it, and
// what the statistics count, for connections, waiting requests, requests, pools and priorities, and for plain TCP.
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { RawClient, type SeenResponse } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { SIDE_NAMES, startSide, type Side } from './side.ts';

const SHOWN =
  /^cluster\.\w+\.(?:upstream_(?:cx_overflow|cx_pool_overflow|rq_pending_\w+|rq_active_overflow|rq_retry_overflow)|circuit_breakers\..*):/;

test('a limit that is met looks the same to the client, in the log and in the statistics as with Envoy', async () => {
  const [envoy, ours] = await Promise.all(SIDE_NAMES.map(observe));
  expect(ours).toEqual(envoy);
  expect(ours?.answers).toMatchObject({ '/pending0': { status: 503, overloaded: 'true' }, '/plain': { status: 200 } });
});

interface Seen {
  readonly answers: Readonly<Record<string, object>>;
  readonly log: readonly string[];
  readonly stats: readonly string[];
}

async function observe(name: (typeof SIDE_NAMES)[number]): Promise<Seen> {
  const side = await startSide(name, 'limits');
  try {
    const answers: Record<string, object> = {};
    for (const path of [
      '/plain',
      '/pending0',
      '/requests0',
      '/connections0',
      '/pools0',
      '/hosts0',
      '/high0',
      '/high0/default',
    ]) {
      answers[path] = shown(await get(side, path));
    }
    answers['/quiet'] = shown(await get(side, '/quiet', 'quiet'));
    const held: RawClient[] = [];
    // The first has the only connection, the second waits for it, the third is too many; so for each kind.
    answers['/one'] = shown(await refused(side, '/one', 2, held));
    answers['/requests1'] = shown(await refused(side, '/requests1', 1, held));
    const sockets = [await openTcp(side, 'tcp1'), await openTcp(side, 'tcphosts1')];
    answers['tcp1'] = { end: await endOf(side, 'tcp1') };
    answers['connections0 by tcp'] = { end: await endOf(side, 'connections0') };
    const stats = await statsOf(side);
    for (const socket of sockets) socket.destroy();
    for (const client of held) client.socket.resetAndDestroy();
    await until('departures', async () => (await allStats(side)).includes('http.main.downstream_cx_active: 0'));
    // Envoy writes its log when it ends.
    await side.stop();
    const lines = side.child.stdout().split('\n');
    return { answers, stats, log: lines.filter((line) => line.startsWith('LOG ')).toSorted() };
  } finally {
    await side.stop();
  }
}

async function get(side: Side, path: string, listener = 'main'): Promise<SeenResponse | undefined> {
  const client = await RawClient.connect(portOf(side, listener));
  const pieces = [`GET ${path} HTTP/1.1\r\nHost: example.test\r\n\r\n`];
  const [response] = await client.exchange({ pieces, methods: ['GET'] });
  client.close();
  return response;
}

/** The answer to one more request, after `count` that are never answered. */
async function refused(side: Side, path: string, count: number, held: RawClient[]): Promise<SeenResponse | undefined> {
  side.upstream.rewind();
  side.upstream.answer = { kind: 'hang' };
  for (let i = 0; i < count; i++) {
    const client = await RawClient.connect(portOf(side, 'main'));
    held.push(client);
    client.socket.write(`GET ${path} HTTP/1.1\r\nHost: example.test\r\n\r\n`);
    const cluster = path.slice(1);
    await until('request', async () =>
      (await statsOf(side, cluster)).some((line) => line.endsWith(`_total: ${i + 1}`)),
    );
    if (i === 0) await until('upstream', () => side.upstream.seen.length === 1);
  }
  return get(side, path);
}

function shown(response: SeenResponse | undefined): object {
  const header = (name: string): string | undefined =>
    response?.headers.find(([known]) => known.toLowerCase() === name)?.[1];
  return {
    status: response?.status,
    body: response?.body.toString('latin1'),
    overloaded: header('x-envoy-overloaded'),
    type: header('content-type'),
  };
}

async function openTcp(side: Side, listener: string): Promise<ReturnType<typeof connect>> {
  const before = side.upstream.accepted.get('a') ?? 0;
  const socket = connect(portOf(side, listener), '127.0.0.1');
  socket.on('error', () => undefined);
  await until('upstream connection', () => (side.upstream.accepted.get('a') ?? 0) > before);
  return socket;
}

async function endOf(side: Side, listener: string): Promise<string> {
  const socket = connect(portOf(side, listener), '127.0.0.1');
  let ended = 'FIN';
  socket.on('error', () => (ended = 'RST'));
  let bytes = 0;
  socket.on('data', (data) => (bytes += data.length));
  await new Promise((done) => {
    socket.once('close', done);
  });
  return `${bytes} bytes, ${ended}`;
}

async function statsOf(side: Side, cluster = ''): Promise<readonly string[]> {
  const lines = (await allStats(side)).filter((line) => SHOWN.test(line) && line.startsWith(`cluster.${cluster}`));
  // Envoy counts unlimited pools down from 2⁶⁴-1, and a failure of the pool apart.
  return lines.filter((line) => !line.includes('_failure_eject') && !line.includes('remaining_cx_pools')).toSorted();
}

async function allStats(side: Side): Promise<readonly string[]> {
  const response = await fetch(`http://127.0.0.1:${portOf(side, 'admin')}/stats`);
  return (await response.text()).split('\n');
}

function portOf({ ports }: Side, listener: string): number {
  return ports.get(listener === 'admin' ? 'admin' : `listen.${listener}`) ?? 0;
}
