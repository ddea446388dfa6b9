// Wire cases of our own for requests, from the RFCs and from known classes of attacks: every byte in every
// position, targets, hosts, lengths, codings, what Connection may do, pipelines, and the limits to the byte.
import { byteName, chunks, get, message, passed, post, refused } from './make-case.ts';
import type { WireCase } from './wire-case.ts';

const CONTROLS: readonly number[] = [...Array.from({ length: 32 }, (_, code) => code), 0x7f];
const HIGH: readonly number[] = [0x80, 0x85, 0xa0, 0xff];
const DELIMITERS = '"(),/;<=>?@[\\]{}';
const TOKEN_MARKS = "!#$%&'*+-.^_`|~";
const letter = (code: number): string => String.fromCharCode(code);

function bytes(): readonly WireCase[] {
  const inName = [...CONTROLS, 0x20, ...HIGH, ...Array.from(DELIMITERS).map((mark) => mark.charCodeAt(0))];
  return [
    ...[...CONTROLS, ...HIGH].flatMap((code) => [
      refused(`own-byte-method-${byteName(code)}`, message(`G${letter(code)}T / HTTP/1.1`, ['Host: a.test'], '')),
      refused(`own-byte-target-${byteName(code)}`, get(`/a${letter(code)}b`)),
      refused(`own-byte-version-${byteName(code)}`, message(`GET / HTTP/1.${letter(code)}`, ['Host: a.test'], '')),
      refused(`own-byte-host-${byteName(code)}`, message('GET / HTTP/1.1', [`Host: a${letter(code)}b`], '')),
    ]),
    ...inName.map((code) => refused(`own-byte-name-${byteName(code)}`, get('/', `X${letter(code)}A: v`))),
    ...CONTROLS.filter((code) => code !== 0x09).map((code) =>
      refused(`own-byte-value-${byteName(code)}`, get('/', `X-A: a${letter(code)}b`)),
    ),
    ...[0x09, 0x20, ...HIGH].map((code) =>
      passed(`own-byte-value-kept-${byteName(code)}`, get('/', `X-A: a${letter(code)}b`), {
        upstreamMustContain: [`x-a: a${letter(code)}b\r\n`],
      }),
    ),
    ...Array.from(TOKEN_MARKS).map((mark) =>
      passed(`own-byte-name-kept-${byteName(mark.charCodeAt(0))}`, get('/', `X${mark}A: v`), {
        upstreamMustContain: [`x${mark}a: v\r\n`],
      }),
    ),
    passed('own-byte-method-marks', message(`A${TOKEN_MARKS}Z / HTTP/1.1`, ['Host: a.test'], '')),
  ];
}

const START_LINES: readonly (readonly [string, string])[] = [
  ['leading-space', ' GET / HTTP/1.1'],
  ['trailing-space', 'GET / HTTP/1.1 '],
  ['trailing-tab', 'GET / HTTP/1.1\t'],
  ['two-spaces-after-target', 'GET /  HTTP/1.1'],
  ['tab-after-method', 'GET\t/ HTTP/1.1'],
  ['no-version', 'GET /'],
  ['no-version-space', 'GET / '],
  ['no-method', '/ HTTP/1.1'],
  ['only-version', 'HTTP/1.1'],
  ['status-line', 'HTTP/1.1 200 OK'],
  ['lower-case-method', 'get / HTTP/1.1'],
  ['mixed-case-method', 'Get / HTTP/1.1'],
  ['quoted-method', '"GET" / HTTP/1.1'],
  ['lower-case-version', 'GET / http/1.1'],
  ['mixed-case-version', 'GET / Http/1.1'],
  ['zero-before-version', 'GET / HTTP/01.1'],
  ['comma-in-version', 'GET / HTTP/1,1'],
  ['no-dot-in-version', 'GET / HTTP/11'],
  ['letter-in-version', 'GET / HTTP/1.x'],
  ['sign-in-version', 'GET / HTTP/+1.1'],
  ['https-version', 'GET / HTTPS/1.1'],
];

