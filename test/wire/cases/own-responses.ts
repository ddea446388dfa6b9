// Wire cases of our own for responses, from the RFCs and from known classes of attacks: every byte in every
// position, status lines, framing, interim responses, bodies that are cut, and bytes that nobody asked for.
import { answered, broken, byteName, message, ok } from './make-case.ts';
import type { WireCase } from './wire-case.ts';

const CONTROLS: readonly number[] = [...Array.from({ length: 32 }, (_, code) => code), 0x7f];
const HIGH: readonly number[] = [0x80, 0x85, 0xa0, 0xff];
const letter = (code: number): string => String.fromCharCode(code);
const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL';
const HEAD_REQUEST = { request: 'HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n' };

const BODY = '5\r\nhello\r\n0\r\n\r\n';

function bytes(): readonly WireCase[] {
  const inName = [...CONTROLS, 0x20, ...HIGH, ...Array.from('"(),/;<=>?@[\\]{}').map((mark) => mark.charCodeAt(0))];
  return [
    ...CONTROLS.filter((code) => code !== 0x09).flatMap((code) => [
      broken(
        `own-res-byte-reason-${byteName(code)}`,
        message(`HTTP/1.1 200 O${letter(code)}K`, ['Content-Length: 2'], 'ok'),
      ),
      broken(`own-res-byte-value-${byteName(code)}`, ok([`X-A: a${letter(code)}b`, 'Content-Length: 2'], 'ok')),
      broken(
        `own-res-byte-status-${byteName(code)}`,
        message(`HTTP/1.1 2${letter(code)}0 OK`, ['Content-Length: 2'], 'ok'),
      ),
    ]),
    ...inName.map((code) =>
      broken(`own-res-byte-name-${byteName(code)}`, ok([`X${letter(code)}A: v`, 'Content-Length: 2'], 'ok')),
    ),
    ...[0x09, 0x20, ...HIGH].flatMap((code) => [
      answered(`own-res-byte-value-kept-${byteName(code)}`, ok([`X-A: a${letter(code)}b`, 'Content-Length: 2'], 'ok'), {
        downstreamMustContain: [`x-a: a${letter(code)}b\r\n`],
      }),
      answered(
        `own-res-byte-reason-kept-${byteName(code)}`,
        message(`HTTP/1.1 200 O${letter(code)}K`, ['Content-Length: 2'], 'ok'),
      ),
    ]),
  ];
}

const BAD_LINES: readonly string[] = [
  'HTTP/1.1',
  'HTTP/1.1 ',
  'HTTP/1.1  200 OK',
  'HTTP/1.1\t200 OK',
  ' HTTP/1.1 200 OK',
  'HTTP/1.1 2O0 OK',
  'HTTP/1.1 -20 OK',
  'HTTP/1.1 +20 OK',
  'HTTP/1.1 200OK',
  'HTTP/1.1 20',
  'HTTP/1.1 099 X',
  'HTTP/1.1 OK 200',
  'HTTP/1 200 OK',
  'HTTP/11 200 OK',
  'HTTP/1.10 200 OK',
  'HTTP/01.1 200 OK',
  'HTTP/0.9 200 OK',
  'HTTP/3.0 200 OK',
  'ICY 200 OK',
  'Http/1.1 200 OK',
  'HTTPS/1.1 200 OK',
  'GET / HTTP/1.1',
  'HTTP/1.1 0x1 OK',
  'HTTP/1.1 \xb200 OK',
];

