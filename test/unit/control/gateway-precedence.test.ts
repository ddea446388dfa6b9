// The order of precedence of HTTPRoutes on one Service, each step by a pair that differs in nothing else, and
// the property that the order in which routes are read never matters.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { offlineNode, printedView, translateFiles } from '../../../src/control/offline.ts';

interface Match {
  readonly path?: { readonly type: string; readonly value: string };
  readonly method?: string;
  readonly headers?: readonly { readonly name: string; readonly value: string }[];
  readonly queryParams?: readonly { readonly name: string; readonly value: string }[];
}

interface Route {
  readonly name: string;
  readonly createdAt?: string;
  readonly rules: readonly { readonly name: string; readonly matches: readonly Match[] }[];
}

const SERVICE = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'reviews' },
  spec: { ports: [{ name: 'http', port: 80 }] },
});

function documentOf({ name, createdAt, rules }: Route): string {
  return JSON.stringify({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, ...(createdAt === undefined ? {} : { creationTimestamp: createdAt }) },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
      rules: rules.map((rule) => ({ ...rule, backendRefs: [{ name: 'reviews', port: 80 }] })),
    },
  });
}

/** The names of the routes in the order in which the sidecar tries them. */
function orderOf(routes: readonly Route[]): readonly string[] {
  return [...tableOf(routes).matchAll(/"name":"default\/([^"]*)"/g)].map(([, name = '']) => name);
}

function tableOf(routes: readonly Route[]): string {
  const files = routes.map((route, index) => ({
    file: `${String(index).padStart(3, '0')}.json`,
    text: documentOf(route),
  }));
  const { problems, viewOf } = translateFiles([...files, { file: 'zzz.json', text: SERVICE }]);
  expect(problems).toEqual([]);
  const node = offlineNode({ service: 'frontend', version: '', apps: [], isEnvoy: false });
  if (typeof node === 'string') throw new Error(node);
  return JSON.stringify(printedView(viewOf(node)).routes);
}

const aRoute = (name: string, match: Match, createdAt?: string): Route => ({
  name,
  ...(createdAt === undefined ? {} : { createdAt }),
  rules: [{ name: 'r', matches: [match] }],
});
const prefix = (value: string): Match => ({ path: { type: 'PathPrefix', value } });
const exact = (value: string): Match => ({ path: { type: 'Exact', value } });
const regex = (value: string): Match => ({ path: { type: 'RegularExpression', value } });
const header = (name: string) => ({ name, value: '1' });

test.each<[string, Route, Route]>([
  ['an exact path before a longer prefix', aRoute('z', exact('/a')), aRoute('a', prefix('/a/b/c'))],
  ['an exact path before a regex', aRoute('z', exact('/a')), aRoute('a', regex('/a/b/c.*'))],
  ['a prefix before a longer regex', aRoute('z', prefix('/a')), aRoute('a', regex('/a/b/c.*'))],
  ['the bare prefix before a regex', aRoute('z', prefix('/')), aRoute('a', regex('/a/b/c.*'))],
  ['no path, which is the bare prefix, before a regex', aRoute('z', {}), aRoute('a', regex('/a.*'))],
  [
    'a longer prefix before a shorter one with a method',
    aRoute('z', prefix('/a/b')),
    aRoute('a', { ...prefix('/a'), method: 'GET' }),
  ],
  [
    'a longer prefix before one whose trailing slash makes it as long',
    aRoute('z', prefix('/ab')),
    aRoute('a', prefix('/a/')),
  ],
  ['a longer regex before a shorter one', aRoute('z', regex('/a.*')), aRoute('a', regex('/.*'))],
  ['a method before headers', aRoute('z', { method: 'GET' }), aRoute('a', { headers: [header('x'), header('y')] })],
  [
    'more headers before fewer with more query',
    aRoute('z', { headers: [header('x'), header('y')] }),
    aRoute('a', { headers: [header('x')], queryParams: [header('p'), header('q')] }),
  ],
  [
    'headers of one name count once',
    aRoute('z', { headers: [header('x'), header('y')] }),
    aRoute('a', { headers: [header('x'), header('X'), header('x')] }),
  ],
  [
    'more query before less',
    aRoute('z', { queryParams: [header('p'), header('q')] }),
    aRoute('a', { queryParams: [header('p')] }),
  ],
  [
    'query before age',
    aRoute('z', { queryParams: [header('p')] }, '2025-01-01T00:00:00Z'),
    aRoute('a', {}, '2020-01-01T00:00:00Z'),
  ],
  [
    'the older before the first by name',
    aRoute('z', {}, '2020-01-01T00:00:00Z'),
    aRoute('a', {}, '2025-01-01T00:00:00Z'),
  ],
  [
    'the first by name of the same age',
    aRoute('a', {}, '2020-01-01T00:00:00Z'),
    aRoute('b', {}, '2020-01-01T00:00:00Z'),
  ],
])('%s', (_, first, second) => {
  const expected = [`${first.name}/r`, `${second.name}/r`];
  expect(orderOf([first, second])).toEqual(expected);
  expect(orderOf([second, first])).toEqual(expected);
});

test('within one route the rules keep their order, and so do the matches of a rule', () => {
  const rules = ['one', 'two', 'three'].map((name) => ({ name, matches: [prefix('/a'), prefix('/a/'), exact('/b')] }));
  const names = ['one', 'two', 'three'];
  expect(orderOf([{ name: 'r', rules }])).toEqual([
    ...names.map((name) => `r/${name}`),
    ...names.flatMap((name) => [`r/${name}`, `r/${name}`]),
  ]);
});

const pairs = fc.uniqueArray(fc.constantFrom('p', 'q', 'r').map(header), {
  maxLength: 3,
  selector: ({ name }) => name,
});
const someMatch: fc.Arbitrary<Match> = fc.record(
  {
    path: fc.record({
      type: fc.constantFrom('Exact', 'PathPrefix', 'RegularExpression'),
      value: fc.constantFrom('/', '/a', '/b', '/a/b', '/a/b/'),
    }),
    method: fc.constantFrom('GET', 'POST'),
    headers: pairs,
    queryParams: pairs,
  },
  { requiredKeys: [] },
);
const someRoutes = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    createdAt: fc.constantFrom('2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z'),
    rules: fc
      .array(fc.array(someMatch, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 })
      .map((all) => all.map((matches, index) => ({ name: `r${index}`, matches }))),
  }),
  { maxLength: 6, minLength: 1, selector: ({ name }) => name },
);

test('any order of reading gives the same order of precedence', () => {
  const shuffled = someRoutes.chain((routes) =>
    fc.tuple(fc.constant(routes), fc.shuffledSubarray(routes, { minLength: routes.length })),
  );
  fc.assert(
    fc.property(shuffled, ([routes, other]) => {
      expect(tableOf(other)).toBe(tableOf(routes));
    }),
    { numRuns: 100 },
  );
});
