// Values of an installation: what wins, what is refused and how it is said.
import { expect, test } from 'vitest';
import { formatProblem } from '../../../../src/base/problem.ts';
import { defaultValues, readValues } from '../../../../src/cli/install/release-values.ts';

test('without anything said, the defaults hold', () => {
  expect(readValues([], [])).toEqual({ kind: 'read', values: defaultValues() });
});

test('a file wins over defaults, a later file over it, and --set over all; objects are merged', () => {
  const read = readValues(
    ['image: { tag: "1" }\nreplicas: 3\nmesh: { accessLogFile: /dev/stdout }', 'replicas: 4', ''],
    [
      'replicas=5',
      'image.repository=registry.test/outrigger',
      'image.tag=1.0',
      'podLabels.team\\.name=5',
      'definitions.keep=false',
      'nodeSelector={ disk: ssd }',
      'mesh.enableTracing=true',
      'extraArguments=["--debounce-ms=50"]',
    ],
  );
  expect(read).toEqual({
    kind: 'read',
    values: {
      ...defaultValues(),
      image: { ...defaultValues().image, repository: 'registry.test/outrigger', tag: '1.0' },
      replicas: 5,
      mesh: { accessLogFile: '/dev/stdout', enableTracing: true },
      extraArguments: ['--debounce-ms=50'],
      podLabels: { 'team.name': '5' },
      nodeSelector: { disk: 'ssd' },
      definitions: { enabled: true, keep: false },
    },
  });
});

test.each([
  { text: 'replica: 3', said: 'replica: there is no such value; did you mean replicas?' },
  { text: 'image: { tga: x }', said: 'image.tga: there is no such value; did you mean tag?' },
  { text: 'replicas: "3"', said: 'replicas: takes an integer' },
  { text: 'replicas: 0', said: 'replicas: is less than 1' },
  { text: 'replicas: 101', said: 'replicas: is more than 100' },
  { text: 'image: latest', said: 'image: takes an object' },
  { text: 'image: { repository: "" }', said: 'image.repository: is empty' },
  { text: 'image: { pullSecrets: [1] }', said: 'image.pullSecrets[0]: takes a string' },
  { text: 'extraArguments: x', said: 'extraArguments: takes a list' },
  { text: 'trustDomain: A', said: 'trustDomain: does not match ^[a-z0-9._-]+$' },
  { text: 'logLevel: loud', said: 'logLevel: takes one of debug, info, warning, error, off' },
  { text: 'podLabels: { a: 1 }', said: 'podLabels.a: takes a string' },
  { text: '- 1', said: 'values are no YAML object; write `name: value` on lines of their own' },
  { text: 'a: [', said: 'values are no YAML object; write `name: value` on lines of their own' },
])('refuses the file $text', ({ text, said }) => {
  const read = readValues([text], []);
  expect(read.kind === 'refused' ? read.problems.map(formatProblem) : read.values).toEqual([said]);
});

test.each(['replicas', '=3', 'a..b=1'])('refuses --set %s', (set) => {
  const read = readValues([], [set]);
  expect(read.kind === 'refused' ? read.problems.map(formatProblem) : read.values).toEqual([
    `--set "${set}" is not path=value`,
  ]);
});

test('null in a file is as good as nothing said', () => {
  expect(readValues(['replicas:\nmesh:'], [])).toEqual({ kind: 'read', values: defaultValues() });
});