function lines(): readonly WireCase[] {
  return [
    ...BAD_LINES.map((line, index) =>
      broken(`own-res-line-${index}`, message(line, ['Content-Length: 2'], 'ok'), {
        note: line,
        downstreamMustNotContain: ['ok'],
      }),
    ),
    ...['200', '201', '299', '301', '404', '500', '599', '700', '999'].map((status) =>
      answered(`own-res-status-${status}`, message(`HTTP/1.1 ${status} X`, ['Content-Length: 2'], 'ok'), {
        status: Number(status),
      }),
    ),
    answered('own-res-version-1.2', message('HTTP/1.2 200 OK', ['Content-Length: 2'], 'ok'), {
      downstreamMustContain: ['http/1.1 200'],
    }),
    answered('own-res-version-1.0', message('HTTP/1.0 200 OK', ['Content-Length: 2'], 'ok'), {
      downstreamMustContain: ['http/1.1 200'],
      close: true,
    }),
    answered('own-res-version-1.0-until-close', message('HTTP/1.0 200 OK', [], 'hello'), {
      eof: 'fin',
      downstreamMustContain: ['hello'],
      close: true,
    }),
    broken('own-res-version-1.0-chunked', message('HTTP/1.0 200 OK', ['Transfer-Encoding: chunked'], '0\r\n\r\n')),
    broken('own-res-line-feed-first', `\n${EVIL}`, { downstreamMustNotContain: ['evil'] }),
    broken('own-res-nothing', '', { eof: 'fin', status: 503 }),
    broken('own-res-half-line', 'HTTP/1.1 20', { eof: 'fin', statusOk: [502, 503] }),
    broken('own-res-half-line-reset', 'HTTP/1.1 20', { eof: 'rst', statusOk: [502, 503] }),
    broken('own-res-binary', '\x16\x03\x01\x00\x05hello', {}),
  ];
}

const BAD_LENGTHS: readonly string[] = [
  '5,5',
  '5, 5',
  '+5',
  '-5',
  '0x5',
  '5.0',
  '5 5',
  '5;',
  '',
  ',',
  '5,',
  '\xa05',
  '5\x85',
  'five',
  '1e1',
  '\xb9',
  '18446744073709551621',
  '9007199254740993',
];

const BAD_CODINGS: readonly string[] = [
  'chunked, chunked',
  'identity',
  'gzip',
  'gzip, chunked',
  'chunked, identity',
  'chunked;q=1',
  '"chunked"',
  'xchunked',
  'chunked\xa0',
  '\xa0chunked',
  ', chunked',
  'chunked,',
  '',
  'cow',
  'chunked chunked',
];

function framing(): readonly WireCase[] {
  return [
    ...BAD_LENGTHS.map((length, index) =>
      broken(`own-res-cl-${index}`, ok([`Content-Length: ${length}`], 'hello'), {
        note: length,
        eof: 'fin',
        downstreamMustNotContain: ['hello'],
      }),
    ),
    ...BAD_CODINGS.map((coding, index) =>
      broken(`own-res-te-${index}`, ok([`Transfer-Encoding: ${coding}`], BODY), {
        note: coding,
        eof: 'fin',
        downstreamMustNotContain: ['hello'],
      }),
    ),
    broken('own-res-cl-te', ok(['Content-Length: 5', 'Transfer-Encoding: chunked'], BODY), {
      downstreamMustNotContain: ['hello'],
    }),
    broken('own-res-te-cl', ok(['Transfer-Encoding: chunked', 'Content-Length: 5'], BODY), {
      downstreamMustNotContain: ['hello'],
    }),
    broken('own-res-te-twice', ok(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], BODY)),
    broken('own-res-cl-folded', ok(['Content-Length:', ' 5'], 'hello')),
    broken('own-res-te-folded', ok(['Transfer-Encoding:', '\tchunked'], BODY)),
  ];
}

