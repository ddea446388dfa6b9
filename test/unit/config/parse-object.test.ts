// Objects as an API server hands them out go through the readers that files go through; they have no lines.
import { expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { parseFile, parseObject } from '../../../src/config/parse.ts';

const NAME = 'kubernetes:VirtualService/shop/reviews';
const RULE = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: {
    name: 'reviews',
    namespace: 'shop',
    uid: '3f0c',
    resourceVersion: '17',
    generation: 3,
    creationTimestamp: '2026-01-31T12:00:00Z',
    managedFields: [{ manager: 'kubectl', fieldsV1: { 'f:spec': {} } }],
  },
  spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }], timeout: '2s' }] },
  status: { conditions: [] },
};

test('an object is read as its text would be', () => {
  const [fromObject] = parseObject(NAME, RULE).resources;
  const [fromText] = parseFile('rule.json', JSON.stringify(RULE)).resources;
  expect({ ...fromObject, source: null }).toEqual({ ...fromText, source: null });
  expect(fromObject?.meta).toMatchObject({ generation: 3, createdAtMs: Date.UTC(2026, 0, 31, 12) });
});

test('what is wrong with an object has a path and no line', () => {
  const parsed = parseObject(NAME, { ...RULE, spec: { ...RULE.spec, http: [{ ...RULE.spec.http[0], timeout: 2 }] } });
  expect(parsed.refused).toEqual(['VirtualService/shop/reviews']);
  expect(parsed.problems.map(formatProblem)).toEqual([
    expect.stringMatching(/^kubernetes:VirtualService\/shop\/reviews: spec\.http\[0\]\.timeout: 2 is not a duration/),
  ]);
});

test('a translation that has something to say of an object says it without a line', () => {
  const [rule] = parseObject(NAME, RULE).resources;
  expect(rule?.source.locate('spec.http[0].timeout')).toEqual({ file: NAME, line: 0, column: 0 });
});

test('a mesh configuration inside a ConfigMap is read, and what is wrong in it is told', () => {
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio', namespace: 'istio-system' } };
  const parsed = parseObject('kubernetes:ConfigMap/istio-system/istio', {
    ...map,
    data: { mesh: 'trustDomain: [a]\n' },
  });
  expect(parsed.problems.map(formatProblem)).toEqual([
    expect.stringMatching(/^kubernetes:ConfigMap\/istio-system\/istio: .*trustDomain: must be a string/),
  ]);
});
