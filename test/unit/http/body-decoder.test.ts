// Bodies by length, chunked and until close: what is taken, what is refused, however the input is cut.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BODY_MALFORMED,
  BODY_TOO_LARGE,
  BY_LENGTH,
  BodyDecoder,
  CHUNKED,
  TRAILERS_TOO_LARGE,
  UNTIL_CLOSE,
  type BodyKind,
} from '../../../src/http/body-decoder.ts';

interface Decoded {
  readonly body: string;
  /** Bytes that belonged to the body; negative: the code. */
  readonly end: number;
  readonly isComplete: boolean;
}

function decode(kind: BodyKind, text: string, length = 0, cuts: readonly number[] = []): Decoded {
  const decoder = new BodyDecoder();
  decoder.begin(kind, length);
  const bytes = Buffer.from(text, 'latin1');
  let body = '';
  const sink = {
    onBodyBytes: (piece: Buffer, from: number, to: number) => void (body += piece.toString('latin1', from, to)),
  };
  const edges = [...new Set([...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length])].toSorted(
    (a, b) => a - b,
  );
  let start = 0;
  for (const edge of edges) {
    const piece = bytes.subarray(start, edge);
    const end = decoder.decode(piece, 0, piece.length, sink);
    if (end < 0) return { body: '', end, isComplete: false };
    if (decoder.isComplete) return { body, end: start + end, isComplete: true };
    start = edge;
  }
  return { body, end: start, isComplete: decoder.isComplete };
}

describe('chunked', () => {
  test.each([
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['several', '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n', 'hello world'],
    ['hexadecimal in both cases', 'a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'],
    ['leading zeros', '0005\r\nhello\r\n000\r\n\r\n', 'hello'],
    ['extensions', '5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', 'hello'],
    ['a blank before an extension', '5 ;a\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['blanks around the parts of an extension', '5 ;\ta = "b\\"c" ; d\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['trailers', '5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n', 'hello'],
    ['CRLF in the data', '4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'],
  ])('takes %s', (_, text, body) => {
    expect(decode(CHUNKED, text)).toEqual({ body, end: text.length, isComplete: true });
  });

  test.each([
    ['a bare LF after the size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare LF after the data', '5\r\nhello\n0\r\n\r\n'],
    ['an empty size', '\r\nhello\r\n0\r\n\r\n'],
    ['a signed size', '+5\r\nhello\r\n0\r\n\r\n'],
    ['0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a blank before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a blank after the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['more data than the size', '4\r\nhello\r\n0\r\n\r\n'],
    ['CR CR after the size', '5\r\r;ABCD\r\n'],
    ['a bare LF in a trailer', '0\r\nA: b\n\r\n'],
    ['a trailer without a name', '0\r\n: b\r\n\r\n'],
    ['a folded trailer', '0\r\nA: b\r\n c\r\n\r\n'],
    ['a control in an extension', '5;a\x01\r\nhello\r\n'],
    ['an extension without a name', '5;\r\nhello\r\n'],
    ['an extension whose name is no token', '5;(x)=1\r\nhello\r\n'],
    ['an extension whose value is missing', '5;a=\r\nhello\r\n'],
    ['a quote that is not closed', '5;a="b\r\nhello\r\n'],
    ['a backslash that hides the closing quote', '5;a="b\\"\r\nhello\r\n'],
    ['text after the closing quote', '5;a="b"c\r\nhello\r\n'],
    ['a blank after the last extension', '5;a \r\nhello\r\n'],
    ['a blank inside a name', '5;a b\r\nhello\r\n'],
    ['seventeen digits', '00000000000000005\r\nhello\r\n'],
  ])('refuses %s', (_, text) => {
    expect(decode(CHUNKED, text).end).toBe(BODY_MALFORMED);
  });

  test('bounds sizes, extensions and trailers', () => {
    expect(decode(CHUNKED, 'ffffffffffffffff\r\n').end).toBe(BODY_TOO_LARGE);
    expect(decode(CHUNKED, `5;${'a'.repeat(17_000)}`).end).toBe(BODY_TOO_LARGE);
    expect(decode(CHUNKED, `0\r\n${'A: b\r\n'.repeat(100)}\r\n`).isComplete).toBe(true);
    expect(decode(CHUNKED, `0\r\n${'A: b\r\n'.repeat(101)}`).end).toBe(TRAILERS_TOO_LARGE);
    expect(decode(CHUNKED, `0\r\nA: ${'b'.repeat(62_000)}`).end).toBe(TRAILERS_TOO_LARGE);
  });

  test('stops right after the last chunk', () => {
    expect(decode(CHUNKED, '0\r\n\r\nGET /').end).toBe(5);
  });

  test('gives the same result however the input is cut', () => {
    const piece = fc.constantFrom(
      '5\r\nhello\r\n',
      '3;x\r\nabc\r\n',
      '0\r\n\r\n',
      '\r\n',
      '1',
      'g',
      ';',
      'A: b\r\n',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(60), { maxLength: 12 }), (pieces, cuts) => {
        const text = pieces.join('');
        expect(decode(CHUNKED, text, 0, cuts)).toEqual(decode(CHUNKED, text));
      }),
      { numRuns: 2000 },
    );
  });
});

test('a length ends the body at its last byte', () => {
  expect(decode(BY_LENGTH, 'hello, more', 5)).toEqual({ body: 'hello', end: 5, isComplete: true });
  expect(decode(BY_LENGTH, 'hel', 5)).toEqual({ body: 'hel', end: 3, isComplete: false });
});

test('a body until close is complete only when the connection ends', () => {
  const decoder = new BodyDecoder();
  decoder.begin(UNTIL_CLOSE, 0);
  expect(decoder.isComplete).toBe(false);
  expect(decoder.endOfInput()).toBe(true);
  decoder.begin(BY_LENGTH, 3);
  expect(decoder.endOfInput()).toBe(false);
});