function endings(): readonly WireCase[] {
  return [
    broken('own-res-204-chunked', message('HTTP/1.1 204 No Content', ['Transfer-Encoding: chunked'], BODY), {
      downstreamMustNotContain: ['hello'],
    }),
    broken('own-res-204-length', message('HTTP/1.1 204 No Content', ['Content-Length: 5'], 'hello'), {
      downstreamMustNotContain: ['hello'],
    }),
    answered('own-res-204-extra', message('HTTP/1.1 204 No Content', [], EVIL), {
      status: 204,
      close: true,
      downstreamMustNotContain: ['evil'],
    }),
    answered('own-res-205-empty', message('HTTP/1.1 205 Reset Content', ['Content-Length: 0'], ''), {
      status: 205,
      close: false,
    }),
    answered('own-res-304-chunked', message('HTTP/1.1 304 Not Modified', ['Transfer-Encoding: chunked'], ''), {
      status: 304,
    }),
    answered('own-res-304-length', message('HTTP/1.1 304 Not Modified', ['Content-Length: 7'], ''), {
      status: 304,
      close: false,
    }),
    answered('own-res-head-chunked', ok(['Transfer-Encoding: chunked'], ''), { context: HEAD_REQUEST, close: false }),
    answered('own-res-head-none', ok([], ''), { context: HEAD_REQUEST }),
    answered('own-res-head-chunks', ok(['Transfer-Encoding: chunked'], BODY), {
      context: HEAD_REQUEST,
      close: true,
      downstreamMustNotContain: ['hello'],
    }),
    broken('own-res-head-bad-length', ok(['Content-Length: x'], ''), { context: HEAD_REQUEST }),
    answered('own-res-empty', ok(['Content-Length: 0'], ''), { close: false }),
    answered('own-res-close', ok(['Connection: close', 'Content-Length: 2'], 'ok'), { close: true }),
    answered('own-res-until-close-empty', ok([], ''), { eof: 'fin', close: true }),
    broken('own-res-short', ok(['Content-Length: 10'], 'hello'), { eof: 'fin', abort: true }),
    broken('own-res-short-reset', ok(['Content-Length: 10'], 'hello'), { eof: 'rst', abort: true }),
    broken('own-res-short-none', ok(['Content-Length: 10'], ''), { eof: 'fin', abort: true }),
    answered('own-res-second', `${ok(['Content-Length: 2'], 'ok')}${EVIL}`, {
      close: true,
      downstreamMustNotContain: ['evil'],
    }),
    answered('own-res-second-after-chunks', `${ok(['Transfer-Encoding: chunked'], '2\r\nok\r\n0\r\n\r\n')}${EVIL}`, {
      close: true,
      downstreamMustNotContain: ['evil'],
    }),
    answered('own-res-second-after-304', `${message('HTTP/1.1 304 Not Modified', [], '')}${EVIL}`, {
      status: 304,
      close: true,
      downstreamMustNotContain: ['evil'],
    }),
    answered('own-res-crlf-after', `${ok(['Content-Length: 2'], 'ok')}\r\n`, { close: true }),
    answered(
      'own-res-trailer-framing',
      ok(['Transfer-Encoding: chunked'], '2\r\nok\r\n0\r\nContent-Length: 7411\r\nSet-Cookie: evil\r\n\r\n'),
      {
        close: false,
        downstreamMustNotContain: ['7411', 'evil'],
      },
    ),
    answered(
      'own-res-trailer-nominated',
      ok(['Connection: X-T', 'Transfer-Encoding: chunked'], '0\r\nX-T: evil\r\n\r\n'),
      { downstreamMustNotContain: ['evil'] },
    ),
  ];
}

const BAD_CHUNKS: readonly string[] = [
  '-5\r\nhello\r\n0\r\n\r\n',
  ' 5\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  '5\r\nhello\n0\r\n\r\n',
  '5\r\nhello\r\n0\n\r\n',
  '5\r\nhello\r\n0\r\n\n',
  '5\r\nhell\r\n0\r\n\r\n',
  '5;\r\nhello\r\n0\r\n\r\n',
  '5;a=\r\nhello\r\n0\r\n\r\n',
  '5;a="b\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\nA b: c\r\n\r\n',
  '5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n',
  '5\r\nhello\r\n0\r\nbad\r\n\r\n',
  'ffffffffffffffff\r\nhello\r\n0\r\n\r\n',
  '\r\n0\r\n\r\n',
  '5_0\r\nhello\r\n0\r\n\r\n',
  '00000000000000005\r\nhello\r\n0\r\n\r\n',
];

function chunked(text: string): string {
  return ok(['Transfer-Encoding: chunked'], text);
}

function many(count: number): string {
  return Array.from({ length: count - 1 }, (_, index) => `X-${index}: 1`).join('\r\n');
}

