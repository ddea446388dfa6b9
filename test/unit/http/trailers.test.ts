// Trailers: which go on, in which form, however the body is cut.
import { describe, expect, test } from 'vitest';
import { BodyDecoder, CHUNKED } from '../../../src/http/body-decoder.ts';

const SINK = { onBodyBytes: () => {} };

function trailersOf(lines: string, nominated = '', step = 1 << 20): string {
  const decoder = new BodyDecoder();
  decoder.begin(CHUNKED, 0, nominated);
  const bytes = Buffer.from(`2\r\nok\r\n0\r\n${lines}\r\n`, 'latin1');
  for (let at = 0; at < bytes.length; at += step) {
    const piece = bytes.subarray(at, at + step);
    expect(decoder.decode(piece, 0, piece.length, SINK)).toBe(piece.length);
  }
  expect(decoder.isComplete).toBe(true);
  return decoder.trailers;
}

describe('trailers', () => {
  test.each([
    ['none', '', ''],
    ['one', 'X-Sum: 1\r\n', 'X-Sum: 1\r\n'],
    ['several in order', 'B: 1\r\nA: 2\r\nB: 3\r\n', 'B: 1\r\nA: 2\r\nB: 3\r\n'],
    ['blanks around a value', 'A:\t b c \t\r\nC:\r\n', 'A: b c\r\nC: \r\n'],
    ['eight-bit values', 'A: \xe9\xff\r\n', 'A: \xe9\xff\r\n'],
    ['gRPC', 'grpc-status: 0\r\ngrpc-message: \r\n', 'grpc-status: 0\r\ngrpc-message: \r\n'],
    ['framing', 'Transfer-Encoding: gzip\r\nCONTENT-LENGTH: 5\r\nA: 1\r\nTrailer: A\r\n', 'A: 1\r\n'],
    ['framing with underscores', 'content_length: 5\r\nTransfer_Encoding: chunked\r\n', ''],
    ['routing', 'Host: evil.test\r\nX-Envoy-Original-Path: /\r\n', ''],
    ['authentication', 'Authorization: Bearer evil\r\nWWW-Authenticate: x\r\nProxy-Status: y\r\n', ''],
    ['cookies', 'Cookie: a\r\nSet-Cookie: b\r\n', ''],
    ['identity', 'X-Forwarded-Client-Cert: URI=x\r\nx_forwarded_for: 1\r\nForwarded: for=1\r\n', ''],
  ])('pass what may pass: %s', (_, lines, kept) => {
    expect(trailersOf(lines)).toBe(kept);
    expect(trailersOf(lines, '', 1)).toBe(kept);
  });

  test('drop what Connection nominates', () => {
    expect(trailersOf('X-A: 1\r\nX-AB: 2\r\nx-b: 3\r\n', ',x-a,x-b,')).toBe('X-AB: 2\r\n');
  });

  test('are forgotten with the next body', () => {
    const decoder = new BodyDecoder();
    const bytes = Buffer.from('0\r\nA: 1\r\n\r\n');
    decoder.begin(CHUNKED, 0);
    decoder.decode(bytes, 0, bytes.length, SINK);
    expect(decoder.trailers).toBe('A: 1\r\n');
    decoder.begin(CHUNKED, 0);
    expect(decoder.trailers).toBe('');
  });
});
