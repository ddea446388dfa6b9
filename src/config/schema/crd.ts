// The CustomResourceDefinition of a kind (apiextensions.k8s.io/v1), structural, with the same schema in every version.
// Fields that exclude each other become rules in CEL, whose messages say which; where there may be so many objects that
// the API server would find that too expensive, they become `not` and `anyOf`, which cost nothing. A rule that nothing
// replaces fails here, at generation, and not in somebody's cluster.
// Source: kubernetes.io "Extend the Kubernetes API with CustomResourceDefinitions" (structural schemas, cost of CEL).
import type { JsonObject } from '@bufbuild/protobuf';
import { exclusions } from './exclusion.ts';
import { celName } from './field-schema.ts';
import type { FieldSchema, Rule } from './field-schema.ts';
import { COMMON_COLUMNS, STATUS } from './kind-schema.ts';
import type { KindSchema } from './kind-schema.ts';

/** Objects of one resource for which a rule may be evaluated: all matches of a VirtualService, and few more are affordable. */
const RULED_OBJECTS_MAX = 1_300_000;
/** Fields of one resource that may be counted. */
const COUNTED_FIELDS_MAX = 2_000_000;

/** Says that a definition is ours: what another installed is left alone (definition-owner.ts). */
export const OWN_LABELS = {
  'app.kubernetes.io/name': 'outrigger',
  'app.kubernetes.io/part-of': 'outrigger',
  'app.kubernetes.io/component': 'definitions',
} as const;

export function crdOf(kind: KindSchema): JsonObject {
  const schema: JsonObject = {
    type: 'object',
    description: kind.description,
    required: ['spec'],
    properties: {
      apiVersion: {
        type: 'string',
        description: `One of ${kind.versions.map((one) => `${kind.group}/${one}`).join(', ')}.`,
      },
      kind: { type: 'string', description: kind.kind },
      metadata: { type: 'object' },
      spec: structural(kind.spec, 1),
      status: structural(STATUS, 1),
    },
  };
  const columns = [...kind.columns, ...COMMON_COLUMNS].map((column): JsonObject => ({
    name: column.name,
    type: column.type ?? 'string',
    jsonPath: column.path,
    description: column.description,
    priority: column.priority ?? 0,
  }));
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${kind.group}`, labels: { ...OWN_LABELS } },
    spec: {
      group: kind.group,
      scope: 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        shortNames: [...kind.shortNames],
        categories: [...kind.categories],
      },
      versions: kind.versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        subresources: { status: {} },
        additionalPrinterColumns: columns,
        schema: { openAPIV3Schema: schema },
      })),
    },
  };
}

/** `count` is how many of these objects one resource may have. */
function structural(field: FieldSchema, count: number): JsonObject {
  const { properties, additionalProperties, items, required, mapKeys, isOpen, isIntOrString } = field;
  const cheap = count <= RULED_OBJECTS_MAX;
  const own = field.rules ?? [];
  const rules = [...(cheap ? exclusionRules(field) : []), ...own, ...nullRules(field, count)];
  if (own.length > 0 && !cheap)
    throw new Error(`the rule of "${field.description}" may be evaluated ${count} times: bound the lists around it`);
  const inside = (inner: FieldSchema): JsonObject => ({
    ...structural(inner, count),
    ...(field.refusesNull === true ? { nullable: true } : {}),
  });
  return {
    ...plainPart(field),
    ...(required === undefined ? {} : { required: [...required] }),
    ...(properties === undefined ? {} : { properties: mapValues(properties, inside) }),
    ...(additionalProperties === undefined
      ? {}
      : { additionalProperties: structural(additionalProperties, count * (field.maxProperties ?? Infinity)) }),
    ...(items === undefined ? {} : { items: structural(items, count * (field.maxItems ?? Infinity)) }),
    ...(mapKeys === undefined ? {} : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [...mapKeys] }),
    ...(isOpen === true ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(isIntOrString === true ? { 'x-kubernetes-int-or-string': true } : {}),
    ...(cheap ? {} : exclusions(field)),
    ...(rules.length === 0
      ? {}
      : { 'x-kubernetes-validations': rules.map(({ rule, message }) => ({ rule, message })) }),
  };
}

const PLAIN = [
  'type',
  'description',
  'enum',
  'pattern',
  'format',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'minLength',
  'maxLength',
  'minProperties',
  'maxProperties',
] as const;

/** What JSON Schema has under the same name. */
export function plainPart(field: FieldSchema): JsonObject {
  const part: JsonObject = {};
  for (const name of PLAIN) {
    const value = field[name];
    if (value !== undefined) part[name] = typeof value === 'object' ? [...value] : value;
  }
  return part;
}

export function mapValues<From, To>(
  from: Readonly<Record<string, From>>,
  change: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, change(value)]));
}

function exclusionRules(field: FieldSchema): readonly Rule[] {
  const most = (field.atMostOne ?? []).map((names): Rule => ({
    rule:
      names.length === 2
        ? `!(${names.map((name) => has(name)).join(' && ')})`
        : `${names.map((name) => `(${has(name)} ? 1 : 0)`).join(' + ')} <= 1`,
    message: `only one of ${names.join(', ')} may be set`,
  }));
  const least = (field.atLeastOne ?? []).map((names): Rule => ({
    rule: names.map((name) => has(name)).join(' || '),
    message: `one of ${names.join(', ')} must be set`,
  }));
  return [...most, ...least];
}

/**
 * Nulls are kept and refused: here where there are few of them, and else by the readers, which would not see them if they
 * were dropped. `has` is false for a null (Kubernetes 1.36), so there are fewer of those than there are fields.
 */
function nullRules({ refusesNull = false, properties = {} }: FieldSchema, count: number): readonly Rule[] {
  const names = Object.keys(properties);
  if (!refusesNull || count * names.length > COUNTED_FIELDS_MAX) return [];
  return [
    {
      rule: `size(dyn(self)) == ${names.map((name) => `(${has(name)} ? 1 : 0)`).join(' + ')}`,
      message: 'a field has no value: write one, or remove the field',
    },
  ];
}

function has(name: string): string {
  return `has(self.${celName(name)})`;
}
