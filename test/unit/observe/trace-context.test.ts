// Trace contexts as W3C and B3 write them, valid and broken, read and written.
// Sources: W3C Trace Context level 1 sections 3.2 and 3.3; the B3 propagation specification.
// One row a case.
import { describe, expect, test } from 'vitest';
import { Head } from '../../../src/http/head.ts';
import { headerNameOf, internHeader } from '../../../src/http/header-name.ts';
import {
  NO_TRACE,
  isValidState,
  readTrace,
  writeTrace,
  type IncomingTrace,
} from '../../../src/observe/trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const SHORT = '8448eb211c80319c';

type Headers = readonly (readonly [string, string])[];

function aHead(headers: Headers): Head {
  const head = new Head();
  for (const [name, value] of headers) head.add(internHeader(name), value);
  return head;
}

function headersOf(head: Head): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i < head.count; i++) {
    const id = head.ids[i];
    if (id !== undefined && !head.isRemovedAt(i)) headers[headerNameOf(id)] = head.valueAt(i);
  }
  return headers;
}

const W3C: IncomingTrace = { ...NO_TRACE, traceId: TRACE, spanId: SPAN, decision: 'sampled' };
const SINGLE: IncomingTrace = { ...W3C, hasB3Single: true };
const MULTI: IncomingTrace = { ...W3C, hasB3Multi: true };
const IDS: Headers = [
  ['x-b3-traceid', TRACE],
  ['x-b3-spanid', SPAN],
];

