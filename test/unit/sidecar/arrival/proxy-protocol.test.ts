// PROXY protocol headers, both versions, both ways.
import { expect, test } from 'vitest';
import { crc32c } from '../../../../src/sidecar/arrival/crc32c.ts';
import {
  parseProxyHeader,
  type ProxiedAddresses,
  type ProxyHeader,
} from '../../../../src/sidecar/arrival/proxy-protocol.ts';
import { proxyHeader } from '../../../../src/sidecar/arrival/proxy-protocol-writer.ts';

const IPV4: ProxiedAddresses = {
  sourceAddress: '192.0.2.1',
  sourcePort: 40_000,
  destinationAddress: '198.51.100.7',
  destinationPort: 443,
};
const IPV6: ProxiedAddresses = { ...IPV4, sourceAddress: '2001:db8::1', destinationAddress: '::1' };
const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

function header(version: 1 | 2, bytes: number, addresses: ProxiedAddresses | null): ProxyHeader {
  return { kind: 'header', version, bytes, addresses };
}

function v2(rest: readonly number[], tail: readonly number[] = []): string {
  const [command = 0, family = 0] = rest;
  const body = [...rest.slice(2), ...tail];
  return SIGNATURE + Buffer.of(command, family, body.length >> 8, body.length & 255, ...body).toString('latin1');
}

const IPV4_BYTES = [192, 0, 2, 1, 198, 51, 100, 7, 40_000 >> 8, 40_000 & 255, 1, 187];
const BAD_CHECKSUM = [3, 0, 4, 1, 2, 3, 4];

function withChecksum(): string {
  const bytes = Buffer.from(v2([0x21, 0x11, ...IPV4_BYTES], [3, 0, 4, 0, 0, 0, 0]), 'latin1');
  bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  return bytes.toString('latin1');
}

const GOOD: readonly (readonly [string, ProxyHeader])[] = [
  ['PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n', header(1, 45, IPV4)],
  ['PROXY TCP6 2001:DB8:0:0::1 0:0:0:0:0:0:0:1 40000 443\r\n', header(1, 54, IPV6)],
  ['PROXY UNKNOWN\r\n', header(1, 15, null)],
  ['PROXY UNKNOWN ffff::1 what ever\r\n', header(1, 33, null)],
  [v2([0x21, 0x11, ...IPV4_BYTES]), header(2, 28, IPV4)],
  [v2([0x20, 0x11, ...IPV4_BYTES]), header(2, 28, null)],
  [v2([0x20, 0x11]), header(2, 16, null)],
  [v2([0x20, 0x00]), header(2, 16, null)],
  [v2([0x21, 0x00]), header(2, 16, null)],
  [v2([0x21, 0x31, ...new Array<number>(216).fill(0)]), header(2, 232, null)],
  [v2([0x21, 0x11, ...IPV4_BYTES], [4, 0, 1, 9]), header(2, 32, IPV4)],
  [withChecksum(), header(2, 35, IPV4)],
];

const BAD: readonly string[] = [
  'PROXY TCP4 192.0.2.1 198.51.100.7 040000 443\r\n',
  'PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n',
  'PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n',
  'PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n',
  'PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n',
  'PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n',
  'PROXY TCP4 ::1 ::1 1 2\r\n',
  'PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n',
  'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n',
  'PROXY TCP5 192.0.2.1 198.51.100.7 1 2\r\n',
  'PROXY  TCP4 192.0.2.1 198.51.100.7 1 2\r\n',
  `PROXY UNKNOWN ${'a'.repeat(107)}\r\n`,
  v2([0x22, 0x11, ...IPV4_BYTES]),
  v2([0x31, 0x11, ...IPV4_BYTES]),
  v2([0x21, 0x12, ...IPV4_BYTES]),
  v2([0x21, 0x11, ...IPV4_BYTES.slice(1)]),
  v2([0x21, 0x11, ...IPV4_BYTES], [4, 0, 2, 9]),
  v2([0x21, 0x11, ...IPV4_BYTES], [4, 0]),
  v2([0x21, 0x11, ...IPV4_BYTES], BAD_CHECKSUM),
  v2([0x21, 0x11, ...IPV4_BYTES, ...new Array<number>(4096).fill(0)]),
];

test.each(GOOD)('reads %j', (text, expected) => {
  expect(parseProxyHeader(Buffer.from(`${text}GET`, 'latin1'))).toEqual(expected);
});

test.each(GOOD)('waits for the last byte of %j', (text) => {
  const bytes = Buffer.from(text, 'latin1');
  for (let end = 0; end < bytes.length; end++) {
    expect(parseProxyHeader(bytes.subarray(0, end))).toEqual({ kind: 'incomplete' });
  }
});

test.each(BAD)('refuses %j', (text) => {
  expect(parseProxyHeader(Buffer.from(text, 'latin1')).kind).toBe('invalid');
});

test.each(['GET / HTTP/1.1\r\n', 'PROXY\r\n', 'PROXY2', '\r\n\r\nGET', '\x16\x03\x01'])('finds none in %j', (text) => {
  expect(parseProxyHeader(Buffer.from(text, 'latin1'))).toEqual({ kind: 'absent' });
});

test.each([
  [1, IPV4],
  [1, IPV6],
  [2, IPV4],
  [2, IPV6],
] as const)('reads what it writes: version %i %j', (version, addresses) => {
  const bytes = proxyHeader(version, addresses);
  expect(parseProxyHeader(bytes)).toEqual(header(version, bytes.length, addresses));
});

test.each([1, 2] as const)('tells of nobody where there are no addresses of one family: version %i', (version) => {
  const bytes = proxyHeader(version, { ...IPV4, sourceAddress: '::1' });
  expect(parseProxyHeader(bytes)).toEqual(header(version, bytes.length, null));
});

test("makes Castagnoli's checksum", () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});
