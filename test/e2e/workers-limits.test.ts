// Limits of a cluster hold for the whole process: two workers together have no more requests under way than max_requests,
// give back what they held, and tell of it on one page.
import { createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { freePorts, listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { SidecarFolder } from './sidecar-process.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const CLIENTS = 12;
const MAX = 4;

it('two workers together keep to max_requests', async () => {
  const held: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => held.push(socket));
  });
  using folder = new SidecarFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  await folder.start({ port, admin, upstream: await listen(server), maxRequests: MAX }, ['--concurrency', '2']);
  const statuses: number[] = [];
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(port)));
  const answered = clients.map(async (client) => {
    const [response] = await client.exchange({ pieces: [GET], methods: ['GET'] });
    statuses.push(response?.status ?? 0);
  });
  await until('refusals', () => statuses.length === CLIENTS - MAX);
  expect([held.length, new Set(statuses)]).toEqual([MAX, new Set([503])]);
  expect(await gauges(admin)).toEqual({ rq_open: 1, remaining_rq: 0 });
  for (const socket of held) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await Promise.all(answered);
  expect(statuses.filter((status) => status === 200)).toHaveLength(MAX);
  await expect.poll(() => gauges(admin)).toEqual({ rq_open: 0, remaining_rq: MAX });
  for (const client of clients) client.close();
  server.close();
});

async function gauges(admin: number): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
  const found = text.matchAll(/^cluster\.upstream\.circuit_breakers\.default\.(rq_open|remaining_rq): (\d+)$/gm);
  return Object.fromEntries(Array.from(found, ([, name, value]) => [name, Number(value)]));
}
