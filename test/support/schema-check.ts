// What JSON Schema says of a value, as far as the schemas of our kinds need it: written from the specification (draft 7),
// apart from what renders them. Null is as good as absent, as it is to an API server for fields that are not nullable.
import { isRecord } from './written-resources.ts';

/** The paths that are wrong; none: the value fits. */
export function faultsOf(value: unknown, schema: unknown, path = ''): readonly string[] {
  if (typeof schema === 'boolean') return schema ? [] : [path];
  if (!isRecord(schema)) throw new Error(`${path}: no schema`);
  const inner = Array.isArray(value)
    ? value.flatMap((item: unknown, index) => faultsOf(item, schema['items'] ?? true, `${path}[${index}]`))
    : isRecord(value)
      ? faultsInside(value, schema, path)
      : [];
  return Object.entries(schema).some(([keyword, given]) => !holds(value, keyword, given)) ? [path, ...inner] : inner;
}

function faultsInside(value: Record<string, unknown>, schema: Record<string, unknown>, path: string): string[] {
  const properties = isRecord(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : [];
  const missing = required.filter((name) => isAbsent(value[name])).map((name) => `${path}.${name}`);
  const there = Object.entries(value).filter(([, inner]) => !isAbsent(inner));
  return [
    ...missing,
    ...there.flatMap(([name, inner]) =>
      faultsOf(inner, properties[name] ?? schema['additionalProperties'] ?? true, `${path}.${name}`),
    ),
  ];
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function holds(value: unknown, keyword: string, given: unknown): boolean {
  switch (keyword) {
    case 'type':
      return (Array.isArray(given) ? given : [given]).some((type) => isOf(value, String(type)));
    case 'enum':
      return Array.isArray(given) && given.includes(value);
    case 'pattern':
      return typeof value !== 'string' || new RegExp(String(given), 'u').test(value);
    case 'minimum':
      return typeof value !== 'number' || value >= Number(given);
    case 'maximum':
      return typeof value !== 'number' || value <= Number(given);
    case 'minItems':
      return !Array.isArray(value) || value.length >= Number(given);
    case 'maxItems':
      return !Array.isArray(value) || value.length <= Number(given);
    case 'minLength':
      return typeof value !== 'string' || Array.from(value).length >= Number(given);
    case 'maxLength':
      return typeof value !== 'string' || Array.from(value).length <= Number(given);
    case 'minProperties':
      return !isRecord(value) || Object.keys(value).length >= Number(given);
    case 'maxProperties':
      return !isRecord(value) || Object.keys(value).length <= Number(given);
    case 'not':
      return faultsOf(value, given).length > 0;
    case 'anyOf':
      return Array.isArray(given) && given.some((one: unknown) => faultsOf(value, one).length === 0);
    case 'allOf':
      return Array.isArray(given) && given.every((one: unknown) => faultsOf(value, one).length === 0);
    default:
      return SILENT.has(keyword);
  }
}

/** Read elsewhere, or without meaning for a value. A keyword that is in no list makes every value wrong. */
const SILENT = new Set(
  ['$schema', 'title', 'description', 'format', 'properties', 'additionalProperties'].concat('items', 'required'),
);

function isOf(value: unknown, type: string): boolean {
  if (type === 'object') return isRecord(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}
