// Fields that exclude each other, and fields of which one must be there, as JSON Schema says it without CEL.
import type { JsonObject } from '@bufbuild/protobuf';
import type { FieldSchema } from './field-schema.ts';

/** Keywords to add to the schema of the object; none where nothing is excluded. */
export function exclusions({ atMostOne = [], atLeastOne = [] }: FieldSchema): JsonObject {
  const pairs = atMostOne.flatMap((names) =>
    names.flatMap((first, index) =>
      names.slice(index + 1).map((second): JsonObject => ({ required: [first, second] })),
    ),
  );
  const needs = atLeastOne.map((names): JsonObject => ({ anyOf: names.map((name) => ({ required: [name] })) }));
  return {
    ...(pairs.length === 0 ? {} : { not: { anyOf: pairs } }),
    ...(needs.length === 0 ? {} : { allOf: needs }),
  };
}
