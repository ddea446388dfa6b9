// EnvoyFilters that turn bad, and some that never were right: what stays in force, and what stands in.
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { parseFile } from '../../../src/config/parse.ts';
import type { EnvoyFilter } from '../../../src/config/resource.ts';
import { EnvoyFilters } from '../../../src/control/envoy-filters.ts';
import { ResourceIndex } from '../../../src/control/resource-index.ts';
import { translateFiles, offlineNode, printedView } from '../../../src/control/offline.ts';
import { Translator } from '../../../src/control/translator.ts';

const TYPES = 'type.googleapis.com/envoy.extensions.filters.http';
const NODE = { namespace: 'default', labels: new Map([['app', 'a']]) };

interface Patch {
  readonly operation?: string;
  readonly match?: object;
  readonly applyTo?: string;
  readonly value?: object;
  readonly more?: object;
}

const patch = ({ operation = 'INSERT_FIRST', match, applyTo = 'HTTP_FILTER', value, more = {} }: Patch): object => ({
  applyTo,
  ...(match === undefined ? {} : { match }),
  patch: { operation, value, ...more },
});
const filter = (patches: readonly object[], spec: object = {}): string =>
  JSON.stringify({
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'x' },
    spec: { configPatches: patches, ...spec },
  });
const typed = (type: string, fields: object, name = 'n'): object => ({
  name,
  typed_config: { '@type': `${TYPES}.${type}`, ...fields },
});
const LIMIT = {
  stat_prefix: 'l',
  token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: '1s' },
};
const limit = (fields: object = {}): object => typed('local_ratelimit.v3.LocalRateLimit', { ...LIMIT, ...fields });
const deny = typed('rbac.v3.RBAC', { rules: { action: 'ALLOW' } });

function inForce(index: ResourceIndex): readonly EnvoyFilter[] {
  return [...index.resources().values()].filter((resource) => resource.kind === 'EnvoyFilter');
}

function messages(index: ResourceIndex): readonly string[] {
  return [...index.problems(), ...new EnvoyFilters(inForce(index), 'istio-system').problems].map(formatProblem);
}

const SUBFILTER = {
  listener: {
    filterChain: {
      filter: {
        name: 'envoy.filters.network.http_connection_manager',
        subFilter: { name: 'envoy.filters.http.router' },
      },
    },
  },
};

it.each<[string, Patch]>([
  ['a field that the message does not have', { value: limit({ no_such: 1 }) }],
  ['a value of another type', { value: limit({ stat_prefix: 7 }) }],
  ['a filter that nobody knows', { value: typed('lua.v3.Lua', {}) }],
  ['no type', { value: { name: 'n', typed_config: {} } }],
  ['no name', { value: { ...limit(), name: '' } }],
  ['a field beside it', { value: { ...limit(), disabled: true } }],
  [
    'an expression that cannot be compiled',
    {
      value: typed('rbac.v3.RBAC', {
        rules: {
          policies: {
            p: {
              permissions: [{ urlPath: { path: { safeRegex: { regex: '(' } } } }],
              principals: [{ any: true }],
            },
          },
        },
      }),
    },
  ],
  ['a bucket that is never filled', { value: limit({ token_bucket: { max_tokens: 1, fill_interval: '0s' } }) }],
  ['no service to ask', { value: typed('ext_authz.v3.ExtAuthz', {}) }],
  [
    'a rule without its provider',
    {
      value: typed('jwt_authn.v3.JwtAuthentication', {
        rules: [{ match: { prefix: '/' }, requires: { providerName: 'nobody' } }],
      }),
    },
  ],
  ['a part of another filter', { operation: 'MERGE', match: SUBFILTER, value: limit() }],
  ['a slip that the reader finds', { operation: 'INSERT_FISRT', value: limit() }],
])('one that turns bad by %s keeps its last good version', (_name, bad) => {
  const index = new ResourceIndex();
  index.apply('f', parseFile('f', filter([patch({ value: limit() })])));
  const [good] = inForce(index);
  expect(index.apply('f', parseFile('f', filter([patch(bad)]))).keys).toEqual([]);
  expect(inForce(index)).toEqual([good]);
  expect(messages(index)).toEqual([expect.stringMatching(/^f:\d+:\d+: spec\.configPatches\[0\]/)]);
  expect(new EnvoyFilters(inForce(index), 'istio-system').of(NODE).map(({ name }) => name)).toEqual(['n']);
  // Corrected, it is followed again.
  index.apply('f', parseFile('f', filter([patch({ value: { ...limit(), name: 'later' } })])));
  expect(messages(index)).toEqual([]);
  expect(new EnvoyFilters(inForce(index), 'istio-system').of(NODE).map(({ name }) => name)).toEqual(['later']);
});

it('values that are taken from files and variables are left for sidecars to judge', () => {
  const provider = { local_jwks: { filename: '/nobody/has/this' } };
  const value = typed('jwt_authn.v3.JwtAuthentication', { providers: { p: provider } });
  const index = new ResourceIndex();
  index.apply('f', parseFile('f', filter([patch({ value })])));
  expect([messages(index), inForce(index)[0]?.spec.isStandIn]).toEqual([[], false]);
});

