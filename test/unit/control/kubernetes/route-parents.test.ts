// What the status of a route says of each of its parents, from the objects of a cluster to the entries of `status.parents`.
import { expect, test } from 'vitest';
import { ruleObject, type RuleObject } from '../../../../src/control/kubernetes/rule-object.ts';
import { wantedParents } from '../../../../src/control/kubernetes/route-parents.ts';
import { translateFiles } from '../../../../src/control/offline.ts';
import { listOf, recordOf, type JsonRecord } from '../../../../src/kube/json-record.ts';
import { readKubeObject } from '../../../../src/kube/kube-object.ts';
import { gatewayKind } from '../../../../src/control/kubernetes/watched-kinds.ts';

const FILE = 'route.json';
const TIME = '2026-01-02T03:04:05Z';

const service = (name: string, namespace: string, protocol = 'TCP'): JsonRecord => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { ports: [{ name: 'http', port: 80, protocol }] },
});

const grant = (to: JsonRecord): JsonRecord => ({
  apiVersion: 'gateway.networking.k8s.io/v1beta1',
  kind: 'ReferenceGrant',
  metadata: { name: 'grant', namespace: 'other' },
  spec: { from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }], to: [to] },
});

const WEB = { group: '', kind: 'Service', name: 'web' };
const GATEWAY = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge' };
const BACKEND: JsonRecord = { name: 'web', port: 80 };

interface Case {
  readonly parents?: readonly JsonRecord[];
  readonly backend?: JsonRecord;
  readonly rule?: JsonRecord;
  readonly beside?: readonly JsonRecord[];
  /** `status.parents` as it is. */
  readonly before?: readonly JsonRecord[];
}

function routeOf({ parents = [WEB], backend = BACKEND, rule = {}, before = [] }: Case): JsonRecord {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'web', namespace: 'shop', generation: 3 },
    spec: { parentRefs: parents, rules: [{ backendRefs: [backend], ...rule }] },
    status: { parents: before },
  };
}

function objectOf(route: JsonRecord): RuleObject {
  const object = readKubeObject(route);
  if (object === null) throw new Error('no object');
  return ruleObject(gatewayKind('HTTPRoute', 'httproutes', 'v1'), FILE, object);
}

function statusOf(given: Case): readonly JsonRecord[] | null {
  const route = routeOf(given);
  const beside = [service('web', 'shop'), service('far', 'other'), ...(given.beside ?? [])];
  const { problems } = translateFiles([
    { file: FILE, text: JSON.stringify({ ...route, status: undefined }) },
    ...beside.map((object, index) => ({ file: `${index}.json`, text: JSON.stringify(object) })),
  ]);
  const own = problems.filter(({ place }) => place?.file === FILE);
  return wantedParents(own, objectOf(route), { synced: 2, connected: 2, ageMs: 0 }, TIME);
}

/** `TYPE STATUS REASON` of the conditions of each entry. */
function said(given: Case): readonly (readonly string[])[] {
  return (statusOf(given) ?? []).map((entry) =>
    listOf(entry['conditions']).map((one) => {
      const { type, status, reason } = recordOf(one);
      return [type, status, reason].join(' ');
    }),
  );
}

const GOOD = ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs', 'Programmed True Programmed'];
const lost = (reason: string): readonly string[] => [
  'Accepted True Accepted',
  `ResolvedRefs False ${reason}`,
  'Programmed True Programmed',
];
const refused = (reason: string): readonly string[] => [
  `Accepted False ${reason}`,
  'ResolvedRefs Unknown Invalid',
  `Programmed False ${reason}`,
];
const UNMATCHED = [
  'Accepted False NoMatchingParent',
  'ResolvedRefs True ResolvedRefs',
  'Programmed False NoMatchingParent',
];
const FAR: JsonRecord = { name: 'far', namespace: 'other', port: 80 };