describe('reading a trace context', () => {
  test.each<[string, Headers, IncomingTrace]>([
    ['no header', [], NO_TRACE],
    ['sampled', [['traceparent', `00-${TRACE}-${SPAN}-01`]], W3C],
    ['not sampled', [['traceparent', `00-${TRACE}-${SPAN}-00`]], { ...W3C, decision: 'not-sampled' }],
    ['unknown flags, sampled among them', [['traceparent', `00-${TRACE}-${SPAN}-ff`]], W3C],
    ['unknown flags without sampled', [['traceparent', `00-${TRACE}-${SPAN}-02`]], { ...W3C, decision: 'not-sampled' }],
    ['a future version', [['traceparent', `cc-${TRACE}-${SPAN}-01`]], W3C],
    ['a future version with more fields', [['traceparent', `cc-${TRACE}-${SPAN}-01-what-more`]], W3C],
    [
      'with state',
      [
        ['traceparent', `00-${TRACE}-${SPAN}-01`],
        ['tracestate', 'a=1, b@c=2'],
      ],
      { ...W3C, state: 'a=1, b@c=2' },
    ],
    [
      'state on two lines',
      [
        ['traceparent', `00-${TRACE}-${SPAN}-01`],
        ['tracestate', 'a=1'],
        ['tracestate', 'b=2'],
      ],
      { ...W3C, state: 'a=1,b=2' },
    ],
    [
      'invalid state is dropped alone',
      [
        ['traceparent', `00-${TRACE}-${SPAN}-01`],
        ['tracestate', 'A=1'],
      ],
      W3C,
    ],
    ['state without parent', [['tracestate', 'a=1']], NO_TRACE],
    ['B3 single', [['b3', `${TRACE}-${SPAN}-1`]], SINGLE],
    ['B3 single with a parent', [['b3', `${TRACE}-${SPAN}-1-05e3ac9a4f6e3b90`]], SINGLE],
    ['B3 single, upper case', [['b3', `${TRACE.toUpperCase()}-${SPAN}-1`]], SINGLE],
    ['B3 single, denied', [['b3', `${TRACE}-${SPAN}-0`]], { ...SINGLE, decision: 'not-sampled' }],
    ['B3 single, debug', [['b3', `${TRACE}-${SPAN}-d`]], { ...SINGLE, decision: 'debug' }],
    ['B3 single, decision deferred', [['b3', `${TRACE}-${SPAN}`]], { ...SINGLE, decision: 'deferred' }],
    [
      'B3 single of 64 bits',
      [['b3', `${SHORT}-${SPAN}-1`]],
      { ...SINGLE, traceId: `0000000000000000${SHORT}`, isShort: true },
    ],
    ['b3: 0', [['b3', '0']], { ...NO_TRACE, decision: 'not-sampled', hasB3Single: true }],
    ['b3: 1', [['b3', '1']], { ...NO_TRACE, decision: 'sampled', hasB3Single: true }],
    ['b3: d', [['b3', 'd']], { ...NO_TRACE, decision: 'debug', hasB3Single: true }],
    ['B3 multi', [...IDS, ['x-b3-sampled', '1']], MULTI],
    ['B3 multi, true', [...IDS, ['x-b3-sampled', 'true']], MULTI],
    ['B3 multi, denied', [...IDS, ['x-b3-sampled', '0']], { ...MULTI, decision: 'not-sampled' }],
    ['B3 multi, debug', [...IDS, ['x-b3-flags', '1']], { ...MULTI, decision: 'debug' }],
    ['B3 multi, decision deferred', IDS, { ...MULTI, decision: 'deferred' }],
    ['B3 multi, only a decision', [['x-b3-sampled', '0']], { ...NO_TRACE, decision: 'not-sampled', hasB3Multi: true }],
    [
      'W3C before B3',
      [
        ['traceparent', `00-${TRACE}-${SPAN}-01`],
        ['b3', '0'],
      ],
      SINGLE,
    ],
    [
      'B3 when W3C is broken',
      [
        ['traceparent', 'nonsense'],
        ['b3', `${TRACE}-${SPAN}-1`],
      ],
      SINGLE,
    ],
  ])('%s', (_name, headers, expected) => {
    expect(readTrace(aHead(headers))).toEqual(expected);
  });

  test.each([
    ['empty', ''],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['a version that is no hex', `0x-${TRACE}-${SPAN}-01`],
    ['version 00 with more fields', `00-${TRACE}-${SPAN}-01-more`],
    ['a future version that goes on without a dash', `cc-${TRACE}-${SPAN}-01.more`],
    ['an upper-case trace id', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['a short span id', `00-${TRACE}-${SPAN.slice(1)}-01`],
    ['a trace id that is no hex', `00-${'g'.repeat(32)}-${SPAN}-01`],
    ['flags that are no hex', `00-${TRACE}-${SPAN}-0z`],
    ['short flags', `00-${TRACE}-${SPAN}-1`],
    ['other separators', `00_${TRACE}_${SPAN}_01`],
  ])('a traceparent with %s starts a new trace, without its tracestate', (_name, value) => {
    expect(
      readTrace(
        aHead([
          ['traceparent', value],
          ['tracestate', 'a=1'],
        ]),
      ),
    ).toEqual(NO_TRACE);
  });

  test('two traceparent lines start a new trace', () => {
    const line = ['traceparent', `00-${TRACE}-${SPAN}-01`] as const;
    expect(readTrace(aHead([line, line]))).toEqual(NO_TRACE);
  });

  test.each([
    ['nonsense'],
    [TRACE],
    [`${TRACE}-${SPAN}-x`],
    [`${TRACE}-${SPAN}-1-short`],
    [`${TRACE}-${SPAN}-1-05e3ac9a4f6e3b90-more`],
    [`${'0'.repeat(32)}-${SPAN}-1`],
    [`${TRACE.slice(2)}-${SPAN}-1`],
  ])('b3: %s starts a new trace', (value) => {
    expect(readTrace(aHead([['b3', value]]))).toEqual({ ...NO_TRACE, hasB3Single: true });
  });

  test.each([
    ['a=1', true],
    ['a=1,,b=2', true],
    ['a=', false],
    ['=1', false],
    ['a', false],
    ['A=1', false],
    ['a=1,a=2', false],
    ['tenant@system=x', true],
    ['1tenant@system=x', true],
    ['1a=x', false],
    ['a=b=c', false],
    ['a= b', true],
    [Array.from({ length: 32 }, (_, i) => `k${i}=1`).join(','), true],
    [Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(','), false],
    [`a=${'x'.repeat(256)}`, true],
    [`a=${'x'.repeat(257)}`, false],
  ])('tracestate %s is valid: %s', (state, expected) => {
    expect(isValidState(state)).toBe(expected);
  });
});

describe('writing a trace context', () => {
  const base = {
    traceId: TRACE,
    spanId: '1111111111111111',
    parentSpanId: SPAN,
    isSampled: true,
    isDebug: false,
    state: '',
    writesB3Single: false,
    writesB3Multi: false,
    isShort: false,
  };
  const incoming: Headers = [['traceparent', 'x'], ['tracestate', 'old=1'], ['b3', '0'], ...IDS, ['x-b3-flags', '1']];
  const traceparent = `00-${TRACE}-1111111111111111-01`;
  const untouched = { b3: '0', 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-flags': '1' };
  test.each([
    ['W3C only', base, { traceparent, ...untouched }],
    ['not sampled', { ...base, isSampled: false }, { traceparent: `00-${TRACE}-1111111111111111-00`, ...untouched }],
    ['with state', { ...base, state: 'a=1' }, { traceparent, tracestate: 'a=1', ...untouched }],
    [
      'B3 single',
      { ...base, writesB3Single: true },
      { ...untouched, traceparent, b3: `${TRACE}-1111111111111111-1-${SPAN}` },
    ],
    [
      'B3 single, debug, short, at the root',
      { ...base, writesB3Single: true, isDebug: true, isShort: true, parentSpanId: '' },
      { ...untouched, traceparent, b3: `${SHORT}-1111111111111111-d` },
    ],
    [
      'B3 multi',
      { ...base, writesB3Multi: true },
      {
        traceparent,
        b3: '0',
        'x-b3-traceid': TRACE,
        'x-b3-spanid': '1111111111111111',
        'x-b3-parentspanid': SPAN,
        'x-b3-sampled': '1',
      },
    ],
    [
      'B3 multi, debug',
      { ...base, writesB3Multi: true, isDebug: true },
      {
        traceparent,
        b3: '0',
        'x-b3-traceid': TRACE,
        'x-b3-spanid': '1111111111111111',
        'x-b3-parentspanid': SPAN,
        'x-b3-flags': '1',
      },
    ],
  ])('%s', (_name, trace, expected) => {
    const head = aHead(incoming);
    writeTrace(head, trace);
    expect(headersOf(head)).toEqual(expected);
  });
});
