// What an installation does with a definition that is there already.
import type { JsonObject } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { crdOf } from '../../../../src/config/schema/crd.ts';
import { planDefinition } from '../../../../src/config/schema/definition-owner.ts';
import { kindSchemas } from '../../../../src/config/schema/kind-schemas.ts';

const kind = kindSchemas().find((one) => one.kind === 'ServiceEntry');
if (kind === undefined) throw new Error('there is no ServiceEntry');
const wanted = crdOf(kind);

interface Foreign {
  readonly labels?: Record<string, string>;
  readonly versions?: readonly string[];
  readonly spec?: JsonObject;
  readonly status?: JsonObject | null;
}

/** A definition of another owner, as far as it is read. */
function foreign({
  labels = {},
  versions = ['v1', 'v1beta1', 'v1alpha3'],
  spec = {},
  status = {},
}: Foreign): JsonObject {
  return {
    metadata: { name: 'serviceentries.networking.istio.io', labels },
    spec: {
      versions: versions.map((name) => ({
        name,
        served: true,
        ...(status === null ? {} : { subresources: { status } }),
        schema: { openAPIV3Schema: { properties: { spec } } },
      })),
    },
  };
}

const OPEN = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const LEFT = { kind: 'leave', owner: '', missingFields: [], missingVersions: [], hasStatus: true };
const TEXTS = { items: { type: 'string' } };
const fields = (names: readonly string[]): JsonObject => Object.fromEntries(names.map((name) => [name, OPEN]));

test.each([
  ['one that is not there is made', null, { kind: 'create' }],
  ['ours is brought up to date', wanted, { kind: 'update' }],
  ['one that keeps everything is left alone', foreign({ spec: OPEN }), LEFT],
  [
    'whose it is, is told',
    foreign({ labels: { app: 'istio-pilot', 'app.kubernetes.io/part-of': 'istio' }, spec: OPEN }),
    { ...LEFT, owner: 'istio' },
  ],
  ['so is that of an old chart', foreign({ labels: { release: 'istio' }, spec: OPEN }), { ...LEFT, owner: 'istio' }],
  [
    'versions that it does not serve are told',
    foreign({ versions: ['v1beta1'], spec: OPEN }),
    { ...LEFT, missingVersions: ['v1', 'v1alpha3'] },
  ],
  ['that there is no place for a status is told', foreign({ spec: OPEN, status: null }), { ...LEFT, hasStatus: false }],
  [
    'fields that it would drop are told, the outermost of them',
    foreign({
      spec: {
        type: 'object',
        properties: {
          ...fields(['ports', 'location', 'resolution', 'exportTo', 'subjectAltNames', 'workloadSelector']),
          hosts: TEXTS,
          endpoints: {
            items: { properties: fields(['address', 'ports', 'labels', 'locality', 'weight', 'serviceAccount']) },
          },
        },
      },
    }),
    { ...LEFT, missingFields: ['spec.addresses', 'spec.endpoints[].network'] },
  ],
])('%s', (_, present, plan) => {
  expect(planDefinition(wanted, present)).toEqual(plan);
});

test('what is not a definition at all is left alone', () => {
  expect(planDefinition(wanted, { spec: { versions: 'v1' } })).toMatchObject({ kind: 'leave', hasStatus: false });
});