const ANYWHERE = { context: 'ANY', port: null };
const BAD = { no_such: 1 };

it.each<[string, string, readonly object[]]>([
  ['authorization', filter([patch({ value: typed('rbac.v3.RBAC', BAD) })]), [ANYWHERE]],
  ['tokens', filter([patch({ value: typed('jwt_authn.v3.JwtAuthentication', BAD) })]), [ANYWHERE]],
  ['a service that decides', filter([patch({ value: typed('ext_authz.v3.ExtAuthz', BAD) })]), [ANYWHERE]],
  ['a type that nobody knows', filter([patch({ value: typed('basic_auth.v3.BasicAuth', {}) })]), [ANYWHERE]],
  ['a misspelled type', filter([patch({ value: typed('rbac.v3.RBACC', {}) })]), [ANYWHERE]],
  ['only a name', filter([patch({ value: { name: 'envoy.filters.http.rbac', typed_config: {} } })]), [ANYWHERE]],
  [
    'a network filter',
    filter([
      patch({
        applyTo: 'NETWORK_FILTER',
        value: {
          name: 'n',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC' },
        },
      }),
    ]),
    [ANYWHERE],
  ],
  ['a replacement', filter([patch({ operation: 'REPLACE', value: deny })]), [ANYWHERE]],
  ['a misspelled operation', filter([patch({ operation: 'ADD', value: deny })]), [ANYWHERE]],
  ['a misspelled field', filter([patch({ more: { vlaue: deny } })]), [ANYWHERE]],
  ['a misspelled list', filter([], { configPatchs: [patch({ value: deny })] }), [ANYWHERE]],
  [
    'one place',
    filter([
      patch({ match: { context: 'SIDECAR_INBOUND', listener: { portNumber: 80 } }, value: typed('rbac.v3.RBAC', BAD) }),
    ]),
    [{ context: 'SIDECAR_INBOUND', port: 80 }],
  ],
  [
    'a place that cannot be read',
    filter([patch({ match: { context: 'INBOUND', listener: { portNumber: '80' } }, value: deny })]),
    [ANYWHERE],
  ],
  [
    'what is wrong beside it',
    filter([patch({ value: limit(BAD) }), patch({ match: { context: 'SIDECAR_OUTBOUND' }, value: deny })]),
    [{ context: 'SIDECAR_OUTBOUND', port: null }],
  ],
])('one that was never right and was to guard by %s denies every request there', (_name, text, places) => {
  const index = new ResourceIndex();
  index.apply('f', parseFile('f', text));
  const [standIn] = inForce(index);
  const filters = new EnvoyFilters(inForce(index), 'istio-system').of(NODE);
  expect(filters.map(({ context, port }) => ({ context, port }))).toEqual(places);
  expect(
    filters.every(({ name, operation }) => operation === 'INSERT_FIRST' && name === 'outrigger.refused/default/x'),
  ).toBe(true);
  expect(standIn?.spec.isStandIn).toBe(true);
  expect(messages(index).filter((text_) => text_.includes('answer every request there with 403'))).toHaveLength(1);
  // What is right takes its place, and what turns bad after it leaves that in force.
  index.apply('f', parseFile('f', filter([patch({ value: limit() })])));
  index.apply('f', parseFile('f', text));
  expect(inForce(index).map(({ spec }) => spec.isStandIn)).toEqual([false]);
});

it.each<[string, string]>([
  ['limits', filter([patch({ value: limit(BAD) })])],
  ['answers browsers', filter([patch({ value: typed('cors.v3.Cors', BAD) })])],
  ['merges', filter([patch({ operation: 'MERGE', value: deny })])],
  ['removes', filter([patch({ operation: 'REMOVE', match: SUBFILTER, value: deny })])],
  [
    'stands beside a guard',
    filter([
      patch({
        operation: 'INSERT_BEFORE',
        match: { ...SUBFILTER, proxy: { n: 'envoy.filters.http.rbac' } },
        value: limit(),
      }),
    ]),
  ],
  [
    'switches a guard off for a route',
    filter([
      patch({
        applyTo: 'HTTP_ROUTE',
        operation: 'INSERT_FIRST',
        value: { typed_per_filter_config: { 'envoy.filters.http.ext_authz': { disabled: true } } },
      }),
    ]),
  ],
  ['is for gateways', filter([patch({ match: { context: 'GATEWAY' }, value: typed('rbac.v3.RBAC', BAD) })])],
])('nothing stands in for one that %s', (_name, text) => {
  const index = new ResourceIndex();
  index.apply('f', parseFile('f', text));
  expect(inForce(index)).toEqual([]);
  expect(messages(index).length).toBeGreaterThan(0);
});

