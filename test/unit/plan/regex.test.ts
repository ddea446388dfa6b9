// Expressions that never reach the RE2 engine decide exactly as the engine would.
import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { expect, test } from 'vitest';
import { compileRegex } from '../../../src/plan/regex.ts';
import { compileRegexRewrite } from '../../../src/plan/regex-rewrite.ts';

test.each<[string, string, string]>([
  ['abc', 'exact', 'abc'],
  ['^a\\.c$', 'exact', 'a.c'],
  ['/a/.*', 'prefix', '/a/'],
  ['/a/.+', 'prefix', '/a/'],
  ['.*\\.png', 'suffix', ''],
  ['.*mid.*', 'contains', ''],
  ['.*', 'any', ''],
  ['GET|HEAD', 'one-of', ''],
  ['(GET|HEAD)', 'one-of', ''],
  ['/v[0-9]+/x', 're2', '/v'],
  ['/ab?c', 're2', '/a'],
  ['/a|/b.*', 're2', ''],
  ['(?i)/a', 're2', ''],
  ['/a(b|c)', 're2', '/a'],
  ['/a\\d', 're2', '/a'],
  ['a\\$', 'exact', 'a$'],
  ['.*\\.*', 're2', ''],
])('%s is decided as %s', (source, kind, literalPrefix) => {
  const regex = compileRegex(source, [], '');
  expect([regex?.kind, regex?.literalPrefix]).toEqual([kind, literalPrefix]);
});

const piece = fc.constantFrom(
  'a',
  'b',
  '.*',
  '.+',
  '|',
  '(',
  ')',
  '(?:',
  '\\.',
  '.',
  '^',
  '$',
  '[ab]',
  '?',
  '*',
  '\\\\',
  '\\$',
  '{2}',
);

test('every expression matches what RE2 matches', () => {
  const sources = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''));
  const values = fc
    .array(fc.constantFrom('a', 'b', '.', '$', '\\'), { maxLength: 5 })
    .map((characters) => characters.join(''));
  fc.assert(
    fc.property(sources, fc.array(values, { minLength: 5, maxLength: 10 }), (source, list) => {
      const regex = compileRegex(source, [], '');
      if (regex === null) return;
      const engine = RE2JS.compile(source);
      for (const value of list) {
        expect([source, value, regex.matches(value)]).toEqual([source, value, engine.matches(value)]);
        if (regex.matches(value)) expect([source, value.startsWith(regex.literalPrefix)]).toEqual([source, true]);
      }
    }),
    { numRuns: 3000 },
  );
});

test.each<[string, string, string, string]>([
  ['one', 'two', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/two/zzz'],
  ['^(.*?)one(.*)$', '\\1two\\2', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/one/zzz'],
  ['(?i)/xxx/', '/yyy/', '/aaa/XxX/bbb', '/aaa/yyy/bbb'],
  ['x*', '-', 'abxc', '-a-b-c-'],
  ['a', '\\0\\0', 'banana', 'baanaanaa'],
  ['a', '\\\\', 'bab', 'b\\b'],
  ['z', 'y', 'abc', 'abc'],
])('%s -> %s rewrites %s', (regex, substitution, subject, wanted) => {
  const config = {
    $typeName: 'envoy.type.matcher.v3.RegexMatchAndSubstitute',
    pattern: { $typeName: 'envoy.type.matcher.v3.RegexMatcher', regex, engineType: { case: undefined } },
    substitution,
  } as const;
  expect(compileRegexRewrite(config, [], '')?.rewrite(subject)).toBe(wanted);
});
