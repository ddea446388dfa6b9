// Heads that are taken and heads that are refused, in one piece and byte by byte.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Head } from '../../../src/http/head.ts';
import {
  BAD_VERSION,
  HEAD_TOO_LARGE,
  HeadParser,
  INCOMPLETE,
  MALFORMED,
  TARGET_TOO_LONG,
} from '../../../src/http/head-parser.ts';

const LIMITS = { bytesMax: 4096, countMax: 10 };

interface Parsed {
  readonly code: number;
  readonly start: string;
  readonly fields: readonly (readonly [string, string])[];
}

/** Feeds `text` in the pieces given; what came of it, and how many bytes belonged to the head. */
function parse(text: string, cuts: readonly number[] = [], kind: 'request' | 'response' = 'request'): Parsed {
  const parser = new HeadParser(kind, LIMITS);
  const head = new Head();
  const bytes = Buffer.from(text, 'latin1');
  const edges = [...new Set([...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length])].toSorted(
    (a, b) => a - b,
  );
  let start = 0;
  for (const edge of edges) {
    const code = parser.parse(bytes.subarray(start, edge), 0, head);
    if (code < 0) return { code, start: '', fields: [] };
    if (code > 0) return { code: start + code, start: startOf(head), fields: fieldsOf(head) };
    start = edge;
  }
  return { code: INCOMPLETE, start: '', fields: [] };
}

function startOf(head: Head): string {
  return head.status === 0
    ? `${head.method} ${head.path} 1.${head.minor}`
    : `${head.status} ${head.reason} 1.${head.minor}`;
}

function fieldsOf(head: Head): [string, string][] {
  return Array.from({ length: head.count }, (_, i) => [head.nameAt(i), head.valueAt(i)]);
}

describe('request heads that are valid', () => {
  test.each([
    ['the simplest', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'GET / 1.1', [['Host', 'a']]],
    ['no fields', 'GET / HTTP/1.0\r\n\r\n', 'GET / 1.0', []],
    ['blanks around a value', 'GET / HTTP/1.1\r\nA: \t b c \t\r\n\r\n', 'GET / 1.1', [['A', 'b c']]],
    [
      'no blank and empty values',
      'GET / HTTP/1.1\r\nA:b\r\nC:\r\nD: \r\n\r\n',
      'GET / 1.1',
      [
        ['A', 'b'],
        ['C', ''],
        ['D', ''],
      ],
    ],
    ['obs-text in a value', 'GET / HTTP/1.1\r\nA: \xe9\xff\r\n\r\n', 'GET / 1.1', [['A', '\xe9\xff']]],
    ['an unknown method and a query', 'PURGE /a?b=c&d HTTP/1.1\r\n\r\n', 'PURGE /a?b=c&d 1.1', []],
    ['version 1.2 taken for 1.1', 'GET / HTTP/1.2\r\n\r\n', 'GET / 1.1', []],
    ['empty lines before it', '\r\n\r\nGET / HTTP/1.1\r\n\r\n', 'GET / 1.1', []],
    [
      'names that JavaScript objects know',
      'GET / HTTP/1.1\r\n__proto__: a\r\nconstructor: b\r\n\r\n',
      'GET / 1.1',
      [
        ['__proto__', 'a'],
        ['constructor', 'b'],
      ],
    ],
  ])('takes %s', (_, text, start, fields) => {
    expect(parse(text)).toEqual({ code: text.length, start, fields });
  });

  test('stops right after the empty line', () => {
    expect(parse('GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n').code).toBe(18);
  });
});

