// Every kind of client that is refused, cut off or sent away has a counter of its own, by Envoy's name in
// `http.PREFIX.` where Envoy has one: raw sockets against one listener, and the statistics that moved.
import { afterEach, expect, test } from 'vitest';
import { ProxyStats } from '../../src/observe/proxy-stats.ts';
import { RawClient } from '../support/raw-client.ts';
import { RawUpstream, reply, type Answer } from '../support/raw-upstream.ts';
import { until } from '../support/until.ts';
import { startDataPlane, type DataPlane } from './data-plane.ts';

const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';
const HALF = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf';
const OFFER = 'GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: PROTOCOL\r\n\r\n';
const SWITCH = reply('101 Switching Protocols', ['connection: upgrade', 'upgrade: websocket'], null);
const HANG: Answer = { kind: 'hang' };

interface Kind {
  readonly name: string;
  readonly text: string;
  readonly manager?: Partial<DataPlane['manager']>;
  readonly answer?: Answer;
  /** The client cuts its connection (a FIN alone would say that it still reads). */
  readonly leaves?: boolean;
  /** Without the prefix `downstream_`; each goes up by one. */
  readonly counted: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    name: 'half a head',
    text: 'GET / HT',
    manager: { requestHeadersTimeoutMs: 60, delayedCloseMs: 40 },
    counted: ['rq_header_timeout', 'cx_delayed_close_timeout'],
  },
  {
    name: 'half a head of a request',
    text: 'GET / HT',
    manager: { requestTimeoutMs: 60, delayedCloseMs: 40 },
    counted: ['rq_timeout', 'cx_delayed_close_timeout'],
  },
  {
    name: 'half a body',
    text: HALF,
    manager: { requestTimeoutMs: 60, delayedCloseMs: 40 },
    counted: ['rq_timeout', 'cx_delayed_close_timeout'],
  },
  { name: 'no answer', text: GET, manager: { streamIdleTimeoutMs: 60 }, answer: HANG, counted: ['rq_idle_timeout'] },
  {
    name: 'a stream without end',
    text: GET,
    manager: { maxStreamDurationMs: 60 },
    answer: HANG,
    counted: ['rq_max_duration_reached'],
  },
  { name: 'a client that leaves', text: GET, answer: HANG, leaves: true, counted: ['cx_destroy_remote_active_rq'] },
  {
    name: 'a field that is too long',
    text: `GET / HTTP/1.1\r\nX: ${'x'.repeat(70_000)}`,
    manager: { delayedCloseMs: 40 },
    counted: ['cx_protocol_error', 'rq_head_too_large', 'cx_delayed_close_timeout'],
  },
  {
    name: 'a malformed head',
    text: 'GET /\r\n\r\n',
    manager: { delayedCloseMs: 40 },
    counted: ['cx_protocol_error', 'cx_delayed_close_timeout'],
  },
  { name: 'an idle connection', text: GET, manager: { idleTimeoutMs: 60 }, counted: ['cx_idle_timeout'] },
  {
    name: 'a connection of age',
    text: GET,
    manager: { maxConnectionDurationMs: 60, drainMs: 0 },
    counted: ['cx_max_duration_reached'],
  },
  {
    name: 'as many requests as it may have',
    text: GET,
    manager: { maxRequestsPerConnection: 1, delayedCloseMs: 40 },
    counted: ['cx_max_requests_reached', 'cx_delayed_close_timeout'],
  },
  {
    name: 'a path that no path may be',
    text: 'GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n',
    manager: { delayedCloseMs: 40 },
    counted: ['rq_failed_path_normalization', 'cx_delayed_close_timeout'],
  },
  { name: 'a protocol that nobody takes', text: OFFER.replace('PROTOCOL', 'odd'), counted: ['rq_ws_on_non_ws_route'] },
  {
    name: 'a tunnel',
    text: OFFER.replace('PROTOCOL', 'websocket'),
    answer: SWITCH,
    counted: ['cx_upgrades_total', 'cx_upgrades_active'],
  },
];

/** What every request and connection moves. */
const USUAL = /_(?:total|active|completed|[1-5]xx)$/;

test.for(KINDS)('$name is counted as $counted', async ({ text, manager = {}, answer, leaves, counted }) => {
  const upstream = await RawUpstream.start(['app']);
  open.push(() => upstream.close());
  if (answer !== undefined) upstream.answer = answer;
  const stats = new ProxyStats();
  const plane = await startDataPlane(upstream.ports.get('app') ?? 0, {
    timeoutMs: 0,
    manager: { tally: stats.http('p'), ...manager },
  });
  open.push(() => plane.close());
  // It never says its FIN, so that the sidecar's patience is what ends the connection.
  const client = await RawClient.connect(plane.port, true);
  open.push(() => client.close());
  client.socket.write(text);
  if (leaves === true) {
    await until('it is forwarded', () => upstream.seen.length === 1);
    client.socket.resetAndDestroy();
  }
  const prefix = 'http.p.downstream_';
  const moved = (): string[] =>
    stats
      .list()
      .filter(({ name, value }) => value === 1 && name.startsWith(prefix))
      .map(({ name }) => name.slice(prefix.length))
      .filter((name) => !USUAL.test(name) || name.startsWith('cx_upgrades'));
  await until(`${counted.join()} but ${moved().join()}`, () => counted.every((name) => moved().includes(name)));
  expect(moved().toSorted()).toEqual([...counted].toSorted());
});