const cases: readonly (readonly [string, Case, readonly (readonly string[])[]])[] = [
  ['all is there', {}, [GOOD]],
  ['a Service that is not there', { backend: { name: 'gone', port: 80 } }, [lost('BackendNotFound')]],
  ['a port that is not there', { backend: { name: 'web', port: 81 } }, [lost('BackendNotFound')]],
  ['a kind that is none', { backend: { kind: 'Bucket', group: 'x.example', name: 'web' } }, [lost('InvalidKind')]],
  ['another namespace without a grant', { backend: FAR }, [lost('RefNotPermitted')]],
  ['another namespace that grants it', { backend: FAR, beside: [grant({ group: '', kind: 'Service' })] }, [GOOD]],
  [
    'another namespace that grants something else',
    { backend: FAR, beside: [grant({ group: '', kind: 'Service', name: 'near' })] },
    [lost('RefNotPermitted')],
  ],
  [
    'a port of UDP',
    { backend: { name: 'dns', port: 80 }, beside: [service('dns', 'shop', 'UDP')] },
    [lost('UnsupportedProtocol')],
  ],
  [
    'a mirror that is not there',
    { rule: { filters: [{ type: 'RequestMirror', requestMirror: { backendRef: { name: 'gone', port: 80 } } }] } },
    [lost('BackendNotFound')],
  ],
  ['parents of which one has no such port', { parents: [{ ...WEB, port: 81 }, WEB] }, [UNMATCHED, GOOD]],
  ['a parent without the port of that name', { parents: [{ ...WEB, sectionName: 'grpc' }] }, [UNMATCHED]],
  ['a parent that is not there', { parents: [{ ...WEB, name: 'gone' }] }, [UNMATCHED]],
  ['parents of others', { parents: [GATEWAY, WEB] }, [GOOD]],
  ['a parent of another group', { parents: [{ ...WEB, group: 'x.example' }] }, []],
  [
    'a value that cannot be followed',
    { rule: { matches: [{ path: { type: 'RegularExpression', value: '(' } }] } },
    [refused('UnsupportedValue')],
  ],
  [
    'filters that do not go together',
    {
      rule: {
        filters: [
          { type: 'URLRewrite', urlRewrite: { hostname: 'a.example' } },
          { type: 'RequestRedirect', requestRedirect: { hostname: 'b.example' } },
        ],
        backendRefs: [],
      },
    },
    [refused('IncompatibleFilters')],
  ],
];

test.each(cases)('a route says of its parents: %s', (_, given, expected) => {
  expect(said(given)).toEqual(expected);
});

const THEIRS = { parentRef: WEB, controllerName: 'example.com/other', conditions: [] };

test('an entry says which generation was looked at, and since when it is so', () => {
  const [entry] = statusOf({}) ?? [];
  const meta = { observedGeneration: 3, lastTransitionTime: TIME };
  expect(entry).toEqual({
    parentRef: WEB,
    controllerName: 'outrigger.dev/control',
    conditions: [
      { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', ...meta },
      { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: '', ...meta },
      { type: 'Programmed', status: 'True', reason: 'Programmed', message: '2 of 2 proxies have it', ...meta },
    ],
  });
});

test('what is said already is not said again, wherever the entries of others stand', () => {
  const [ours = {}] = statusOf({}) ?? [];
  expect(statusOf({ before: [ours, THEIRS] })).toBe(null);
  expect(statusOf({ before: [THEIRS, ours] })).toBe(null);
});

test('an entry of ours goes with its parent, those of others stay', () => {
  const [ours = {}] = statusOf({}) ?? [];
  const gone = { ...ours, parentRef: { ...WEB, name: 'former' } };
  expect(statusOf({ before: [gone, THEIRS, ours] })).toEqual([THEIRS, ours]);
  expect(statusOf({ parents: [GATEWAY], before: [THEIRS, ours] })).toEqual([THEIRS]);
});

test('a condition that changes has a new time, the others keep theirs', () => {
  const [ours = {}] = statusOf({}) ?? [];
  const conditions = listOf(ours['conditions']).map((one) => ({ ...recordOf(one), lastTransitionTime: 'then' }));
  const [entry = {}] = statusOf({ backend: FAR, before: [{ ...ours, conditions }] }) ?? [];
  expect(listOf(entry['conditions']).map((one) => recordOf(one)['lastTransitionTime'])).toEqual(['then', TIME, 'then']);
});
