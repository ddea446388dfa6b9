// Values as JSON has them, for parts of a resource that we hand on without reading them.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

export type JsonFields = Readonly<JsonObject>;

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What JSON makes of a value: dates become text, what it has no word for is left out. */
export function toJsonValue(value: unknown): JsonValue {
  const text: string | undefined = JSON.stringify(value);
  const json: JsonValue = text === undefined ? null : JSON.parse(text);
  return json;
}
