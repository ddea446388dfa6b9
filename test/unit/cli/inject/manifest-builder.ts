// Manifests in many spellings: every combination of how the parts that injection touches may be written, with
// comments, line endings and flow style where YAML allows them. Each is valid and has one Deployment or Pod.
import * as fc from 'fast-check';

const INIT_BLOCK = [
  'initContainers: # before the app',
  '# the first of them',
  'DASH- name: warm',
  'DASH  image: warm:1',
];

/** Ways to write a part in block style, as lines below its parent; the empty list leaves it out. */
const SPELLINGS = {
  annotations: [
    [],
    ['annotations: {}'],
    ['annotations: { }  # none yet'],
    ['annotations: null'],
    ['annotations: ~ # none'],
    ['annotations:'],
    ['annotations: # none yet'],
    ['annotations: {team: \'a, b\' , "x/y": z}'],
    ['annotations:', '', '  # why', '  team: "books" # ours', "  note: 'it''s'"],
    ['annotations: &notes', '    team: books'],
  ],
  initContainers: [
    [],
    ['initContainers: []'],
    ['initContainers: [ ] # none'],
    ['initContainers: null'],
    ['initContainers:'],
    ['initContainers: [{name: warm, image: "warm:1"}, ]'],
    INIT_BLOCK,
    ['initContainers:', 'DASH- {name: warm, image: warm}', '', 'DASH- image: warm', 'DASH  name: again'],
  ],
  tail: [
    [],
    ['restartPolicy: Always'],
    ['volumes: [ {name: v, emptyDir: {}} ]', '# last words'],
    ['terminationGracePeriodSeconds: 30 # seconds', '', ''],
  ],
};

const CONTAINERS = ['containers:', 'DASH- name: app # the app', 'DASH  image: "app:1"', 'DASH  args: [-x, "|"]'];

interface Spelling {
  readonly annotations: readonly string[];
  readonly initContainers: readonly string[];
  readonly tail: readonly string[];
  readonly isInitFirst: boolean;
  readonly hasComments: boolean;
  readonly dash: '' | '  ';
  readonly isPod: boolean;
  readonly isListed: boolean;
}

function podLines(spelling: Spelling): readonly string[] {
  const { annotations, initContainers, tail, isInitFirst, hasComments } = spelling;
  const lists = isInitFirst ? [...initContainers, ...CONTAINERS] : [...CONTAINERS, ...initContainers];
  return [
    'metadata:',
    '  name: app',
    ...indented(annotations, '  '),
    '  labels: {app: app}',
    ...(hasComments ? ['', '# between the two\t(a tab)'] : []),
    'spec: # of the pod',
    ...(hasComments ? ['  # of the containers', ''] : []),
    ...indented([...lists, ...tail], '  '),
  ].map((line) => line.replaceAll('DASH', spelling.dash));
}

function manifest(spelling: Spelling): string {
  const pod = podLines(spelling);
  const top = spelling.isPod ? ['apiVersion: v1', 'kind: Pod', ...pod] : deployment(pod);
  if (!spelling.isListed) return top.join('\n');
  const [first = '', ...rest] = top;
  return ['apiVersion: v1', 'kind: List', 'items:', `- ${first}`, ...indented(rest, '  ')].join('\n');
}

function deployment(pod: readonly string[]): readonly string[] {
  const head = ['apiVersion: apps/v1', 'kind: Deployment', 'metadata: {name: app}', 'spec:', '  template:'];
  return [...head, ...indented(pod, '    ')];
}

function indented(lines: readonly string[], indent: string): readonly string[] {
  return lines.map((line) => (line === '' ? '' : indent + line));
}

const spelling = fc.record({
  annotations: fc.constantFrom(...SPELLINGS.annotations),
  initContainers: fc.constantFrom(...SPELLINGS.initContainers),
  tail: fc.constantFrom(...SPELLINGS.tail),
  isInitFirst: fc.boolean(),
  hasComments: fc.boolean(),
  dash: fc.constantFrom('' as const, '  ' as const),
  isPod: fc.boolean(),
  isListed: fc.boolean(),
});

const OTHERS = [
  '# only a comment',
  'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  script: |\n    # outrigger:begin\n    initContainers:\n',
  'apiVersion: example.com/v1\nkind: Deployment\nspec: {template: {spec: {containers: []}}}',
  '',
];

/** A stream of YAML documents with at least one pod in it. */
export const manifests: fc.Arbitrary<string> = fc
  .record({
    pods: fc.array(spelling.map(manifest), { minLength: 1, maxLength: 2 }),
    others: fc.array(fc.constantFrom(...OTHERS), { maxLength: 2 }),
    start: fc.constantFrom('', '---\n', '--- # first\n', '# head\n\n---\n', '\uFEFF'),
    end: fc.constantFrom('', '\n', '\n\n', '\n...\n', '\n# end', '\n---\n'),
    isCrLf: fc.boolean(),
  })
  .map(({ pods, others, start, end, isCrLf }) => {
    const text = start + [...others.slice(0, 1), ...pods, ...others.slice(1)].join('\n---\n') + end;
    return isCrLf ? text.replaceAll('\n', '\r\n') : text;
  });

/** The same as JSON, in several widths. */
export const jsonManifests: fc.Arbitrary<string> = fc
  .record({
    annotations: fc.constantFrom<unknown>(undefined, null, {}, { team: 'books' }),
    metadata: fc.constantFrom<unknown>('some', undefined, null, {}),
    initContainers: fc.constantFrom<unknown>(undefined, null, [], [{ name: 'warm' }]),
    width: fc.constantFrom<string | number>('', 2, '\t'),
    isListed: fc.boolean(),
    end: fc.constantFrom('', '\n'),
  })
  .map(({ annotations, metadata, initContainers, width, isListed, end }) => {
    const meta = metadata === 'some' ? { labels: { app: 'app' }, annotations } : metadata;
    const template = { metadata: meta, spec: { initContainers, containers: [{ name: 'app', args: ['\u00e9"\\/'] }] } };
    const one = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'app' }, spec: { template } };
    const all = isListed ? { kind: 'List', apiVersion: 'v1', items: [one, { kind: 'Secret' }] } : one;
    return JSON.stringify(all, null, width) + end;
  });
