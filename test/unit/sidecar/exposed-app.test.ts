// Apps that can be reached around their sidecar, by the kernel's own list of listening sockets.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { exposedPorts } from '../../../src/sidecar/exposed-app.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const line = (address: string, state = '0A'): string =>
  `${HEAD}   0: ${address}:2378 ${'0'.repeat(address.length)}:0000 ${state} 00000000:00000000 00:00000000 00000000 0 0 1\n`;
const PORT = 0x2378;

test.each([
  ['every address', line('00000000'), true],
  ['an address of the network', line('0100000A'), true],
  ['127.0.0.1', line('0100007F'), false],
  ['another address of loopback', line('0500017F'), false],
  ['every address of IPv6', line('0'.repeat(32)), true],
  ['::1', line('00000000000000000000000001000000'), false],
  ['127.0.0.1 in IPv6', line('0000000000000000FFFF00000100007F'), false],
  ['an address in IPv6', line('0000000000000000FFFF00000100000A'), true],
  ['a connection', line('0100000A', '01'), false],
  ['nothing', '', false],
  ['what is no list', 'x: y z\n', false],
])('an app that listens on %s', (_, list, isExposed) => {
  expect(exposedPorts([PORT, 80], [list])).toEqual(isExposed ? [PORT] : []);
});

test.each([
  ['127.0.0.1', false],
  ['::1', false],
  ['0.0.0.0', true],
  ['::', true],
])('the kernel lists a server on %s as it should', async (host, isExposed) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  const lists = ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFileSync(path, 'latin1'));
  expect(exposedPorts([port], lists)).toEqual(isExposed ? [port] : []);
  server.close();
});
