// Writes a finished span as OTLP protobuf (opentelemetry.proto.trace.v1.Span), as one Latin-1 string of
// bytes: strings are joined without a copy, and one write lays them into a batch. A span becomes bytes
// the moment it ends, so that a busy tracer leaves no objects behind for the collector of garbage.
// Attribute values are strings and whole or fractional numbers; text is written as UTF-8.
import type { SpanAttributes, SpanEvent, SpanRecord } from './span-shape.ts';

// Tags: field number and wire type. Source: opentelemetry-proto trace.proto, common.proto.
const LEN_1 = '\x0a';
const LEN_2 = '\x12';
const LEN_3 = '\x1a';
const LEN_4 = '\x22';
const NAME = '\x2a';
const KIND_SERVER = '\x30\x02';
const KIND_CLIENT = '\x30\x03';
const START = '\x39';
const END = '\x41';
const ATTRIBUTE = '\x4a';
const EVENT = '\x5a';
const EVENT_TIME = '\x09';
const EVENT_DETAIL = 'outrigger.detail';
const INT_VALUE = '\x18';
const DOUBLE_VALUE = '\x21';
const STATUS_ERROR = '\x7a\x02\x18\x02';
const FLAGS = '\x85\x01';
/** Sampled (1), and whether the parent is remote is known (0x100): it is not, or it is (0x200). */
const LOCAL_PARENT = `${FLAGS}\x01\x01\x00\x00`;
const REMOTE_PARENT = `${FLAGS}\x01\x03\x00\x00`;

const SMALL_MAX = 4096;
const SMALL: readonly string[] = Array.from({ length: SMALL_MAX }, (_none, value) => varintOf(value));
const NOT_ASCII = /[^\0-\x7f]/;
const number = new DataView(new ArrayBuffer(8));

/** One entry of `ScopeSpans.spans`, with its tag and length. */
export function encodeSpan(record: SpanRecord): string {
  const endMs = record.endMs < record.startMs ? record.startMs : record.endMs;
  let out = `${LEN_1}\x10${bytesOfHex(record.traceId)}${LEN_2}\x08${bytesOfHex(record.spanId)}`;
  if (record.state !== '') out += field(LEN_3, record.state);
  if (record.parentSpanId !== '') out += `${LEN_4}\x08${bytesOfHex(record.parentSpanId)}`;
  out += field(NAME, record.name);
  out += record.kind === 'server' ? KIND_SERVER : KIND_CLIENT;
  out += START + nanoseconds(record.startMs) + END + nanoseconds(endMs);
  out += attributesOf(record.attributes, ATTRIBUTE);
  for (const event of record.events) out += eventOf(event);
  if (record.isError) out += STATUS_ERROR;
  out += record.isParentRemote ? REMOTE_PARENT : LOCAL_PARENT;
  return LEN_2 + varint(out.length) + out;
}

/**
 * What stands before the spans in an ExportTraceServiceRequest that holds `spanBytes` bytes of them:
 * one resource, one scope.
 */
export function encodeEnvelope(resource: SpanAttributes, scope: string, spanBytes: number): string {
  const scopePart = message(LEN_1, field(LEN_1, scope));
  const resourcePart = message(LEN_1, attributesOf(resource, LEN_1));
  const scopeSpans = LEN_2 + varint(scopePart.length + spanBytes) + scopePart;
  return LEN_1 + varint(resourcePart.length + scopeSpans.length + spanBytes) + resourcePart + scopeSpans;
}

/** Span.Event: the time, the name, and the detail as its only attribute. */
function eventOf({ timeMs, name, detail }: SpanEvent): string {
  const attributes = detail === '' ? '' : attributesOf({ [EVENT_DETAIL]: detail }, LEN_3);
  return message(EVENT, EVENT_TIME + nanoseconds(timeMs) + field(LEN_2, name) + attributes);
}

function attributesOf(attributes: SpanAttributes, tag: string): string {
  let out = '';
  for (const name in attributes) {
    const value = attributes[name];
    if (value === undefined) continue;
    const any = typeof value === 'number' ? numberValue(value) : field(LEN_1, value);
    out += message(tag, field(LEN_1, name) + LEN_2 + varint(any.length) + any);
  }
  return out;
}

function numberValue(value: number): string {
  if (Number.isInteger(value) && value >= 0) return INT_VALUE + varint(value);
  number.setFloat64(0, value, true);
  return DOUBLE_VALUE + eightBytes(number.getUint32(0, true), number.getUint32(4, true));
}

function message(tag: string, content: string): string {
  return tag + varint(content.length) + content;
}

function field(tag: string, text: string): string {
  const content = NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
  return tag + varint(content.length) + content;
}

function varint(value: number): string {
  return value < SMALL_MAX ? (SMALL[value] ?? '') : varintOf(value);
}

/** Whole numbers up to 2^53. */
function varintOf(value: number): string {
  let out = '';
  let rest = value;
  while (rest > 127) {
    out += String.fromCharCode((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return out + String.fromCharCode(rest);
}

/** Milliseconds since the epoch as a fixed64 of nanoseconds, little-endian; 53 bits would not hold them exactly. */
function nanoseconds(milliseconds: number): string {
  const whole = Math.floor(milliseconds);
  const fraction = Math.round((milliseconds - whole) * 1e6);
  const upper = Math.floor(whole / 0x100000) * 1e6;
  const sum = (upper % 4096) * 0x100000 + (whole % 0x100000) * 1e6 + fraction;
  return eightBytes(sum % 0x100000000, Math.floor(upper / 4096) + Math.floor(sum / 0x100000000));
}

function eightBytes(low: number, high: number): string {
  return String.fromCharCode(
    low & 255,
    (low >>> 8) & 255,
    (low >>> 16) & 255,
    low >>> 24,
    high & 255,
    (high >>> 8) & 255,
    (high >>> 16) & 255,
    high >>> 24,
  );
}

/** Ids are 16 or 32 lower-case hexadecimal digits. */
function bytesOfHex(hex: string): string {
  let out = '';
  for (let i = 0; i < hex.length; i += 2) {
    out += String.fromCharCode(digit(hex.charCodeAt(i)) * 16 + digit(hex.charCodeAt(i + 1)));
  }
  return out;
}

function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57;
}
