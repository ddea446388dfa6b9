// The HTTP/1.1 parser and the body decoder against generated input: they never throw, take no byte that
// was not given, give the same result however the input is cut, and what the writer makes of a parsed head
// parses to the same head.
import { assert, array, constantFrom, integer, oneof, property, string, type Arbitrary } from 'fast-check';
import { expect, test } from 'vitest';
import { BodyDecoder, CHUNKED, NO_BODY } from '../../src/http/body-decoder.ts';
import { Framing, inspectRequest, inspectResponse } from '../../src/http/framing.ts';
import { HeadParser, INCOMPLETE } from '../../src/http/head-parser.ts';
import { Head } from '../../src/http/head.ts';
import { writeRequestHead, writeResponseHead } from '../../src/http/head-writer.ts';
import { FUZZ_MS, FUZZ_TIMEOUT_MS, fuzzSeed } from './fuzz-budget.ts';

type Side = 'request' | 'response';

const LIMITS = { bytesMax: 400, countMax: 8 };
const seed = fuzzSeed();
const RUN = { seed, numRuns: 1_000_000_000, interruptAfterTimeLimit: FUZZ_MS / 2 };

/** Pieces that heads are made of, sound and not; a quarter of what is made is noise. */
const PIECES: readonly string[] = [
  'GET',
  'POST',
  'HEAD',
  'OPTIONS',
  'CONNECT',
  ' ',
  ' /',
  '/a?b=c',
  '*',
  'http://a.test/p',
  ' HTTP/1.1',
  ' HTTP/1.0',
  'HTTP/1.1',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n\r\n',
  '\r',
  '\n',
  '	',
  ':',
  ': ',
  ',',
  ';',
  '"',
  '\0',
  'ÿ',
  '%00',
  '#',
  '@',
  'Host: a.test',
  'Host: b',
  'Content-Length: 5',
  'Content-Length: 0',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Connection: close',
  'Connection: x-a, te',
  'X-A: 1',
  'X-B:	2 ',
  'content_length: 1',
  'Expect: 100-continue',
  'Upgrade: x',
  'HTTP/1.1 200 OK',
  'HTTP/1.1 204',
  'HTTP/1.1 304 ',
  'HTTP/1.1 101 S',
  '5',
  '0',
  'hello',
  'a'.repeat(150),
];
const SOUND: Readonly<Record<Side, readonly string[]>> = {
  request: ['GET / HTTP/1.1\r\nHost: a.test\r\n', 'POST http://b.test/p HTTP/1.1\r\nHost: a.test\r\n'],
  response: ['HTTP/1.1 200 OK\r\n', 'HTTP/1.1 404 Not Found\r\nServer: x\r\n'],
};
const CHUNK_PIECES: readonly string[] = [
  '5\r\nhello\r\n',
  '1\r\na\r\n',
  '0\r\n',
  '\r\n',
  '\r\n',
  '5',
  '0',
  'a',
  'F',
  ';',
  ';a=b',
  '; c = "d\\" e"',
  '"',
  '\\',
  ' ',
  '	',
  'hello',
  'X-T: 1\r\n',
  'Content-Length: 9\r\n',
  ':',
  '\n',
  '\r',
  '\0',
  'ÿ',
  'fffffffffffff',
  'a b: c\r\n',
];

const noise: Arbitrary<string> = string({
  unit: integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 6,
});
const pieces = (from: readonly string[]): Arbitrary<string> =>
  array(oneof({ weight: 9, arbitrary: constantFrom(...from) }, { weight: 1, arbitrary: noise }), { maxLength: 14 }).map(
    (all) => all.join(''),
  );
const heads = (side: Side): Arbitrary<string> =>
  oneof(
    pieces(PIECES),
    pieces(PIECES).map((text) => `${SOUND[side][text.length % 2] ?? ''}${text}\r\n\r\n`),
  );
const cuts: Arbitrary<readonly number[]> = array(integer({ min: 1, max: 60 }), { maxLength: 12 });

interface Parsed {
  readonly code: number;
  /** Bytes taken, when the head is complete. */
  readonly taken: number;
  readonly head: Head;
}