const TARGETS: readonly (readonly [string, string])[] = [
  ['query-only', '?x=1'],
  ['dots-only', '../x'],
  ['host-only', 'a.test'],
  ['host-and-path', 'a.test/x'],
  ['fragment-after-query', '/x?y#z'],
  ['absolute-fragment', 'http://a.test/#x'],
  ['absolute-no-host', 'http:///x'],
  ['absolute-no-host-port', 'http://:80/x'],
  ['absolute-one-slash', 'http:/a.test/x'],
  ['absolute-no-slash', 'http:a.test/x'],
  ['absolute-ftp', 'ftp://a.test/x'],
  ['absolute-file', 'file:///etc/passwd'],
  ['absolute-ws', 'ws://a.test/x'],
  ['absolute-userinfo-empty', 'http://@a.test/'],
  ['absolute-userinfo-host-last', 'http://a.test@evil.test/'],
  ['absolute-port-65536', 'http://a.test:65536/'],
  ['absolute-port-letters', 'http://a.test:80x/'],
  ['absolute-port-sign', 'http://a.test:+80/'],
  ['absolute-zone', 'http://[fe80::1%25eth0]/'],
  ['absolute-ipv6-open', 'http://[::1/'],
  ['absolute-ipv6-bad', 'http://[::1::2]/'],
  ['absolute-backslash', 'http:\\\\a.test\\x'],
  ['absolute-backslash-host', 'http://a.test\\@evil.test/'],
  ['absolute-percent-nul-host', 'http://a%00.test/'],
  ['asterisk-query', '*?x'],
  ['asterisk-twice', '**'],
];

function startLines(): readonly WireCase[] {
  const lines = START_LINES.map(([name, line]) =>
    refused(`own-line-${name}`, message(line, ['Host: a.test'], ''), { statusOk: [400, 505] }),
  );
  const targets = TARGETS.map(([name, target]) => refused(`own-target-${name}`, get(target)));
  const versions = ['0.9', '2.0', '2.1', '3.0', '0.0'].map((version) =>
    refused(`own-version-${version}`, message(`GET / HTTP/${version}`, ['Host: a.test'], ''), { status: 505 }),
  );
  const methods = ['POST', 'PUT', 'DELETE', 'HEAD', 'TRACE', 'PATCH'].flatMap((method) => [
    refused(`own-asterisk-${method}`, message(`${method} * HTTP/1.1`, ['Host: a.test'], '')),
    refused(`own-authority-${method}`, message(`${method} a.test:443 HTTP/1.1`, ['Host: a.test'], '')),
  ]);
  return [
    ...lines,
    ...targets,
    ...versions,
    ...methods,
    passed('own-version-1.2', message('GET / HTTP/1.2', ['Host: a.test'], ''), {
      upstreamMustContain: ['http/1.1\r\n'],
    }),
    passed('own-version-1.9', message('GET / HTTP/1.9', ['Host: a.test'], ''), {
      upstreamMustContain: ['http/1.1\r\n'],
    }),
    ...['443', '80', '0', '65535'].map((port) =>
      refused(`own-connect-${port}`, `CONNECT a.test:${port} HTTP/1.1\r\nHost: a.test\r\n\r\n${get('/smuggled')}`, {
        status: 405,
        statusOk: [400, 405, 404],
        upstreamMustNotContain: ['/smuggled'],
        source: 'RFC9931',
      }),
    ),
    passed('own-absolute-upper-case-scheme', get('HTTP://b.test/p'), {
      upstreamMustContain: ['get /p ', 'host: b.test'],
    }),
    passed('own-absolute-host-differs', get('http://b.test/p'), {
      upstreamMustContain: ['host: b.test\r\n'],
      upstreamMustNotContain: ['host: a.test'],
    }),
    passed('own-absolute-ipv6', get('http://[::1]:8080/p'), {
      upstreamMustContain: ['host: [::1]:8080\r\n', 'get /p '],
    }),
    passed('own-absolute-no-path', get('http://b.test'), {
      upstreamMustContain: ['get / http/1.1', 'host: b.test\r\n'],
    }),
    passed('own-absolute-double-slash', get('http://b.test//p'), { upstreamMustContain: ['get //p '] }),
    passed('own-target-question', get('/?'), { upstreamMustContain: ['get /? '] }),
    passed('own-target-colon', get('/a:80@b//c'), { upstreamMustContain: ['get /a:80@b//c '] }),
    passed('own-target-marks', get('/!$&\'()*+,;=-._~[]{}|^`"<>'), { upstreamMustContain: ['get /!$'] }),
    passed('own-leading-crlf-two', `\r\n\r\n${get('/')}`),
    refused('own-leading-lf', `\n${get('/')}`),
    refused('own-leading-cr', `\r${get('/')}`),
    refused('own-http09', 'GET /\r\n', { statusOk: [400, 505] }),
  ];
}