it('a stand-in is the first filter of the workloads that it is for, and of no others', () => {
  const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ name: http, port: 80 }] }\n';
  const guard = patch({ match: { context: 'SIDECAR_INBOUND' }, value: typed('rbac.v3.RBAC', BAD) });
  const text = filter([guard], { workloadSelector: { labels: { app: 'a' } } });
  const offline = translateFiles([{ file: 'f', text: `${service}---\n${text}\n` }]);
  const namesFor = (labels: ReadonlyMap<string, string>): readonly string[] => {
    const node = offlineNode({ service: 'a', version: '', apps: ['80'], isEnvoy: false });
    if (typeof node === 'string') throw new Error(node);
    const printed = JSON.stringify(printedView(offline.viewOf({ ...node, labels })).listeners);
    const chains = [...printed.matchAll(/"http_filters":\[(.*?)"envoy\.filters\.http\.router"/g)];
    return chains.map(([, chain = '']) =>
      [...chain.matchAll(/"name":"(outrigger\.[^"]+)"/g)].map(([, name]) => name).join(' '),
    );
  };
  const refused = 'outrigger.mesh outrigger.refused/default/x';
  expect(namesFor(new Map([['app', 'a']]))).toEqual(['outrigger.mesh outrigger.fault', refused]);
  expect(namesFor(new Map([['app', 'b']]))).toEqual(['outrigger.mesh outrigger.fault', 'outrigger.mesh']);
});

it.each<[string, readonly (readonly [string, string])[], readonly (readonly [string, boolean])[]]>([
  [
    'in one file',
    [['f', `${filter([patch({ value: limit() })])}\n---\n${filter([patch({ value: deny })])}`]],
    [
      ['x', false],
      ['x~2', false],
    ],
  ],
  [
    'in two files, the later one wrong',
    [
      ['a', filter([patch({ value: limit() })])],
      ['b', filter([patch({ value: typed('rbac.v3.RBAC', BAD) })])],
    ],
    [
      ['x', false],
      ['x~~2', true],
    ],
  ],
  ['without a name', [['f', filter([patch({ value: deny })]).replace('{"name":"x"}', 'null')]], [['', true]]],
  ['in a file that is broken after it', [['f', `${filter([patch({ value: deny })])}\n---\na: [`]], [['x', false]]],
  [
    'in a file that is broken after it, and wrong',
    [['f', `${filter([patch({ value: typed('rbac.v3.RBAC', BAD) })])}\n---\na: [`]],
    [['x', true]],
  ],
  [
    'with no guard, in a file that is broken after it',
    [['f', `${filter([patch({ value: limit() })])}\n---\na: [`]],
    [],
  ],
  [
    'before one of its name without a guard',
    [
      ['a', filter([patch({ value: deny })])],
      ['b', filter([patch({ value: limit() })])],
    ],
    [['x', false]],
  ],
])('what guards is not lost %s', (_name, files, expected) => {
  const index = new ResourceIndex();
  for (const [file, text] of files) index.apply(file, parseFile(file, text));
  const found = inForce(index).map(({ meta, spec }) => [meta.name, spec.isStandIn] as const);
  expect(found.toSorted(([one], [other]) => (one < other ? -1 : 1))).toEqual(expected);
});

const merge = (fields: object): object =>
  patch({
    operation: 'MERGE',
    match: {
      listener: {
        filterChain: {
          filter: { name: 'envoy.filters.network.http_connection_manager', subFilter: { name: 'n' } },
        },
      },
    },
    value: typed('local_ratelimit.v3.LocalRateLimit', fields),
  });

/** Buckets of the filter as sidecars get it, and what is said. */
function translated(fields: object): readonly [string[], readonly string[]] {
  const text = filter([patch({ match: { context: 'SIDECAR_INBOUND' }, value: limit() }), merge(fields)]);
  const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ name: http, port: 80 }] }\n';
  const control = new Translator({ domain: 'cluster.local', providers: [], services: [] });
  const index = new ResourceIndex();
  index.apply('f', parseFile('f', `${service}---\n${text}\n`));
  const node = offlineNode({ service: 'a', version: '', apps: ['80'], isEnvoy: false });
  if (typeof node === 'string') throw new Error(node);
  const { builder, problems } = control.translate(index.resources(), [], () => [node]);
  const printed = JSON.stringify(printedView(builder.build(node, null)).listeners);
  const buckets = [...printed.matchAll(/"token_bucket":(\{.*?\})/g)].map(([, bucket = '']) => bucket);
  return [buckets, [...index.problems(), ...problems].map(formatProblem)];
}

describe('a merge', () => {
  it('that sidecars take is made', () => {
    expect(translated({ token_bucket: { max_tokens: 7 } })).toEqual([
      ['{"max_tokens":7,"tokens_per_fill":1,"fill_interval":"1s"}'],
      [],
    ]);
  });

  it('that no sidecar would take is left out, and said', () => {
    const [buckets, said] = translated({ descriptors: [{ entries: [{ key: 'a' }] }] });
    expect(buckets).toEqual(['{"max_tokens":1,"tokens_per_fill":1,"fill_interval":"1s"}']);
    expect(said).toEqual([
      expect.stringMatching(
        /^f:\d+:\d+: spec\.configPatches\[1\]\.patch\.value: merged into n no sidecar would take it \(descriptors\[0\]\.token_bucket must be set\)/,
      ),
    ]);
  });
});
