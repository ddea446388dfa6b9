// Whose a CustomResourceDefinition is that is already in a cluster, and so what an installation does with it: one that is
// not there is made, ours is brought up to date, and one that somebody else brought along, Istio's above all, is left
// alone, because its owner would change it back and other programs count on it. Of that one it is told what it cannot
// hold: fields that it does not know are dropped by the API server before we see them.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isJsonObject } from '../json-value.ts';
import { OWN_LABELS } from './crd.ts';

export type DefinitionPlan =
  | { readonly kind: 'create' }
  | { readonly kind: 'update' }
  | {
      readonly kind: 'leave';
      /** Who manages it, as far as its labels tell; empty: nobody says. */
      readonly owner: string;
      /** Paths of our fields that it would drop, such as `spec.http[].mirrors`; without what is inside of them. */
      readonly missingFields: readonly string[];
      /** Versions of ours that it does not serve. */
      readonly missingVersions: readonly string[];
      /** Whether our status can be written. */
      readonly hasStatus: boolean;
    };

/** `wanted` is ours (crdOf), `present` what the cluster has under the same name; null: nothing. */
export function planDefinition(wanted: JsonObject, present: JsonObject | null): DefinitionPlan {
  if (present === null) return { kind: 'create' };
  const labels = objectAt(present, 'metadata', 'labels');
  if (labels['app.kubernetes.io/part-of'] === OWN_LABELS['app.kubernetes.io/part-of']) return { kind: 'update' };
  const served = versionsOf(present).filter((version) => version['served'] === true);
  const names = new Set(served.map(nameOf));
  const ours = versionsOf(wanted);
  const common = served.filter((version) => ours.some((own) => nameOf(own) === nameOf(version)));
  const missing = common.flatMap((version) => {
    const own = ours.find((one) => nameOf(one) === nameOf(version)) ?? {};
    return missingIn(objectAt(own, ...SPEC), objectAt(version, ...SPEC), 'spec');
  });
  return {
    kind: 'leave',
    owner: ownerOf(labels),
    missingFields: [...new Set(missing)],
    missingVersions: ours.map(nameOf).filter((name) => !names.has(name)),
    hasStatus:
      common.length > 0 && common.every((version) => isJsonObject(objectAt(version, 'subresources')['status'])),
  };
}

const SPEC = ['schema', 'openAPIV3Schema', 'properties', 'spec'];
/** Labels that say who manages a thing, the most telling first. */
const OWNER_LABELS = [
  'app.kubernetes.io/part-of',
  'app.kubernetes.io/managed-by',
  'operator.istio.io/component',
  'release',
  'app',
];

function ownerOf(labels: JsonObject): string {
  for (const name of OWNER_LABELS) {
    const value = labels[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return '';
}

/** Where an object keeps what it does not know, nothing is missing. */
function missingIn(wanted: JsonObject, present: JsonObject, path: string): readonly string[] {
  if (present['x-kubernetes-preserve-unknown-fields'] === true) return [];
  const known = objectAt(present, 'properties');
  const inside = Object.entries(objectAt(wanted, 'properties')).flatMap(([name, own]) => {
    const theirs = known[name];
    if (!isJsonObject(theirs)) return [`${path}.${name}`];
    return missingIn(objectOf(own), theirs, `${path}.${name}`);
  });
  return [
    ...inside,
    ...INNER.flatMap(([name, mark]) =>
      name in wanted ? missingIn(objectAt(wanted, name), objectAt(present, name), `${path}${mark}`) : [],
    ),
  ];
}

/** Where schemas have a schema for each of many. */
const INNER = [
  ['items', '[]'],
  ['additionalProperties', '{}'],
] as const;

function versionsOf(definition: JsonObject): readonly JsonObject[] {
  const versions = objectAt(definition, 'spec')['versions'];
  return Array.isArray(versions) ? versions.map(objectOf) : [];
}

function nameOf(version: JsonObject): string {
  const name = version['name'];
  return typeof name === 'string' ? name : '';
}

/** Empty where there is none. */
function objectAt(value: JsonObject, ...path: readonly string[]): JsonObject {
  return path.reduce<JsonObject>((inner, name) => objectOf(inner[name]), value);
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return value !== undefined && isJsonObject(value) ? value : {};
}
