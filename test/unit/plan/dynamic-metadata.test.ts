// Dynamic metadata: what a path of keys finds, and what Envoy's MetadataMatcher says of it.
import { create, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { Problem } from '../../../src/base/problem.ts';
import { ExchangeMetadata } from '../../../src/plan/exchange-metadata.ts';
import { addMetadata, compileMetadataMatcher, readMetadata } from '../../../src/plan/dynamic-metadata.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { MetadataMatcherSchema } from '../../../src/xds/gen/envoy/type/matcher/v3/metadata_pb.js';

const PAYLOAD = {
  text: 'abc',
  wide: 'grün',
  number: 5,
  half: 2.5,
  yes: true,
  no: false,
  nothing: null,
  list: ['a', 1, ['deep']],
  empty: [],
  object: { inner: 'x' },
  empty_text: '',
};

function anExchange(): Exchange {
  const x = new Exchange();
  x.metadata.set('ns', { payload: PAYLOAD });
  return x;
}

function matcher(value: JsonValue, keys: readonly string[], isInverted = false): JsonValue {
  return { filter: 'ns', path: keys.map((key) => ({ key })), value, invert: isInverted };
}

const text = (exact: string): JsonValue => ({ string_match: { exact } });

function holds(json: JsonValue): boolean | null {
  const problems: Problem[] = [];
  const predicate = compileMetadataMatcher(fromJson(MetadataMatcherSchema, json), problems, 'm');
  expect(problems).toEqual([]);
  return predicate === null ? null : predicate(anExchange());
}

describe('a metadata matcher', () => {
  test.each<[string, JsonValue, boolean]>([
    ['text', text('abc'), true],
    ['text', text('ABC'), false],
    ['text', { string_match: { exact: 'ABC', ignore_case: true } }, true],
    ['text', { string_match: { safe_regex: { regex: 'a.c' } } }, true],
    ['text', { string_match: { prefix: 'ab' } }, true],
    ['wide', text('grün'), true],
    ['wide', { string_match: { suffix: 'n' } }, true],
    ['empty_text', text(''), true],
    ['number', text('5'), false],
    ['absent', text(''), false],
    ['number', { double_match: { exact: 5 } }, true],
    ['number', { double_match: { range: { start: 5, end: 6 } } }, true],
    ['number', { double_match: { range: { start: 4, end: 5 } } }, false],
    ['half', { double_match: { exact: 2.5 } }, true],
    ['text', { double_match: { exact: 0 } }, false],
    ['yes', { bool_match: true }, true],
    ['yes', { bool_match: false }, false],
    ['no', { bool_match: false }, true],
    ['absent', { bool_match: false }, false],
    ['nothing', { null_match: {} }, true],
    ['absent', { null_match: {} }, false],
    ['nothing', { present_match: true }, true],
    ['object', { present_match: true }, true],
    ['absent', { present_match: true }, false],
    ['absent', { present_match: false }, false],
    ['text', { present_match: false }, false],
    ['list', { list_match: { one_of: text('a') } }, true],
    ['list', { list_match: { one_of: text('b') } }, false],
    ['list', { list_match: { one_of: { double_match: { exact: 1 } } } }, true],
    ['list', { list_match: { one_of: { list_match: { one_of: text('deep') } } } }, true],
    ['list', text('a'), false],
    ['empty', { list_match: { one_of: { present_match: true } } }, false],
    ['text', { list_match: { one_of: text('abc') } }, false],
    ['text', { or_match: { value_matchers: [text('x'), text('abc')] } }, true],
    ['text', { or_match: { value_matchers: [text('x'), text('y')] } }, false],
    ['toString', { present_match: true }, false],
    ['__proto__', { present_match: true }, false],
  ])('%s %j: %s', (key, value, wanted) => {
    expect(holds(matcher(value, ['payload', key]))).toBe(wanted);
    expect(holds(matcher(value, ['payload', key], true))).toBe(!wanted);
  });

  test('reads through objects and never through lists', () => {
    const present: JsonValue = { present_match: true };
    expect(holds(matcher(present, ['payload', 'object', 'inner']))).toBe(true);
    expect(holds(matcher(present, ['payload', 'list', '0']))).toBe(false);
    expect(holds(matcher(present, ['payload', 'text', 'length']))).toBe(false);
    expect(holds({ filter: 'other', path: [{ key: 'payload' }], value: present })).toBe(false);
  });

  test.each<[string, JsonValue, string]>([
    ['no filter', { path: [{ key: 'a' }], value: { present_match: true } }, 'm.filter'],
    ['no path', { filter: 'ns', value: { present_match: true } }, 'm.path'],
    ['an empty key', { filter: 'ns', path: [{}], value: { present_match: true } }, 'm.path[0].key'],
    ['no value', { filter: 'ns', path: [{ key: 'a' }] }, 'm.value'],
    ['half an alternative', matcher({ or_match: { value_matchers: [{ bool_match: true }] } }, ['a']), 'm.value'],
    ['a number without a pattern', matcher({ double_match: {} }, ['a']), 'm.value.double_match'],
    ['a list without a matcher', matcher({ list_match: {} }, ['a']), 'm.value.list_match.one_of'],
  ])('refuses %s', (_name, json, path) => {
    const problems: Problem[] = [];
    expect(compileMetadataMatcher(fromJson(MetadataMatcherSchema, json), problems, 'm')).toBeNull();
    expect(problems.map((problem) => problem.path)).toEqual([path]);
  });

  test('refuses matchers nested without end', () => {
    let json: JsonValue = { bool_match: true };
    for (let i = 0; i < 40; i++) json = { list_match: { one_of: json } };
    const problems: Problem[] = [];
    const config = fromJson(MetadataMatcherSchema, matcher(json, ['a']));
    expect(compileMetadataMatcher(config, problems, 'm')).toBeNull();
    expect(problems.map(({ message }) => message)).toEqual(['is nested too deeply']);
  });
});

test('an entry that is added keeps the others, and shared values as they are', () => {
  const x = anExchange();
  const before = x.metadata.get('ns');
  addMetadata(x, 'ns', 'failed', { code: '3' });
  addMetadata(x, 'new', 'a', 1);
  expect(before).toEqual({ payload: PAYLOAD });
  expect(readMetadata(x, 'ns', ['failed', 'code'])).toBe('3');
  expect(readMetadata(x, 'ns', ['payload', 'number'])).toBe(5);
  expect(readMetadata(x, 'new', [])).toEqual({ a: 1 });
  x.reset();
  expect(readMetadata(x, 'ns', ['payload'])).toBeUndefined();
});

test('an empty message is refused', () => {
  const problems: Problem[] = [];
  expect(compileMetadataMatcher(create(MetadataMatcherSchema), problems, 'm')).toBeNull();
  expect(problems).toHaveLength(3);
});

test('namespaces are kept apart and forgotten with their exchange', () => {
  const metadata = new ExchangeMetadata();
  metadata.set('a', { one: 1 });
  metadata.set('b', { two: 2 });
  metadata.set('a', { three: 3 });
  expect([metadata.size, metadata.get('a'), metadata.get('b'), metadata.get('c')]).toEqual([
    2,
    { three: 3 },
    { two: 2 },
    undefined,
  ]);
  metadata.clear();
  expect([metadata.size, metadata.get('a'), metadata.get('b')]).toEqual([0, undefined, undefined]);
  metadata.set('b', { four: 4 });
  expect([metadata.size, metadata.get('a'), metadata.get('b')]).toEqual([1, undefined, { four: 4 }]);
});
