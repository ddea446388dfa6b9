// The reader of rules: limits at and past the limit, places, and that nothing in a file makes it throw.
import { array, assert, constantFrom, oneof, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { parseDuration } from '../../../src/config/duration.ts';
import { limits } from '../../../src/config/limits.ts';
import { parseFile } from '../../../src/config/parse.ts';
import { checkRegex } from '../../../src/config/regex.ts';
import { nearest } from '../../../src/config/spelling.ts';

const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: 80 }] }\n';

const filler = (bytes: number): string => `${SERVICE}#${' '.repeat(bytes - SERVICE.length - 1)}`;

const problemsOf = (text: string): readonly string[] => parseFile('f.yaml', text).problems.map(formatProblem);

describe('durations', () => {
  test.each([
    ['1h2m3.5s', 'go', 3_723_500],
    ['250ms', 'go', 250],
    ['0', 'go', 0],
    ['0.4s', 'go', 400],
    ['5', 'go', null],
    ['', 'go', null],
    ['-1s', 'go', null],
    ['1 s', 'go', null],
    ['1h30m10s500ms', 'gateway', 5_410_500],
    ['0s', 'gateway', 0],
    ['1.5s', 'gateway', null],
    ['100000s', 'gateway', null],
    ['1s1s1s1s1s', 'gateway', null],
  ] as const)('%s in the syntax of %s is %s ms', (text, syntax, expected) => {
    expect(parseDuration(text, syntax)).toBe(expected);
  });
});

describe('regular expressions', () => {
  test('are taken up to the limit of characters and refused one past it', () => {
    expect(checkRegex('a'.repeat(limits.regexCharactersMax))).toBeNull();
    expect(checkRegex('a'.repeat(limits.regexCharactersMax + 1))).toContain('1025 characters');
  });

  test.each(['(?=a)', '(a)\\1', '(', 'a**'])('%s is refused as RE2 refuses it', (pattern) => {
    expect(checkRegex(pattern)).not.toBeNull();
  });
});

test.each([
  ['prefx', 'prefix'],
  ['hots', 'host'],
  ['retry', 'retries'],
  ['zzz', null],
])('the nearest name to %s is %s', (name, expected) => {
  expect(nearest(name, ['prefix', 'host', 'retries', 'exact'])).toBe(expected);
});

describe('files', () => {
  test('an empty file, comments and empty documents are fine', () => {
    for (const text of ['', '# nothing\n', '---\n---\n', 'null\n'])
      expect(parseFile('f.yaml', text)).toEqual({
        resources: [],
        problems: [],
        refused: [],
        standIns: [],
        isReadable: true,
      });
  });

  test('JSON is read as YAML is', () => {
    const text = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a' },
      spec: { ports: [{ port: 80 }] },
    });
    expect(parseFile('f.json', text).resources.map((resource) => resource.meta.name)).toEqual(['a']);
  });

  test('a List holds resources', () => {
    const item = SERVICE.trimEnd()
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n')
      .replace('   ', '  -');
    expect(parseFile('f.yaml', `apiVersion: v1\nkind: List\nitems:\n${item}\n`).resources).toHaveLength(1);
  });

  test('bytes are limited: at the limit it is read, one past it is refused', () => {
    expect(parseFile('f.yaml', filler(limits.fileBytesMax)).resources).toHaveLength(1);
    expect(parseFile('f.yaml', filler(limits.fileBytesMax + 1))).toMatchObject({ resources: [], isReadable: false });
  });

  test('aliases are limited, so that a billion laughs cost nothing', () => {
    const laughs = [
      'a0: &a0 [x, x]',
      ...Array.from({ length: 60 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}]`),
    ].join('\n');
    expect(problemsOf(`kind: Service\n${laughs}\n`)).toEqual([
      'f.yaml:1:1: the document has more than 100 aliases; write the values out',
    ]);
  });

  test('one refused resource leaves the others of its file', () => {
    const parsed = parseFile(
      'f.yaml',
      `${SERVICE}---\n${SERVICE.replace('name: a', 'name: b').replace('80', 'eighty')}`,
    );
    expect(parsed.resources.map((resource) => resource.meta.name)).toEqual(['a']);
    expect(parsed.refused).toEqual(['Service/default/b']);
    expect(parsed.problems.map(formatProblem)).toEqual([
      'f.yaml:9:25: spec.ports[0].port: must be a whole number, not "eighty"; write a whole number',
    ]);
  });

  test('a key that is there twice is named with its place', () => {
    expect(problemsOf('kind: Service\nkind: Pod\n')).toEqual([
      'f.yaml:2:1: not valid YAML: map keys must be unique; remove one of the two',
    ]);
  });

  test('no text makes it throw, and every problem has a place in the file', () => {
    const words = constantFrom(
      'kind: ',
      'VirtualService',
      'HTTPRoute',
      'spec:',
      '\n  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      'hosts: ',
      'http:',
      '"',
      "'",
      ': ',
      '\n---\n',
      '1',
      'null',
      'apiVersion: networking.istio.io/v1\n',
      'metadata: {name: a}\n',
      '\t',
      '|',
      '<<: ',
    );
    assert(
      property(
        oneof(
          string(),
          array(words, { maxLength: 40 }).map((parts) => parts.join('')),
        ),
        (text) => {
          for (const { place } of parseFile('f', text).problems) expect(place?.line).toBeGreaterThan(0);
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('a resource with an error is refused even after so many problems that its own are not kept', () => {
  const rules = Array.from({ length: limits.problemsMax }, (_, index) => `    x${index}: 1\n`).join('');
  const bad =
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: bad }\nspec: { hosts: [reviews], http: [{ timeout: 5, route: [{ destination: { host: reviews } }] }] }\n';
  const text = `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: many }\nspec:\n  hosts: [reviews]\n  http:\n  - route: [{ destination: { host: reviews } }]\n${rules}---\n${bad}`;
  const parsed = parseFile('a.yaml', text);
  expect(parsed.refused).toEqual(['VirtualService/default/bad']);
  expect(parsed.problems.at(-1)?.message).toBe('1 more problems are not shown');
});
