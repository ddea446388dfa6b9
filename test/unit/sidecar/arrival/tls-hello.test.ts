// ClientHellos read from bytes that are cut anywhere, made by hand and by OpenSSL.
import { connect } from 'node:tls';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { TlsHello, type TlsHelloState } from '../../../../src/sidecar/arrival/tls-hello.ts';
import { clientHello } from './tls-hello-builder.ts';

interface Read {
  readonly state: TlsHelloState;
  readonly serverName: string;
  readonly protocols: readonly string[];
}

function read(...pieces: readonly Buffer[]): Read {
  const hello = new TlsHello();
  for (const piece of pieces) hello.feed(piece);
  return { state: hello.state, serverName: hello.serverName, protocols: hello.protocols };
}

const NOTHING = { serverName: '', protocols: [] };

const CASES: readonly (readonly [string, Buffer, Read])[] = [
  ['no extensions', clientHello(), { state: 'complete', ...NOTHING }],
  ['a name', clientHello({ serverName: 'a.Example' }), { state: 'complete', serverName: 'a.example', protocols: [] }],
  [
    'a name and protocols over records of 3 bytes',
    clientHello({ serverName: 'b', protocols: ['h2', 'http/1.1'], recordBytes: 3 }),
    { state: 'complete', serverName: 'b', protocols: ['h2', 'http/1.1'] },
  ],
  ['as long as is read', clientHello({ padding: 16_301 }), { state: 'complete', ...NOTHING }],
  ['one byte longer', clientHello({ padding: 16_302 }), { state: 'too-large', ...NOTHING }],
  ['an empty name', clientHello({ serverName: '' }), { state: 'not-tls', ...NOTHING }],
  ['a name with NUL', clientHello({ serverName: 'a\0b' }), { state: 'not-tls', ...NOTHING }],
  ['an empty protocol', clientHello({ protocols: [''] }), { state: 'not-tls', ...NOTHING }],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), { state: 'not-tls', ...NOTHING }],
  ['SSL 2', Buffer.of(22, 2, 0), { state: 'not-tls', ...NOTHING }],
  ['an empty record', Buffer.of(22, 3, 1, 0, 0), { state: 'not-tls', ...NOTHING }],
  ['another handshake message', Buffer.of(22, 3, 1, 0, 4, 2), { state: 'not-tls', ...NOTHING }],
  ['half of a hello', clientHello().subarray(0, 40), { state: 'incomplete', ...NOTHING }],
];

test.each(CASES)('reads %s', (_, bytes, expected) => {
  expect(read(bytes)).toEqual(expected);
});

test.each(CASES)('reads the same byte by byte: %s', (_, bytes, expected) => {
  expect(read(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(expected);
});

test('reads what OpenSSL sends', async () => {
  const sent = await new Promise<Buffer>((done) => {
    const sink = new Duplex({ read() {}, write: (bytes: Buffer) => done(bytes) });
    connect({ socket: sink, servername: 'shop.example', ALPNProtocols: ['h2'] });
  });
  expect(read(sent)).toEqual({ state: 'complete', serverName: 'shop.example', protocols: ['h2'] });
});