const BAD_HOSTS: readonly string[] = [
  'a.test, b.test',
  'a.test,b.test',
  'a.test b.test',
  'a.test\tb.test',
  'u@a.test',
  'u:p@a.test',
  'a.test/x',
  'a.test\\x',
  'http://a.test',
  'a.test?x',
  'a.test#x',
  'a.test:80:80',
  'a.test:-1',
  'a.test:+80',
  'a.test:8 0',
  'a.test:80x',
  'a.test:0x50',
  'a.test:65536',
  'a.test:000000080',
  ':80',
  ':',
  '[::1',
  '[::1]x',
  '[]',
  '[]:80',
  '[::g]',
  '[::1::2]',
  '[v1.a]',
  '[fe80::1%25eth0]',
  '[fe80::1%eth0]',
  '::1',
  '[1.2.3.4]',
  'a|b',
  'a^b',
  'a`b',
  'a"b',
  'a<b',
  'a%b',
  'a%4',
  'a%zz',
  'a%00b',
  'a%0db',
  'a{b}',
];

function hosts(): readonly WireCase[] {
  return [
    ...BAD_HOSTS.map((host, index) =>
      refused(`own-host-bad-${index}`, message('GET / HTTP/1.1', [`Host: ${host}`], ''), {
        note: `Host: ${host}`,
        source: 'RFC9110 §7.2, RFC3986 §3.2.2',
      }),
    ),
    ...[
      'a.test:80',
      'a.test:',
      'a_b.test',
      'a~b',
      "a!$&'()*+;=b",
      'a%41b',
      '127.0.0.1',
      '[::ffff:1.2.3.4]',
      '[::1]:',
      'a.test.',
      'xn--a',
    ].map((host, index) =>
      passed(`own-host-good-${index}`, message('GET / HTTP/1.1', [`Host: ${host}`], ''), {
        upstreamMustContain: [`host: ${host}\r\n`],
        note: `Host: ${host}`,
      }),
    ),
    refused('own-host-three', message('GET / HTTP/1.1', ['Host: a.test', 'X: y', 'hOST: a.test', 'HOST: a.test'], '')),
    refused('own-host-absolute-two', message('GET http://a.test/ HTTP/1.1', ['Host: a.test', 'Host: a.test'], '')),
    refused('own-host-absolute-bad', message('GET http://a.test/ HTTP/1.1', ['Host: a b'], '')),
    passed('own-host-blanks', message('GET / HTTP/1.1', ['Host:\t a.test \t'], ''), {
      upstreamMustContain: ['host: a.test\r\n'],
    }),
  ];
}

const BAD_LENGTHS: readonly string[] = [
  '5,5',
  '5,',
  ',5',
  '5, 5, 5',
  '-0',
  '0x5',
  '0b101',
  '0o5',
  '5.0',
  '5e0',
  '5_0',
  '5\t5',
  '"5"',
  '\xb25',
  '5\xa0',
  '5\x85',
  '5;',
  '5 bytes',
  'five',
  'NaN',
  'Infinity',
  '[5]',
  '5/5',
];