const REFUSED: readonly (readonly [string, string, number])[] = [
  ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', MALFORMED],
  ['a bare LF after a field', 'GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n', MALFORMED],
  ['a bare CR in a value', 'GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n', MALFORMED],
  ['NUL', 'GET / HTTP/1.1\r\nA: b\0\r\n\r\n', MALFORMED],
  ['a control in a value', 'GET / HTTP/1.1\r\nA: b\x01\r\n\r\n', MALFORMED],
  ['DEL in a value', 'GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n', MALFORMED],
  ['obs-fold', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n', MALFORMED],
  ['a blank before the colon', 'GET / HTTP/1.1\r\nA : b\r\n\r\n', MALFORMED],
  ['a blank before the first name', 'GET / HTTP/1.1\r\n A: b\r\n\r\n', MALFORMED],
  ['an empty name', 'GET / HTTP/1.1\r\n: b\r\n\r\n', MALFORMED],
  ['a name with a non-token byte', 'GET / HTTP/1.1\r\nA(b: c\r\n\r\n', MALFORMED],
  ['a line without a colon', 'GET / HTTP/1.1\r\nAbc\r\n\r\n', MALFORMED],
  ['two blanks after the method', 'GET  / HTTP/1.1\r\n\r\n', MALFORMED],
  ['a blank in the target', 'GET /a b HTTP/1.1\r\n\r\n', MALFORMED],
  ['a blank after the version', 'GET / HTTP/1.1 \r\n\r\n', MALFORMED],
  ['a tab for a blank', 'GET\t/ HTTP/1.1\r\n\r\n', MALFORMED],
  ['a fragment', 'GET /a#b HTTP/1.1\r\n\r\n', MALFORMED],
  ['a raw 8-bit byte in the target', 'GET /\xe9 HTTP/1.1\r\n\r\n', MALFORMED],
  ['a lower-case method', 'get / HTTP/1.1\r\n\r\n', MALFORMED],
  ['no method', ' / HTTP/1.1\r\n\r\n', MALFORMED],
  ['HTTP/0.9', 'GET /\r\n\r\n', MALFORMED],
  ['a lower-case protocol', 'GET / http/1.1\r\n\r\n', MALFORMED],
  ['a version without a digit', 'GET / HTTP/1.x\r\n\r\n', MALFORMED],
  ['a version with two digits', 'GET / HTTP/1.10\r\n\r\n', MALFORMED],
  ['HTTP/2.0 in a request line', 'GET / HTTP/2.0\r\n\r\n', BAD_VERSION],
  ['a TLS hello', '\x16\x03\x01\x02\0\x01\0', MALFORMED],
  ['one field more than the limit', `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(11)}\r\n`, HEAD_TOO_LARGE],
  ['a head beyond the limit', `GET / HTTP/1.1\r\nA: ${'b'.repeat(5000)}\r\n\r\n`, HEAD_TOO_LARGE],
  ['a target beyond the limit', `GET /${'a'.repeat(5000)} HTTP/1.1\r\n\r\n`, TARGET_TOO_LONG],
  ['too many empty lines', `${'\r\n'.repeat(17)}GET / HTTP/1.1\r\n\r\n`, MALFORMED],
];

describe('request heads that are not', () => {
  test.each(REFUSED)('refuses %s, in one piece and byte by byte', (_, text, code) => {
    expect(parse(text).code).toBe(code);
    const everywhere = Array.from({ length: text.length }, (__, i) => i);
    expect(parse(text, everywhere).code).toBe(code);
  });

  test('refuses garbage at once, without waiting for the end of the head', () => {
    expect(parse('GET / HTTP/1.1\r\nA: b\n').code).toBe(MALFORMED);
    expect(parse('GET / HTTP/1.1\r\nA: b\r').code).toBe(INCOMPLETE);
  });

  test('holds up to the limit and no further', () => {
    const start = 'GET / HTTP/1.1\r\nA: ';
    expect(parse(start + 'b'.repeat(4096 - start.length)).code).toBe(INCOMPLETE);
    expect(parse(start + 'b'.repeat(4097 - start.length)).code).toBe(HEAD_TOO_LARGE);
  });

  test('takes ten fields when ten are allowed', () => {
    expect(parse(`GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(10)}\r\n`).fields).toHaveLength(10);
  });
});

describe('response heads', () => {
  test.each([
    ['with a reason', 'HTTP/1.1 200 OK\r\nA: b\r\n\r\n', '200 OK 1.1'],
    ['with an empty reason', 'HTTP/1.1 200 \r\n\r\n', '200  1.1'],
    ['without the blank', 'HTTP/1.1 404\r\n\r\n', '404  1.1'],
    ['of a status beyond the classes', 'HTTP/1.1 600 X\r\n\r\n', '600 X 1.1'],
    ['of version 1.0', 'HTTP/1.0 503 Not Now\r\n\r\n', '503 Not Now 1.0'],
  ])('takes one %s', (_, text, start) => {
    expect(parse(text, [], 'response').start).toBe(start);
  });

  test.each([
    ['another protocol', 'SSH-2.0-x\r\n'],
    ['two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['status 099', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['two blanks', 'HTTP/1.1  200 OK\r\n\r\n'],
    ['an empty line before', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\n\r\n'],
  ])('refuses %s', (_, text) => {
    expect(parse(text, [], 'response').code).toBeLessThan(0);
  });
});

test('gives the same result however the input is cut', () => {
  const token = fc.string({ unit: fc.constantFrom(...Array.from('abcXYZ-_~1 \t:\r\n\0é')), maxLength: 12 });
  const message = fc.tuple(token, fc.array(fc.tuple(token, token), { maxLength: 6 })).map(([target, fields]) => {
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return `GET /${target} HTTP/1.1\r\n${lines}\r\nrest`;
  });
  const cuts = fc.array(fc.nat(200), { maxLength: 20 });
  fc.assert(
    fc.property(message, cuts, (text, at) => {
      expect(parse(text, at)).toEqual(parse(text));
    }),
    { numRuns: 2000 },
  );
});
