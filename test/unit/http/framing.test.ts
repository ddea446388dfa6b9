// Where a message ends and what of it concerns only this hop: one row per rule of RFC 9112 section 6.
import { expect, describe, test } from 'vitest';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE } from '../../../src/http/body-decoder.ts';
import { Framing, inspectRequest, inspectResponse } from '../../../src/http/framing.ts';
import { Head } from '../../../src/http/head.ts';
import { HeadParser } from '../../../src/http/head-parser.ts';
import { writeRequestHead } from '../../../src/http/head-writer.ts';

function headOf(kind: 'request' | 'response', start: string, fields: readonly string[]): Head {
  const head = new Head();
  const text = `${start}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
  const code = new HeadParser(kind, { bytesMax: 60_000, countMax: 100 }).parse(Buffer.from(text, 'latin1'), 0, head);
  expect(code).toBeGreaterThan(0);
  return head;
}

function request(
  fields: readonly string[],
  start = 'POST /x HTTP/1.1',
): { status: number; framing: Framing; head: Head } {
  const head = headOf('request', start, fields);
  const framing = new Framing();
  return { status: inspectRequest(head, framing), framing, head };
}

describe('request framing', () => {
  test.each([
    ['no body without a length', [], NO_BODY, 0],
    ['a length', ['Content-Length: 12'], BY_LENGTH, 12],
    ['a zero length', ['Content-Length: 0'], NO_BODY, 0],
    ['chunked in any case', ['Transfer-Encoding: Chunked'], CHUNKED, 0],
  ])('reads %s', (_, fields, kind, length) => {
    const { status, framing } = request(['Host: a', ...fields]);
    expect([status, framing.bodyKind, framing.contentLength]).toEqual([0, kind, length]);
  });

  test.each([
    ['both framings', ['Content-Length: 1', 'Transfer-Encoding: chunked'], 400],
    ['two lengths that differ', ['Content-Length: 1', 'Content-Length: 2'], 400],
    ['two lengths that agree', ['Content-Length: 1', 'Content-Length: 1'], 400],
    ['a list of lengths', ['Content-Length: 1, 1'], 400],
    ['a signed length', ['Content-Length: +1'], 400],
    ['a hexadecimal length', ['Content-Length: 0x1'], 400],
    ['an empty length', ['Content-Length:'], 400],
    ['a length beyond 2^53-1', ['Content-Length: 9007199254740993'], 413],
    ['an unknown coding', ['Transfer-Encoding: xchunked'], 400],
    ['chunked twice', ['Transfer-Encoding: chunked, chunked'], 400],
    ['two coding lines', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 400],
    ['a coding with odd blanks', ['Transfer-Encoding: \x0bchunked'.replace('\x0b', '\xa0')], 400],
    ['a coding that is not ours', ['Transfer-Encoding: gzip, chunked'], 501],
    ['Connection nominating a protected field', ['Connection: X-Forwarded-For'], 400],
  ])('refuses %s', (_, fields, status) => {
    expect(request(['Host: a', ...fields]).status).toBe(status);
  });

  test.each([
    ['no host', [], 400],
    ['an empty host', ['Host:'], 400],
    ['two hosts', ['Host: a', 'Host: a'], 400],
    ['a host with a user', ['Host: u@a'], 400],
    ['a host with a slash', ['Host: a/b'], 400],
    ['a port that is none', ['Host: a:b'], 400],
    ['a port beyond 65535', ['Host: a:65536'], 400],
    ['an open bracket', ['Host: [::1'], 400],
    ['an IPv6 host', ['Host: [::1]:80'], 0],
    ['an empty port', ['Host: a:'], 0],
  ])('judges %s', (_, fields, status) => {
    expect(request(fields).status).toBe(status);
  });

  test('takes chunked from nobody who speaks 1.0', () => {
    expect(request(['Host: a', 'Transfer-Encoding: chunked'], 'POST / HTTP/1.0').status).toBe(400);
  });

  test.each([
    ['GET http://b:81/x?y HTTP/1.1', '/x?y', 'b:81'],
    ['GET http://b HTTP/1.1', '/', 'b'],
    ['GET http://b?y HTTP/1.1', '/?y', 'b'],
    ['OPTIONS * HTTP/1.1', '*', 'a'],
    ['GET //x HTTP/1.1', '//x', 'a'],
  ])('resolves %s', (start, path, authority) => {
    const { status, head } = request(['Host: a'], start);
    expect([status, head.path, head.authority, head.valueAt(0)]).toEqual([0, path, authority, authority]);
  });

  test.each([
    ['GET * HTTP/1.1', 400],
    ['GET x HTTP/1.1', 400],
    ['GET ftp://b/ HTTP/1.1', 400],
    ['GET http:///x HTTP/1.1', 400],
    ['CONNECT b HTTP/1.1', 400],
    ['CONNECT b: HTTP/1.1', 400],
    ['CONNECT :443 HTTP/1.1', 400],
    ['CONNECT / HTTP/1.1', 400],
    ['CONNECT http://b:443/ HTTP/1.1', 400],
    ['CONNECT [::1] HTTP/1.1', 400],
  ])('refuses %s', (start, status) => {
    expect(request(['Host: a'], start).status).toBe(status);
  });

  test('strips what concerns this hop, nominated fields included, and copies the rest as it came', () => {
    const fields = [
      'Host: a',
      'A:  b',
      'Connection: keep-alive, X-One , x-two',
      'X-One: 1',
      'X-Two: 2',
      'Keep-Alive: 5',
      'TE: trailers',
      'X-Three: 3',
    ];
    const { status, head, framing } = request(fields, 'GET / HTTP/1.1');
    expect(status).toBe(0);
    expect(framing.isKeptAlive).toBe(true);
    expect(writeRequestHead(head, NO_BODY)).toBe('GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nX-Three: 3\r\n\r\n');
  });
});

describe('response framing', () => {
  test.each([
    ['HTTP/1.1 200 OK', ['Content-Length: 5'], false, 0, BY_LENGTH, true],
    ['HTTP/1.1 200 OK', ['Transfer-Encoding: chunked'], false, 0, CHUNKED, true],
    ['HTTP/1.1 200 OK', [], false, 0, UNTIL_CLOSE, false],
    ['HTTP/1.1 200 OK', ['Content-Length: 5'], true, 0, NO_BODY, true],
    ['HTTP/1.1 304 Not Modified', ['Content-Length: 5'], false, 0, NO_BODY, true],
    ['HTTP/1.1 204 No Content', [], false, 0, NO_BODY, true],
    ['HTTP/1.1 204 No Content', ['Content-Length: 4'], false, 502, BY_LENGTH, true],
    ['HTTP/1.1 200 OK', ['Content-Length: 5', 'Connection: close'], false, 0, BY_LENGTH, false],
    ['HTTP/1.0 200 OK', ['Content-Length: 5'], false, 0, BY_LENGTH, false],
    ['HTTP/1.1 200 OK', ['Content-Length: 5', 'Transfer-Encoding: chunked'], false, 502, NO_BODY, true],
  ] as const)('%s %j to HEAD %s', (...row) => {
    const [start, fields, isToHead, status, kind, isKeptAlive] = row;
    const framing = new Framing();
    const code = inspectResponse(headOf('response', start, fields), framing, isToHead);
    expect(code).toBe(status);
    if (status === 0) expect([framing.bodyKind, framing.isKeptAlive]).toEqual([kind, isKeptAlive]);
  });
});
