// Spans as bytes through a real gRPC connection into the demo's receiver, and the tree drawn of them.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeSpans, type Span, type SpanKind } from '../../../../src/cli/demo/span.ts';
import { SpanReceiver } from '../../../../src/cli/demo/span-receiver.ts';
import { plainPaint } from '../../../../src/cli/demo/table.ts';
import { drawTrace, growTree, isWhole } from '../../../../src/cli/demo/trace-tree.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const KIND_NUMBERS: Readonly<Record<SpanKind, number>> = {
  internal: 1,
  server: 2,
  client: 3,
  producer: 4,
  consumer: 5,
};

function hexId(value: number): string {
  return value === 0 ? '' : value.toString(16).padStart(16, '0');
}

function aSpan(id: readonly [number, number], service: string, kind: SpanKind, times: readonly [number, number]): Span {
  const [startUs, endUs] = times;
  const attributes = new Map([
    ['http.response.status_code', '200'],
    ['url.path', '/a'],
  ]);
  const ids = { traceId: TRACE, spanId: hexId(id[0]), parentSpanId: hexId(id[1]) };
  return { ...ids, name: 'GET', kind, service, startUs, endUs, attributes };
}

/** A length-delimited field: bytes, a string, or a message made of its fields. */
function field(number: number, ...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const bytes = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
}

function time(number: number, microseconds: number): Uint8Array {
  return new BinaryWriter()
    .tag(number, WireType.Bit64)
    .fixed64(BigInt(microseconds) * 1000n)
    .finish();
}

function varint(number: number, value: number): Uint8Array {
  return new BinaryWriter().tag(number, WireType.Varint).int32(value).finish();
}

/** One ExportTraceServiceRequest with a ResourceSpans for each span. */
function encode(spans: readonly Span[]): Uint8Array {
  const encoded = spans.map((span) => {
    const resource = field(1, field(1, field(1, 'service.name'), field(2, field(1, span.service))));
    const scope = field(1, field(1, 'a scope that is skipped'));
    const body = field(
      2,
      field(1, Buffer.from(span.traceId, 'hex')),
      field(2, Buffer.from(span.spanId, 'hex')),
      field(4, Buffer.from(span.parentSpanId, 'hex')),
      field(5, span.name),
      varint(6, KIND_NUMBERS[span.kind]),
      time(7, span.startUs),
      time(8, span.endUs),
      field(9, field(1, 'http.response.status_code'), field(2, varint(3, 200))),
      field(9, field(1, 'url.path'), field(2, field(1, '/a'))),
    );
    return field(1, resource, field(2, scope, body));
  });
  return Buffer.concat(encoded);
}

function same(bytes: Buffer): Buffer {
  return bytes;
}

const VISIT: readonly Span[] = [
  aSpan([1, 0], 'frontend.default', 'server', [1_000, 9_000]),
  aSpan([3, 1], 'frontend.default', 'client', [4_000, 8_000]),
  aSpan([2, 1], 'frontend.default', 'client', [2_000, 3_000]),
  aSpan([4, 3], 'reviews.default', 'server', [5_000, 7_000]),
];

describe('an OTLP export', () => {
  it('decodes to the spans that were sent', () => {
    expect(decodeSpans(encode(VISIT))).toEqual(VISIT);
  });

  it('is refused by an error when it is no protobuf', () => {
    expect(() => decodeSpans(new Uint8Array([0x0a, 0x50, 0x01]))).toThrow();
  });
});

describe('the receiver', () => {
  const receiver = new SpanReceiver();
  afterEach(() => receiver.close());

  it('takes spans over gRPC and gives them back by trace', async () => {
    const port = await receiver.listen(0);
    const Client = makeGenericClientConstructor({}, 'TraceService');
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, Buffer.from(encode(VISIT)), (error: Error | null, reply?: Buffer) => {
        if (error === null) resolve(reply);
        else reject(error);
      });
    });
    client.close();
    expect(answer).toEqual(Buffer.alloc(0));
    expect(receiver.received).toBe(4);
    expect(receiver.trace(TRACE)).toEqual(VISIT);
    expect(receiver.newest((spans) => spans.length === 4)).toEqual(VISIT);
    expect(receiver.trace('00')).toEqual([]);
  });
});

describe('the tree', () => {
  it('draws children under their parents in the order in which they began', () => {
    expect(drawTrace(VISIT, plainPaint)).toEqual([
      `trace ${TRACE}  2 services, 4 spans, 8.0 ms`,
      '  frontend server GET                           ━━━━━━━━━━━━━━━━━━    8.0 ms  200',
      '  ├ frontend client GET                         ··━━━·············    1.0 ms  200',
      '  └ frontend client GET                         ······━━━━━━━━━━··    4.0 ms  200',
      '    └ reviews server GET                        ·········━━━━━····    2.0 ms  200',
    ]);
  });

  it('is whole when one root holds all, and leaves out what every name shares', () => {
    expect(isWhole(growTree(VISIT))).toBe(true);
    const named = VISIT.map((span) => ({ ...span, name: 'reviews.default.svc.cluster.local:80/*' }));
    expect(drawTrace(named, plainPaint)[1]).toContain('frontend server reviews:80/*  ');
  });

  it('counts a span whose parent is missing as an orphan and shows it as a root', () => {
    const tree = growTree(VISIT.filter((span) => span.kind === 'server'));
    expect({
      isWhole: isWhole(tree),
      roots: tree.roots.length,
      orphans: tree.orphans,
      services: tree.services,
    }).toEqual({
      isWhole: false,
      roots: 2,
      orphans: 1,
      services: ['frontend', 'reviews'],
    });
  });
});