function lengths(): readonly WireCase[] {
  const body = 'hello';
  return [
    ...BAD_LENGTHS.map((length, index) =>
      refused(`own-cl-bad-${index}`, post([`Content-Length: ${length}`], body), { note: `Content-Length: ${length}` }),
    ),
    ...['9007199254740992', '9223372036854775808', '1'.repeat(40), '9'.repeat(400)].map((length) =>
      refused(`own-cl-huge-${length.length}`, post([`Content-Length: ${length}`], body), {
        status: 413,
        statusOk: [400, 413],
      }),
    ),
    passed('own-cl-zeros', post([`Content-Length: ${'0'.repeat(30)}5`], body), {
      upstreamMustContain: ['content-length: 5\r\n'],
    }),
    passed('own-cl-zero', post(['Content-Length: 0'], ''), { upstreamMustContain: ['content-length: 0\r\n'] }),
    passed('own-cl-upper-case', post(['CONTENT-LENGTH: 5'], body), { upstreamMustContain: [body] }),
    refused('own-cl-two-cases', post(['Content-Length: 5', 'content-length: 5'], body)),
    refused('own-cl-folded', post(['Content-Length:', ' 5'], body)),
    refused('own-cl-space-colon', post(['Content-Length : 5'], body)),
    refused('own-cl-te-upper', post(['TRANSFER-ENCODING: chunked', 'CONTENT-LENGTH: 5'], '0\r\n\r\n')),
    refused('own-cl-te-bad', post(['Content-Length: x', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
    refused('own-cl-zero-te', post(['Content-Length: 0', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
    refused(
      'own-cl-te-http10',
      message('POST / HTTP/1.0', ['Host: a', 'Content-Length: 5', 'Transfer-Encoding: chunked'], body),
    ),
    ...[
      'content_length: 5',
      'Content_Length: 5',
      'transfer_encoding: chunked',
      'x_forwarded_for: 1',
      'X-Forwarded_Host: a',
      'x_forwarded-client_cert: a',
    ].map((line) => refused(`own-disguise-${line.split(':')[0]}`, get('/', line), { level: 'policy' })),
    passed('own-underscore-kept', get('/', 'x_other: 1'), { upstreamMustContain: ['x_other: 1'] }),
    ...['GET', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH'].map((method) =>
      passed(`own-cl-body-${method}`, message(`${method} /x HTTP/1.1`, ['Host: a.test', 'Content-Length: 5'], body), {
        upstreamMustContain: [body],
      }),
    ),
    refused('own-trace-chunked', message('TRACE / HTTP/1.1', ['Host: a', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
    passed('own-trace', message('TRACE / HTTP/1.1', ['Host: a.test'], '')),
    passed('own-body-then-garbage', `${post(['Content-Length: 5'], body)}\x01\x02garbage\r\n\r\n`, {
      close: true,
      downstreamMustContain: ['http/1.1 200', 'http/1.1 400'],
    }),
  ];
}

const BAD_CODINGS: readonly string[] = [
  'chunked, chunked',
  'identity',
  'identity, chunked',
  'chunked, identity',
  'gzip',
  'deflate',
  'compress',
  'x-gzip, chunked',
  'chunked, gzip',
  'chunked;q=1',
  'chunked; a=b',
  '"chunked"',
  "'chunked'",
  'xchunked',
  'chunkedx',
  'chunked chunked',
  'chunked\xa0',
  '\xa0chunked',
  'chun ked',
  'chunke',
  'cow',
  'cow, chunked',
  'chunked\x85',
  'trailers, chunked',
  '*',
  'chunked, ',
  ', chunked',
  '\\chunked',
  'chunked:',
  'chunked=1',
];

function codings(): readonly WireCase[] {
  const body = '5\r\nhello\r\n0\r\n\r\n';
  return [
    ...BAD_CODINGS.map((coding, index) =>
      refused(`own-te-bad-${index}`, post([`Transfer-Encoding: ${coding}`], body), {
        statusOk: [400, 501],
        note: `Transfer-Encoding: ${coding}`,
      }),
    ),
    ...[
      ['chunked', 'identity'],
      ['identity', 'chunked'],
      ['gzip', 'chunked'],
      ['chunked', ''],
      ['', 'chunked'],
    ].map((pair, index) =>
      refused(
        `own-te-pair-${index}`,
        post(
          pair.map((coding) => `Transfer-Encoding: ${coding}`),
          body,
        ),
        { statusOk: [400, 501] },
      ),
    ),
    ...['CHUNKED', 'cHuNkEd', '\tchunked', 'chunked \t'].map((coding, index) =>
      passed(`own-te-good-${index}`, post([`Transfer-Encoding: ${coding}`], body), {
        upstreamMustContain: ['transfer-encoding: chunked\r\n', 'hello'],
      }),
    ),
    refused('own-te-folded', post(['Transfer-Encoding: chunked,', ' identity'], body)),
    refused('own-te-http10', message('POST / HTTP/1.0', ['Host: a', 'Transfer-Encoding: chunked'], body)),
    refused('own-te-line-feed', `POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n${body}`),
    passed('own-te-in-get', message('GET / HTTP/1.1', ['Host: a.test', 'Transfer-Encoding: chunked'], body), {
      upstreamMustContain: ['hello'],
    }),
  ];
}

const BAD_CHUNKS: readonly string[] = [
  '-5\r\nhello\r\n0\r\n\r\n',
  '0X5\r\nhello\r\n0\r\n\r\n',
  ' 5\r\nhello\r\n0\r\n\r\n',
  '\t5\r\nhello\r\n0\r\n\r\n',
  '5\t\r\nhello\r\n0\r\n\r\n',
  '5h\r\nhello\r\n0\r\n\r\n',
  '5 5\r\nhello\r\n0\r\n\r\n',
  '5.\r\nhello\r\n0\r\n\r\n',
  '5,\r\nhello\r\n0\r\n\r\n',
  ';a\r\nhello\r\n0\r\n\r\n',
  '\r\n5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhell\r\n0\r\n\r\n',
  '5\r\nhello0\r\n\r\n',
  '5\r\nhello\n0\r\n\r\n',
  '5\r\nhello\r0\r\n\r\n',
  '5\r\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\n\n',
  '5\r\nhello\r\n0\r\n\rX',
  '5\n\rhello\r\n0\r\n\r\n',
  '5;\r\nhello\r\n0\r\n\r\n',
  '5;;a\r\nhello\r\n0\r\n\r\n',
  '5;a=\r\nhello\r\n0\r\n\r\n',
  '5;=a\r\nhello\r\n0\r\n\r\n',
  '5;a=b=c\r\nhello\r\n0\r\n\r\n',
  '5;a="b\r\nhello\r\n0\r\n\r\n',
  '5;a="b"c\r\nhello\r\n0\r\n\r\n',
  '5;a=b c\r\nhello\r\n0\r\n\r\n',
  '5;a\nb\r\nhello\r\n0\r\n\r\n',
  '5;a=\x7f\r\nhello\r\n0\r\n\r\n',
  '5;\x80\r\nhello\r\n0\r\n\r\n',
  '5;a="\x00"\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\nA b: c\r\n\r\n',
  '5\r\nhello\r\n0\r\nA : c\r\n\r\n',
  '5\r\nhello\r\n0\r\n: c\r\n\r\n',
  '5\r\nhello\r\n0\r\nA: \x00\r\n\r\n',
  '5\r\nhello\r\n0\r\nA: b\rc\r\n\r\n',
  '5\r\nhello\r\n0\r\nA: b\nC: d\r\n\r\n',
  '5\r\nhello\r\n0\r\n A: b\r\n\r\n',
  '5\r\nhello\r\n0\r\nA\r\n\r\n',
  '5\r\nhello\r\n00000000000000000\r\n\r\n',
];

function chunked(): readonly WireCase[] {
  const smuggled = get('/smuggled');
  return [
    ...BAD_CHUNKS.map((text, index) =>
      refused(`own-chunk-bad-${index}`, chunks(text + smuggled), {
        note: JSON.stringify(text),
        upstreamMustNotContain: ['/smuggled'],
        source: 'RFC9112 §7.1',
      }),
    ),
    ...['ffffffffffffffff', '7fffffffffffffff', '100000000000000000', '20000000000000'].map((size) =>
      refused(`own-chunk-huge-${size}`, chunks(`${size}\r\nhello\r\n0\r\n\r\n`), { statusOk: [400, 413] }),
    ),
    ...[
      '5;a',
      '5 ;a',
      '5;a;b=c;d="e;\\"f"',
      '5\t;\ta\t=\tb',
      `5;${'a'.repeat(16_000)}`,
      "5;!#$%&'*+-.^_`|~=a",
      '5;a="\t \xff"',
    ].map((size, index) =>
      passed(`own-chunk-extension-${index}`, chunks(`${size}\r\nhello\r\n0\r\n\r\n`), {
        upstreamMustContain: ['hello'],
        upstreamMustNotContain: [';'],
      }),
    ),
    passed('own-chunk-many', chunks(`${'1\r\na\r\n'.repeat(300)}0\r\n\r\n`)),
    passed('own-chunk-zeros', chunks('0000000000000005\r\nhello\r\n0000\r\n\r\n'), { upstreamMustContain: ['hello'] }),
    passed('own-trailer-nominated', chunks('0\r\nX-A: evil\r\n\r\n', 'Connection: X-A'), {
      upstreamMustNotContain: ['evil'],
    }),
    passed('own-trailer-disguised', chunks('0\r\ncontent_length: 7411\r\n\r\n'), { upstreamMustNotContain: ['7411'] }),
    refused('own-trailer-too-many', chunks(`0\r\n${'A: b\r\n'.repeat(101)}\r\n`), {
      status: 431,
      statusOk: [400, 413, 431],
    }),
    refused('own-trailer-too-large', chunks(`0\r\nA: ${'b'.repeat(62_000)}\r\n\r\n`), {
      status: 431,
      statusOk: [400, 413, 431],
    }),
    passed('own-chunk-then-request', `${chunks('5\r\nhello\r\n0\r\n\r\n')}${get('/two')}`, {
      requests: 2,
      upstreamMustContain: ['/two'],
    }),
    passed('own-crlf-between', `${get('/one')}\r\n\r\n${get('/two')}\r\n${get('/three')}`, { requests: 3 }),
    passed('own-pipeline-head', `HEAD /one HTTP/1.1\r\nHost: a.test\r\n\r\n${get('/two')}`, { requests: 2 }),
    passed('own-pipeline-after-close', `${get('/one', 'Connection: close')}${get('/two')}`, {
      close: true,
      upstreamMustNotContain: ['/two'],
    }),
    passed('own-pipeline-after-http10', `GET /one HTTP/1.0\r\nHost: a.test\r\n\r\n${get('/two')}`, {
      close: true,
      upstreamMustNotContain: ['/two'],
    }),
    passed(
      'own-pipeline-http10-keep-alive',
      `GET /one HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n${get('/two')}`,
      {
        close: true,
        upstreamMustNotContain: ['/two'],
      },
    ),
  ];
}

function fill(total: number): string {
  const head = get('/', 'X-Fill: ');
  return get('/', `X-Fill: ${'v'.repeat(total - head.length)}`);
}

function many(count: number): readonly string[] {
  return Array.from({ length: count - 1 }, (_, index) => `X-${index}: 1`);
}

function connections(): readonly WireCase[] {
  const nominations = [
    'Host',
    'Content-Length',
    'Cookie',
    'Authorization',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'X-Request-Id',
    'x_forwarded_for',
    'X-Envoy-Internal',
    'Via',
    'Forwarded',
  ];
  return [
    ...nominations.map((name) =>
      refused(`own-nominates-${name}`, get('/', `Connection: ${name}`), {
        level: 'policy',
        source: 'Envoy sanitizeConnectionHeader',
      }),
    ),
    ...['@', 'a b', 'a;b', '"a"', 'a=b', '\xff'].map((option, index) =>
      refused(`own-connection-bad-${index}`, get('/', `Connection: ${option}`)),
    ),
    passed('own-connection-te', get('/', 'Connection: TE, X-One', 'TE: trailers', 'X-One: 1', 'X-Two: 2'), {
      upstreamMustContain: ['x-two: 2'],
      upstreamMustNotContain: ['x-one', 'connection:'],
    }),
    passed(
      'own-connection-h2c',
      get('/', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
      {
        upstreamMustNotContain: ['h2c', 'http2-settings', 'upgrade'],
      },
    ),
    passed('own-connection-transfer-encoding', chunks('5\r\nhello\r\n0\r\n\r\n', 'Connection: Transfer-Encoding'), {
      upstreamMustContain: ['hello'],
    }),
    passed('own-connection-close', get('/', 'Connection: CLOSE'), {
      close: true,
      upstreamMustNotContain: ['connection:'],
    }),
    passed('own-connection-empty', get('/', 'Connection:', 'Connection: ,, ,')),
  ];
}

function fields(): readonly WireCase[] {
  return [
    passed('own-field-empty', get('/', 'X-A:', 'X-B: \t ', 'X-C: c'), {
      upstreamMustContain: ['x-a:', 'x-b:', 'x-c: c'],
    }),
    passed('own-field-twice', get('/', 'X-A: 1', 'X-a: 2', 'x-A: 1'), {
      upstreamMustContain: ['x-a: 1\r\nx-a: 2\r\nx-a: 1\r\n'],
    }),
    refused('own-field-no-colon', get('/', 'X-A')),
    refused('own-field-no-name', get('/', ': v')),
    refused('own-field-space-name', get('/', ' : v')),
    refused('own-field-tab-colon', get('/', 'X-A\t: v')),
    refused('own-field-cr-end', `GET / HTTP/1.1\r\nHost: a.test\r\nX-A: v\r\r\n\r\n`),
    refused('own-field-lf-end', `GET / HTTP/1.1\r\nHost: a.test\r\nX-A: v\n\r\n`),
    refused('own-field-lf-lf', `GET / HTTP/1.1\r\nHost: a.test\n\n`),
    refused('own-field-lfcr', `GET / HTTP/1.1\r\nHost: a.test\n\r\n\r`),
    ...['100-continue, 100-continue', '100-continue, x', 'x', '', '200-ok', '100-continue;a', '100 continue'].map(
      (value, index) =>
        refused(`own-expect-bad-${index}`, post([`Expect: ${value}`, 'Content-Length: 2'], 'ok'), {
          status: 417,
          statusOk: [400, 417],
        }),
    ),
    passed('own-expect-case', post(['Expect: 100-CONTINUE', 'Content-Length: 2'], 'ok')),
    passed(
      'own-expect-http10',
      message('POST /x HTTP/1.0', ['Host: a', 'Expect: 100-continue', 'Content-Length: 2'], 'ok'),
      {
        downstreamMustNotContain: ['100 continue'],
      },
    ),
    passed('own-limit-count-at', get('/', ...many(100)), { level: 'policy' }),
    refused('own-limit-count-over', get('/', ...many(101)), { status: 431, level: 'policy' }),
    passed('own-limit-bytes-at', fill(60 * 1024), { level: 'policy' }),
    refused('own-limit-bytes-over', fill(60 * 1024 + 1), { status: 431, level: 'policy' }),
    refused('own-limit-target-over', get(`/${'a'.repeat(60 * 1024)}`), { status: 414, level: 'policy' }),
    refused('own-limit-method-over', `${'A'.repeat(61 * 1024)} / HTTP/1.1\r\nHost: a\r\n\r\n`, {
      statusOk: [400, 414, 431, 501],
      level: 'policy',
    }),
    refused('own-limit-name-over', get('/', `${'A'.repeat(61 * 1024)}: b`), { status: 431, level: 'policy' }),
    refused('own-limit-no-end', `GET / HTTP/1.1\r\nHost: a.test\r\n${'X-A: b\r\n'.repeat(9000)}`, {
      status: 431,
      level: 'policy',
    }),
  ];
}

export function ownRequests(): readonly WireCase[] {
  return [
    ...bytes(),
    ...startLines(),
    ...hosts(),
    ...lengths(),
    ...codings(),
    ...chunked(),
    ...connections(),
    ...fields(),
  ];
}
