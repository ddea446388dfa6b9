// A span as the demo draws it, decoded from the bytes of an OTLP ExportTraceServiceRequest
// (opentelemetry/proto/collector/trace/v1). Only the fields that a drawing needs; all others are skipped.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

export interface Span {
  /** Lower-case hex, 32 and 16 digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty at the root. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: SpanKind;
  /** Resource attribute `service.name`; `unknown` without one. */
  readonly service: string;
  /** Microseconds since the Unix epoch. */
  readonly startUs: number;
  readonly endUs: number;
  readonly attributes: ReadonlyMap<string, string>;
}

const KINDS: readonly SpanKind[] = ['internal', 'internal', 'server', 'client', 'producer', 'consumer'];

type FieldReader = (field: number, reader: BinaryReader) => boolean;

/** Throws when the bytes are no protobuf message. */
export function decodeSpans(bytes: Uint8Array): Span[] {
  const spans: Span[] = [];
  readMessage(new BinaryReader(bytes), bytes.length, (field, reader) => {
    if (field !== 1) return false;
    spans.push(...readResourceSpans(reader));
    return true;
  });
  return spans;
}

function readMessage(reader: BinaryReader, length: number, take: FieldReader): void {
  const end = reader.pos + length;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    const isTaken = wireType !== WireType.EndGroup && take(field, reader);
    if (!isTaken) reader.skip(wireType, field);
  }
}

function readNested(reader: BinaryReader, take: FieldReader): void {
  readMessage(reader, reader.uint32(), take);
}

function readResourceSpans(reader: BinaryReader): Span[] {
  const resource = new Map<string, string>();
  const spans: Omit<Span, 'service'>[] = [];
  readNested(reader, (field) => {
    if (field === 1) readNested(reader, (inner) => inner === 1 && readAttribute(reader, resource));
    else if (field === 2) {
      readNested(reader, (inner) => {
        if (inner !== 2) return false;
        spans.push(readSpan(reader));
        return true;
      });
    } else return false;
    return true;
  });
  const service = resource.get('service.name') ?? 'unknown';
  return spans.map((span) => ({ ...span, service }));
}

function readSpan(reader: BinaryReader): Omit<Span, 'service'> {
  const attributes = new Map<string, string>();
  let [traceId, spanId, parentSpanId, name] = ['', '', '', ''];
  let [kind, startUs, endUs] = [0, 0, 0];
  readNested(reader, (field) => {
    if (field === 1) traceId = readHex(reader);
    else if (field === 2) spanId = readHex(reader);
    else if (field === 4) parentSpanId = readHex(reader);
    else if (field === 5) name = reader.string();
    else if (field === 6) kind = reader.int32();
    else if (field === 7) startUs = readNanoseconds(reader);
    else if (field === 8) endUs = readNanoseconds(reader);
    else if (field === 9) return readAttribute(reader, attributes);
    else return false;
    return true;
  });
  return { traceId, spanId, parentSpanId, name, kind: KINDS[kind] ?? 'internal', startUs, endUs, attributes };
}

function readHex(reader: BinaryReader): string {
  return Buffer.from(reader.bytes()).toString('hex');
}

function readNanoseconds(reader: BinaryReader): number {
  return Number(BigInt(reader.fixed64()) / 1000n);
}

/** A KeyValue whose value is a string, bool, int or double; arrays and maps are left out. */
function readAttribute(reader: BinaryReader, into: Map<string, string>): boolean {
  let key = '';
  let value = '';
  readNested(reader, (field) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = readValue(reader);
    else return false;
    return true;
  });
  into.set(key, value);
  return true;
}

function readValue(reader: BinaryReader): string {
  let value = '';
  readNested(reader, (field) => {
    if (field === 1) value = reader.string();
    else if (field === 2) value = String(reader.bool());
    else if (field === 3) value = String(reader.int64());
    else if (field === 4) value = String(reader.double());
    else return false;
    return true;
  });
  return value;
}
