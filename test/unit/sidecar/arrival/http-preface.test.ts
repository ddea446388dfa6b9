// What counts as HTTP, from the first bytes.
import { expect, test } from 'vitest';
import { HttpPreface, type HttpPrefaceState } from '../../../../src/sidecar/arrival/http-preface.ts';

const CASES: readonly (readonly [string, HttpPrefaceState])[] = [
  ['GET / HTTP/1.1\r\n', 'http/1.1'],
  ['GET / HTTP/1.0\r\n', 'http/1.0'],
  ['GET / HTTP/1.1\n', 'http/1.1'],
  ['\r\nGET / HTTP/1.1\r\n', 'http/1.1'],
  ['M-SEARCH * HTTP/1.1\r\n', 'http/1.1'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'h2c'],
  ['PRI * HTTP/1.1\r\n', 'http/1.1'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r', 'incomplete'],
  ['PRI * HTTP/2.0\r\n\r\n1.1\r\n', 'not-http'],
  ['GET / HTTP/1.2\r\n', 'not-http'],
  ['GET / HTTP/2.0\r\n', 'not-http'],
  ['GET /\r\n', 'not-http'],
  ['GET  / HTTP/1.1\r\n', 'not-http'],
  ['GET / HTTP/1.1\r\r\n', 'not-http'],
  [' GET / HTTP/1.1\r\n', 'not-http'],
  ['\x16\x03\x01', 'not-http'],
  ['GET', 'incomplete'],
  ['', 'incomplete'],
  [`${'A'.repeat(64)} / HTTP/1.1\r\n`, 'http/1.1'],
  [`${'A'.repeat(65)} / HTTP/1.1\r\n`, 'not-http'],
  [`GET /${'a'.repeat(65_520)} HTTP/1.1\r\n`, 'http/1.1'],
  [`GET /${'a'.repeat(65_521)} HTTP/1.1\r\n`, 'not-http'],
];

test.each(CASES)('takes %j for %s', (text, expected) => {
  expect(new HttpPreface().feed(Buffer.from(text, 'latin1'))).toBe(expected);
});

test.each(CASES)('takes %j byte by byte for %s', (text, expected) => {
  const preface = new HttpPreface();
  for (const byte of Buffer.from(text, 'latin1')) preface.feed(Buffer.of(byte));
  expect(preface.state).toBe(expected);
});
