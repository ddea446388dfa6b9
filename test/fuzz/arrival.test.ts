// The three parsers of what a connection brings first: they never throw, and wherever the same bytes are
// cut they say the same.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { HttpPreface } from '../../src/sidecar/arrival/http-preface.ts';
import { parseProxyHeader } from '../../src/sidecar/arrival/proxy-protocol.ts';
import { TlsHello } from '../../src/sidecar/arrival/tls-hello.ts';
import { clientHello } from '../unit/sidecar/arrival/tls-hello-builder.ts';

const SEEDS = [
  clientHello({ serverName: 'a.example', protocols: ['h2', 'http/1.1'], recordBytes: 40 }),
  Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n'),
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\nGET'),
  Buffer.from(
    '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x04\0\x01x',
    'latin1',
  ),
];

/** A seed with some bytes changed, or plain noise. */
const bytes = fc.oneof(
  fc
    .tuple(fc.constantFrom(...SEEDS), fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }))
    .map(([seed, changes]) => {
      const changed = Buffer.from(seed);
      for (const [at, value] of changes) if (at < changed.length) changed[at] = value;
      return changed;
    }),
  fc.uint8Array({ maxLength: 300 }).map((noise) => Buffer.from(noise)),
);
const cut = fc.tuple(bytes, fc.array(fc.nat(300), { maxLength: 5 })).map(([whole, cuts]) => {
  const at = [0, ...cuts.filter((place) => place < whole.length).toSorted((a, b) => a - b), whole.length];
  return { whole, pieces: at.slice(1).map((end, index) => whole.subarray(at[index], end)) };
});

function hello(pieces: readonly Buffer[]): unknown {
  const reader = new TlsHello();
  for (const piece of pieces) reader.feed(piece);
  return [reader.state, reader.serverName, reader.protocols];
}

function preface(pieces: readonly Buffer[]): unknown {
  const reader = new HttpPreface();
  for (const piece of pieces) reader.feed(piece);
  return reader.state;
}

/** What the arrival does: it asks again with all there is, until it is told. */
function proxy(pieces: readonly Buffer[]): unknown {
  let all: Buffer = Buffer.alloc(0);
  for (const piece of pieces) {
    all = Buffer.concat([all, piece]);
    const header = parseProxyHeader(all);
    if (header.kind !== 'incomplete') return header;
  }
  return 'incomplete';
}

test.each([
  ['client hellos', hello],
  ['HTTP prefaces', preface],
  ['PROXY headers', proxy],
])('reads %s alike wherever they are cut', (_, read) => {
  fc.assert(
    fc.property(cut, ({ whole, pieces }) => {
      expect(read(pieces)).toEqual(read([whole]));
    }),
    { numRuns: 2000 },
  );
});
