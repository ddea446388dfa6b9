// The JSON Schema (draft 7) of a kind for editors, kubeconform and the like: the same fields and bounds as in its
// CustomResourceDefinition, and unknown fields are shown as faults. What only CEL can say is left to the API server.
import type { JsonObject } from '@bufbuild/protobuf';
import { mapValues, plainPart } from './crd.ts';
import { exclusions } from './exclusion.ts';
import type { FieldSchema } from './field-schema.ts';
import { STATUS } from './kind-schema.ts';
import type { KindSchema } from './kind-schema.ts';
import { meshConfigSpec } from './mesh-config-schema.ts';

const DRAFT = 'http://json-schema.org/draft-07/schema#';

export function editorSchema(kind: KindSchema): JsonObject {
  return { $schema: DRAFT, title: kind.kind, ...resourceSchema(kind) };
}

/** Of the documents of kind MeshConfig, whose fields stand in `spec` or beside `kind`. */
export function meshConfigSchema(): JsonObject {
  return { $schema: DRAFT, title: 'MeshConfig', ...meshConfig() };
}

function meshConfig(): JsonObject {
  const spec = meshConfigSpec();
  return {
    type: 'object',
    description: spec.description,
    required: ['kind'],
    properties: {
      apiVersion: { type: 'string', description: 'Not read.' },
      kind: { type: 'string', description: 'MeshConfig', enum: ['MeshConfig'] },
      metadata: { type: 'object', description: 'Not read.' },
      spec: plain(spec),
      ...mapValues(spec.properties ?? {}, plain),
    },
  };
}

/** One schema for files with any kinds: a resource is judged by its `kind`, and kinds that are not ours are not judged. */
export function editorBundle(kinds: readonly KindSchema[]): JsonObject {
  return {
    $schema: DRAFT,
    title: 'Resources of Outrigger',
    type: 'object',
    definitions: {
      ...Object.fromEntries(kinds.map((kind) => [kind.kind, resourceSchema(kind)])),
      MeshConfig: meshConfig(),
    },
    allOf: [
      ...kinds.map((kind) => ({
        if: {
          required: ['kind', 'apiVersion'],
          properties: { kind: { const: kind.kind }, apiVersion: apiVersion(kind) },
        },
        // oxlint-disable-next-line unicorn/no-thenable
        then: { $ref: `#/definitions/${kind.kind}` },
      })),
      {
        if: { required: ['kind'], properties: { kind: { const: 'MeshConfig' } } },
        // oxlint-disable-next-line unicorn/no-thenable
        then: { $ref: '#/definitions/MeshConfig' },
      },
    ],
  };
}

function resourceSchema(kind: KindSchema): JsonObject {
  return {
    type: 'object',
    description: kind.description,
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    additionalProperties: false,
    properties: {
      apiVersion: { type: 'string', description: 'The group and version.', ...apiVersion(kind) },
      kind: { type: 'string', description: kind.kind, enum: [kind.kind] },
      metadata: METADATA,
      spec: plain(kind.spec),
      status: plain(STATUS),
    },
  };
}

const METADATA: JsonObject = {
  type: 'object',
  description: 'Who the resource is.',
  required: ['name'],
  properties: {
    name: { type: 'string', description: 'Its name, one of a kind in a namespace.' },
    namespace: { type: 'string', description: 'Its namespace.' },
    labels: { type: 'object', description: 'Labels, by name.', additionalProperties: { type: 'string' } },
    annotations: { type: 'object', description: 'Annotations, by name.', additionalProperties: { type: 'string' } },
  },
};

function apiVersion(kind: KindSchema): JsonObject {
  return { enum: kind.versions.map((version) => `${kind.group}/${version}`) };
}

function plain(field: FieldSchema): JsonObject {
  const { properties, additionalProperties, items, required, isOpen, isIntOrString } = field;
  return {
    ...plainPart(field),
    ...(isIntOrString === true ? { type: ['integer', 'string'] } : {}),
    ...(required === undefined ? {} : { required: [...required] }),
    ...(properties === undefined
      ? {}
      : { properties: mapValues(properties, plain), additionalProperties: isOpen === true }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: plain(additionalProperties) }),
    ...(items === undefined ? {} : { items: plain(items) }),
    ...exclusions(field),
  };
}
