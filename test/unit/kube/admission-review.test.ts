// What an API server asks of a webhook, what else may come, and the patches that are answered.
import { Buffer } from 'node:buffer';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  readAdmissionReview,
  REVIEW_BYTES_MAX,
  REVIEW_DEPTH_MAX,
  writeAdmissionReview,
  type AdmissionVerdict,
} from '../../../src/kube/admission-review.ts';
import { jsonPatch, type JsonPatchOperation } from '../../../src/kube/json-patch.ts';

const REQUEST = {
  uid: 'u1',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  resource: { group: '', version: 'v1', resource: 'pods' },
  namespace: 'shop',
  operation: 'CREATE',
  userInfo: { username: 'jane', groups: ['dev'] },
  object: { metadata: { generateName: 'a-' } },
  oldObject: null,
  dryRun: true,
};
const review = (request: unknown, more: object = {}): Buffer =>
  Buffer.from(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request, ...more }));
const nested = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`);
const read = (body: Buffer, type = 'application/json'): unknown => {
  const result = readAdmissionReview(body, type);
  return result.kind === 'refused' ? result.status : result.request;
};

test('a review is read whole', () => {
  expect(read(review(REQUEST), 'application/json; charset=utf-8')).toEqual({
    uid: 'u1',
    kind: { group: '', version: 'v1', name: 'Pod' },
    resource: { group: '', version: 'v1', name: 'pods' },
    subresource: '',
    name: '',
    namespace: 'shop',
    operation: 'CREATE',
    username: 'jane',
    groups: ['dev'],
    object: { metadata: { generateName: 'a-' } },
    oldObject: null,
    isDryRun: true,
  });
});

const REFUSED: readonly (readonly [string, Buffer, string, number])[] = [
  ['another content type', review(REQUEST), 'text/plain', 415],
  ['no content type', review(REQUEST), '', 415],
  ['no JSON', Buffer.from('{'), 'application/json', 400],
  ['nothing', Buffer.alloc(0), 'application/json', 400],
  ['a list', Buffer.from('[]'), 'application/json', 400],
  ['another version', review(REQUEST, { apiVersion: 'admission.k8s.io/v1beta1' }), 'application/json', 400],
  ['another kind', review(REQUEST, { kind: 'Pod' }), 'application/json', 400],
  ['no request', review(null), 'application/json', 400],
  ['no uid', review({ ...REQUEST, uid: '' }), 'application/json', 400],
  ['an unknown operation', review({ ...REQUEST, operation: 'LOOK' }), 'application/json', 400],
  ['too many bytes', Buffer.alloc(REVIEW_BYTES_MAX + 1, ' '), 'application/json', 413],
  ['too deep', review({ ...REQUEST, object: nested(REVIEW_DEPTH_MAX) }), 'application/json', 400],
  ['far too deep', Buffer.from('['.repeat(1_000_000) + ']'.repeat(1_000_000)), 'application/json', 400],
];
test.each(REFUSED)('%s is refused', (_, body, type, status) => {
  expect(read(body, type)).toBe(status);
});

test('what is as deep and as long as it may be is read', () => {
  expect(read(review({ ...REQUEST, object: nested(REVIEW_DEPTH_MAX - 2) }))).toMatchObject({ uid: 'u1' });
  const body = review(REQUEST);
  const padded = Buffer.concat([body, Buffer.alloc(REVIEW_BYTES_MAX - body.length, ' ')]);
  expect(read(padded)).toMatchObject({ uid: 'u1' });
});

const ANSWERS: readonly (readonly [string, AdmissionVerdict, object])[] = [
  ['allowed', { kind: 'allowed' }, { allowed: true }],
  ['an empty patch', { kind: 'allowed', patch: [] }, { allowed: true }],
  [
    'a patch',
    { kind: 'allowed', patch: [{ op: 'remove', path: '/a' }] },
    { allowed: true, patchType: 'JSONPatch', patch: 'W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2EifV0=' },
  ],
  [
    'denied',
    { kind: 'denied', message: 'no', causes: [{ field: 'spec.hosts', message: 'empty' }], warnings: ['w\n1'] },
    {
      allowed: false,
      warnings: ['w 1'],
      status: {
        status: 'Failure',
        code: 422,
        reason: 'Invalid',
        message: 'no',
        details: { causes: [{ reason: 'FieldValueInvalid', field: 'spec.hosts', message: 'empty' }] },
      },
    },
  ],
];
test.each(ANSWERS)('%s is answered as the API server reads it', (_, verdict, response) => {
  expect(JSON.parse(writeAdmissionReview('u1', verdict))).toEqual({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: 'u1', ...response },
  });
});

test('warnings are no more and no longer than the API server passes on', () => {
  const warnings = Array.from({ length: 40 }, () => 'w'.repeat(400));
  const { response } = JSON.parse(writeAdmissionReview('u1', { kind: 'allowed', warnings }));
  expect([response.warnings.length, response.warnings[0].length]).toEqual([16, 256]);
});

/** RFC 6902, as far as `jsonPatch` uses it. */
function patched(value: unknown, operations: readonly JsonPatchOperation[]): unknown {
  let root: unknown = structuredClone(value);
  for (const { op, path, value: next } of operations) {
    if (path === '') {
      root = next;
      continue;
    }
    const parts = path
      .slice(1)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = parts.pop() ?? '';
    const parent = parts.reduce((at: unknown, part) => Reflect.get(Object(at), part), root);
    if (Array.isArray(parent)) {
      if (op === 'remove') parent.splice(Number(last), 1);
      else if (last === '-') parent.push(next);
      else parent[Number(last)] = next;
    } else if (op === 'remove') Reflect.deleteProperty(Object(parent), last);
    else Object.defineProperty(parent, last, { value: next, configurable: true, enumerable: true, writable: true });
  }
  return root;
}

describe('a patch', () => {
  test('makes any value of any other', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (before, after) => {
        expect(patched(before, jsonPatch(before, after))).toEqual(after);
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  test('of the same value is empty', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => jsonPatch(value, structuredClone(value)).length === 0),
      { seed: 7 },
    );
  });

  test('escapes names and adds to the end of lists', () => {
    const before = { metadata: { annotations: { 'a/b~c': '1' } }, list: [1] };
    const after = { metadata: { annotations: { 'a/b~c': '2', 'd/e': '3' } }, list: [1, 2, 3] };
    expect(jsonPatch(before, after)).toEqual([
      { op: 'replace', path: '/metadata/annotations/a~1b~0c', value: '2' },
      { op: 'add', path: '/metadata/annotations/d~1e', value: '3' },
      { op: 'add', path: '/list/-', value: 2 },
      { op: 'add', path: '/list/-', value: 3 },
    ]);
  });
});
