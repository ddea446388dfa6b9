// Spans as OTLP bytes, read back field by field with another reader of protobuf. A real Collector reads
// them in test/peer/collector.test.ts.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { describe, expect, test } from 'vitest';
import { SpanBatch } from '../../../src/observe/span-batch.ts';
import { encodeEnvelope, encodeSpan } from '../../../src/observe/span-encoder.ts';
import type { SpanRecord } from '../../../src/observe/span-shape.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

const aRecord = (init: Partial<SpanRecord> = {}): SpanRecord => ({
  kind: 'server',
  name: 'GET',
  traceId: TRACE,
  spanId: 'b7ad6b7169203331',
  parentSpanId: '00f067aa0ba902b7',
  isParentRemote: true,
  state: '',
  startMs: 1_795_000_000_123.5,
  endMs: 1_795_000_000_125.25,
  isError: false,
  attributes: {},
  events: [],
  ...init,
});

type Field = readonly [number, string | bigint | Uint8Array];

function fieldsOf(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [id, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.push([id, reader.bytes()]);
    else if (type === WireType.Bit64) fields.push([id, BigInt(reader.fixed64())]);
    else if (type === WireType.Bit32) fields.push([id, BigInt(reader.fixed32())]);
    else fields.push([id, BigInt(reader.uint64())]);
  }
  return fields;
}

function only(fields: readonly Field[], id: number): Uint8Array {
  const value = fields.find(([candidate]) => candidate === id)?.[1];
  if (!(value instanceof Uint8Array)) throw new Error(`field ${id} has no bytes`);
  return value;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const bytesOf = (encoded: string): Uint8Array => Buffer.from(encoded, 'latin1');
/** The Span inside of its entry. */
const spanOf = (record: SpanRecord): Field[] => fieldsOf(only(fieldsOf(bytesOf(encodeSpan(record))), 2));

describe('a span', () => {
  test('has its ids, name, kind, times to the nanosecond and the flags of a remote parent', () => {
    const fields = spanOf(aRecord());
    expect([hex(only(fields, 1)), hex(only(fields, 2)), hex(only(fields, 4)), text(only(fields, 5))]).toEqual([
      TRACE,
      'b7ad6b7169203331',
      '00f067aa0ba902b7',
      'GET',
    ]);
    expect(new Map(fields.filter(([, value]) => typeof value === 'bigint'))).toEqual(
      new Map([
        [6, 2n],
        [7, 1_795_000_000_123_500_000n],
        [8, 1_795_000_000_125_250_000n],
        [16, 0x301n],
      ]),
    );
  });

  test('of a client with an error at the root has neither parent nor remote flag, and says error', () => {
    const fields = spanOf(aRecord({ kind: 'client', parentSpanId: '', isParentRemote: false, isError: true }));
    expect(fields.map(([id]) => id)).toEqual([1, 2, 5, 6, 7, 8, 15, 16]);
    expect(hex(only(fields, 15))).toBe('1802');
    expect(fields.at(-1)).toEqual([16, 0x101n]);
  });

  test('never ends before it starts', () => {
    const fields = new Map(spanOf(aRecord({ startMs: 2000, endMs: 1000 })));
    expect(fields.get(8)).toBe(fields.get(7));
  });

  test.each<[string, string | number, string]>([
    ['text', 'a/b', '0a03612f62'],
    ['empty text', '', '0a00'],
    ['text beyond ASCII', 'é€', '0a05c3a9e282ac'],
    ['a long text', 'x'.repeat(200), `0ac801${'78'.repeat(200)}`],
    ['a small number', 200, '18c801'],
    ['2^53 - 1', Number.MAX_SAFE_INTEGER, '18ffffffffffffff0f'],
    ['a fraction', 0.5, '21000000000000e03f'],
    ['a negative number', -1, '21000000000000f0bf'],
  ])('takes %s as the value of an attribute', (_name, value, expected) => {
    const attribute = fieldsOf(only(spanOf(aRecord({ attributes: { key: value } })), 9));
    expect(text(only(attribute, 1))).toBe('key');
    expect(hex(only(attribute, 2))).toBe(expected);
  });

  test.each<[string, string, string[]]>([
    ['a detail', 'attempt 2, status 503', ['6f7574726967676572', '617474656d7074']],
    ['no detail', '', []],
  ])('tells an event with %s, with its time to the nanosecond', (_name, detail, hexParts) => {
    const events = [{ timeMs: 1_795_000_000_124.25, name: 'retry', detail }];
    const event = fieldsOf(only(spanOf(aRecord({ kind: 'client', events })), 11));
    expect(event.slice(0, 2)).toEqual([
      [1, 1_795_000_000_124_250_000n],
      [2, Buffer.from('retry')],
    ]);
    const attributes = event.slice(2).map(([id, value]) => [id, value instanceof Uint8Array ? hex(value) : value]);
    expect(attributes.map(([id]) => id)).toEqual(detail === '' ? [] : [3]);
    for (const part of hexParts) expect(attributes[0]?.[1]).toContain(part);
  });

  test('passes tracestate on', () => {
    expect(text(only(spanOf(aRecord({ state: 'a=1,b=2' })), 3))).toBe('a=1,b=2');
  });
});

describe('a batch', () => {
  test('is one request of one resource and one scope, whatever its size', () => {
    const batch = new SpanBatch();
    for (let i = 0; i < 500; i++) batch.add(encodeSpan(aRecord({ name: `${i}`.repeat(50) })));
    const spans = batch.bytes();
    const envelope = encodeEnvelope({ 'service.name': 'reviews' }, 'outrigger', spans.length);
    const resourceSpans = fieldsOf(only(fieldsOf(Buffer.concat([bytesOf(envelope), spans])), 1));
    const resource = fieldsOf(only(fieldsOf(only(resourceSpans, 1)), 1));
    const scopeSpans = fieldsOf(only(resourceSpans, 2));
    expect([text(only(resource, 1)), hex(only(resource, 2))]).toEqual([
      'service.name',
      `0a07${Buffer.from('reviews').toString('hex')}`,
    ]);
    expect(text(only(fieldsOf(only(scopeSpans, 1)), 1))).toBe('outrigger');
    expect(scopeSpans.filter(([id]) => id === 2).length).toBe(500);
  });

  test('drops its oldest, and is empty after a clear', () => {
    const batch = new SpanBatch();
    const one = encodeSpan(aRecord({ name: 'one' }));
    const two = encodeSpan(aRecord({ name: 'two' }));
    for (const encoded of [one, one, two]) batch.add(encoded);
    batch.dropOldest(2);
    expect([batch.count, hex(batch.bytes())]).toEqual([1, hex(bytesOf(two))]);
    batch.clear();
    batch.add(one);
    expect([batch.count, hex(batch.bytes())]).toEqual([1, hex(bytesOf(one))]);
  });
});