/** Cuts repeat until the end; none: one piece. */
function split(text: string, sizes: readonly number[]): readonly Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const found: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[index % sizes.length] ?? 1);
    found.push(bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

function parse(side: Side, text: string, sizes: readonly number[]): Parsed {
  const parser = new HeadParser(side, LIMITS);
  const head = new Head();
  let before = 0;
  for (const piece of split(text, sizes)) {
    const code = parser.parse(piece, 0, head);
    // A response is refused in one way only, whatever is wrong with it.
    if (code < 0) return { code: side === 'request' ? code : -502, taken: 0, head };
    if (code !== INCOMPLETE) {
      expect(code).toBeLessThanOrEqual(piece.length);
      return { code: 1, taken: before + code, head };
    }
    before += piece.length;
  }
  return { code: INCOMPLETE, taken: 0, head };
}

function describeHead(head: Head): unknown {
  const fields = Array.from({ length: head.count }, (_, i) =>
    head.isRemovedAt(i) ? '' : `${head.nameAt(i)}: ${head.valueAt(i)}`,
  );
  const { method, path, status, reason } = head;
  return { method, path, status, reason, fields: fields.filter((field) => field !== '') };
}

function checkHead(side: Side, text: string, sizes: readonly number[]): void {
  const whole = parse(side, text, []);
  const cut = parse(side, text, sizes);
  expect([cut.code, cut.taken]).toEqual([whole.code, whole.taken]);
  if (whole.code !== 1) return;
  expect(describeHead(cut.head)).toEqual(describeHead(whole.head));
  const { head } = whole;
  const framing = new Framing();
  const status = side === 'request' ? inspectRequest(head, framing) : inspectResponse(head, framing, false);
  // HTTP/1.0 may come without a host, but goes no further then.
  if (status !== 0 || (side === 'request' && head.authority === '')) return;
  const written =
    side === 'request' ? writeRequestHead(head, framing.bodyKind) : writeResponseHead(head, framing.bodyKind, '');
  const again = new Head();
  const length = new HeadParser(side, { bytesMax: 10_000, countMax: 100 }).parse(
    Buffer.from(written, 'latin1'),
    0,
    again,
  );
  expect(length).toBe(written.length);
  const reread = new Framing();
  expect(side === 'request' ? inspectRequest(again, reread) : inspectResponse(again, reread, false)).toBe(0);
  if (side === 'request') {
    expect([again.method, again.path, again.authority]).toEqual([head.method, head.path, head.authority]);
    expect(reread.bodyKind).toBe(framing.bodyKind);
  } else if (framing.bodyKind !== NO_BODY) {
    expect([again.status, reread.bodyKind]).toEqual([head.status, framing.bodyKind]);
  }
}

test.each<Side>(['request', 'response'])(
  'a %s head parses the same however it is cut, and is written as it was read',
  (side) => {
    assert(
      property(heads(side), cuts, (text, sizes) => checkHead(side, text, sizes)),
      RUN,
    );
  },
  FUZZ_TIMEOUT_MS,
);

function decode(text: string, sizes: readonly number[]): unknown {
  const decoder = new BodyDecoder();
  decoder.begin(CHUNKED, 0);
  let body = '';
  let before = 0;
  const sink = {
    onBodyBytes: (bytes: Buffer, from: number, to: number) => void (body += bytes.toString('latin1', from, to)),
  };
  for (const piece of split(text, sizes)) {
    const end = decoder.decode(piece, 0, piece.length, sink);
    if (end < 0) return { code: end, body };
    expect(end).toBeLessThanOrEqual(piece.length);
    if (decoder.isComplete) return { code: 1, body, taken: before + end, trailers: decoder.trailers };
    before += piece.length;
  }
  return { code: 0, body };
}

function expectSameBody(text: string, sizes: readonly number[]): void {
  expect(decode(text, sizes)).toEqual(decode(text, []));
}

test(
  'a chunked body decodes the same however it is cut',
  () => {
    const bodies = pieces(CHUNK_PIECES);
    assert(property(bodies, cuts, expectSameBody), RUN);
  },
  FUZZ_TIMEOUT_MS,
);