function streams(): readonly WireCase[] {
  const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
  const final = ok(['Content-Length: 2'], 'ok');
  return [
    ...BAD_CHUNKS.map((text, index) =>
      broken(`own-res-chunk-${index}`, chunked(text), { note: JSON.stringify(text), abort: true }),
    ),
    ...[
      '',
      '5',
      '5\r\n',
      '5\r\nhel',
      '5\r\nhello',
      '5\r\nhello\r\n0',
      '5\r\nhello\r\n0\r\n',
      '5\r\nhello\r\n0\r\nA: b\r\n',
    ].map((text, index) => broken(`own-res-chunk-cut-${index}`, chunked(text), { eof: 'fin', abort: true })),
    broken('own-res-chunk-cut-reset', chunked('5\r\nhel'), { eof: 'rst', abort: true }),
    answered('own-res-interim-most', interim.repeat(32) + final, { downstreamMustContain: ['ok'], level: 'policy' }),
    broken('own-res-interim-too-many', interim.repeat(33) + final, {
      abort: true,
      statusOk: [502, 503],
      level: 'policy',
    }),
    broken('own-res-interim-length', `HTTP/1.1 103 E\r\nContent-Length: 2\r\n\r\nok${final}`, { abort: true }),
    broken('own-res-interim-then-nothing', interim, { eof: 'fin', abort: true, statusOk: [502, 503] }),
    broken('own-res-interim-then-garbage', `${interim}garbage\r\n\r\n`, { abort: true, statusOk: [502, 503] }),
    answered('own-res-100-unasked', `HTTP/1.1 100 Continue\r\n\r\n${final}`, { downstreamMustContain: ['ok'] }),
    broken(
      'own-res-101-after-interim',
      `${interim}HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nEVIL`,
      {
        abort: true,
        downstreamMustNotContain: ['evil'],
      },
    ),
  ];
}

function fields(): readonly WireCase[] {
  return [
    answered('own-res-limit-count-at', `HTTP/1.1 200 OK\r\n${many(100)}\r\nContent-Length: 2\r\n\r\nok`, {
      level: 'policy',
    }),
    broken('own-res-limit-count-over', `HTTP/1.1 200 OK\r\n${many(101)}\r\nContent-Length: 2\r\n\r\nok`, {
      statusOk: [502, 503],
      level: 'policy',
    }),
    answered('own-res-limit-bytes-at', ok([`X: ${'v'.repeat(80 * 1024 - 43)}`, 'Content-Length: 2'], 'ok'), {
      level: 'policy',
    }),
    broken('own-res-limit-bytes-over', ok([`X: ${'v'.repeat(80 * 1024 - 42)}`, 'Content-Length: 2'], 'ok'), {
      statusOk: [502, 503],
      level: 'policy',
    }),
    answered(
      'own-res-nominated',
      ok(
        ['Connection: X-S, keep-alive', 'X-S: secret', 'Upgrade: h2c', 'TE: x', 'Trailer: X', 'Content-Length: 2'],
        'ok',
      ),
      {
        downstreamMustNotContain: ['secret', 'h2c', '\r\nte:', 'trailer:'],
      },
    ),
    broken('own-res-nominates-length', ok(['Connection: Content-Length', 'Content-Length: 2'], 'ok')),
    answered('own-res-blank-before-colon', ok(['X-A \t: 1', 'Content-Length\t: 2'], 'ok'), {
      downstreamMustContain: ['x-a: 1\r\n', 'content-length: 2\r\n'],
      close: false,
    }),
    broken('own-res-blank-name', ok([' : 1', 'Content-Length: 2'], 'ok')),
    broken('own-res-lines-lf', 'HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok'),
    broken('own-res-lines-cr', 'HTTP/1.1 200 OK\r\nX: y\rContent-Length: 2\r\n\r\nok'),
    broken('own-res-fold', ok(['X: y', '\tz', 'Content-Length: 2'], 'ok')),
  ];
}

export function ownResponses(): readonly WireCase[] {
  return [...bytes(), ...lines(), ...framing(), ...endings(), ...streams(), ...fields()];
}
