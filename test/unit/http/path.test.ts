// Normalisation of the path: done twice it is done once, and the query is never touched.
import { expect, test } from 'vitest';
import {
  hasDotParameter,
  hasEscapedSlash,
  mergeSlashes,
  normalizePath,
  removeDotParameters,
  unescapeSlashes,
} from '../../../src/http/path.ts';

test.each([
  ['/', '/'],
  ['/a/b?c=/../d', '/a/b?c=/../d'],
  ['/a/../b', '/b'],
  ['/a/./b', '/a/b'],
  ['/../a', '/a'],
  ['/a/..', '/'],
  ['/a/b/.', '/a/b/'],
  ['/a/%2e%2E/b', '/b'],
  ['/%61%2Db', '/a-b'],
  ['/a%2fb', '/a%2fb'],
  ['/a\\b', '/a/b'],
  ['/a//b', '/a//b'],
  ['/a|b"<c>^`{d}?|', '/a%7Cb%22%3Cc%3E%5E%60%7Bd%7D?|'],
  ['/a/..;x/b', '/a/..;x/b'],
  ['/a/%252e%252e/b', '/a/%252e%252e/b'],
  ['/.a/..b', '/.a/..b'],
  ['/a%zz%4', '/a%zz%4'],
  ['/a/../b?x=%61', '/b?x=%61'],
])('normalises %s to %s', (before, after) => {
  expect(normalizePath(before)).toBe(after);
  expect(normalizePath(after)).toBe(after);
});

test.each([
  ['/a//b///c?d//e', '/a/b/c?d//e'],
  ['//', '/'],
  ['/a?b//c', '/a?b//c'],
])('merges the slashes of %s', (before, after) => {
  expect(mergeSlashes(before)).toBe(after);
});

test('finds and unescapes slashes in the path, not in the query', () => {
  expect([
    hasEscapedSlash('/a%2Fb'),
    hasEscapedSlash('/a%5cb'),
    hasEscapedSlash('/a?b=%2f'),
    hasEscapedSlash('/a%25'),
  ]).toEqual([true, true, false, false]);
  expect(unescapeSlashes('/a%2Fb%5Cc?d=%2f')).toBe('/a/b\\c?d=%2f');
});

test.each([
  ['/x/..;/admin', '/admin'],
  ['/.;/admin', '/admin'],
  ['/x/y/..;a=b/..;c;d/z', '/z'],
  ['/x/..;', '/'],
  ['/..;/..;/a', '/a'],
])('some servers take %s for %s', (path, taken) => {
  expect([hasDotParameter(path), removeDotParameters(path)]).toEqual([true, taken]);
});

test.each(['/a;b/c', '/a/...;/b', '/a/x..;/b', '/;../a', '/a'])('%s is one path to all', (path) => {
  expect([hasDotParameter(path), removeDotParameters(path)]).toEqual([false, path]);
});
