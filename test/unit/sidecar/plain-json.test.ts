// Which texts are read as JSON, and which are left to the YAML parser.
import { expect, it } from 'vitest';
import { readJson } from '../../../src/sidecar/plain-json.ts';

it.each([
  ['an object', '{"a": {"b": [1, true, null, "x y"]}}', { a: { b: [1, true, null, 'x y'] } }],
  ['space around it', ' \n{ "a" : "b" }\r\n', { a: 'b' }],
  ['a string that looks like more', '{"a": "{\\"b\\": 1}"}', { a: '{"b": 1}' }],
])('reads %s', (_says, text, value) => {
  expect(readJson(text)).toEqual(value);
});

it.each([
  ['a key that is said twice', '{"a": 1, "a": 2}'],
  ['a key that is said twice deep inside', '{"x": [{"a": "b", "c": {}, "a": "b"}]}'],
  ['YAML', 'a: 1'],
  ['YAML in braces', '{a: 1}'],
  ['a cut text', '{"a": 1'],
  ['a lone value', '"a"'],
  ['nothing', ''],
])('leaves %s to the YAML parser', (_says, text) => {
  expect(readJson(text)).toBe(undefined);
});
