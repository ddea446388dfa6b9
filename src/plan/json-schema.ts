// JSON Schema (draft 2020-12) as far as configurations of extensions need it: type, enum, const, properties, required,
// additionalProperties, items, minItems, maxItems, minLength, maxLength, pattern, minimum, maximum, exclusiveMinimum,
// exclusiveMaximum, and title, description, default, examples and $schema, which check nothing. Any other keyword is
// refused when the schema is compiled: a rule that is passed over would let wrong configurations through.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { error, type Problem } from '../base/problem.ts';
import { compileEngine } from './regex.ts';

/** Adds Problems under `path`. */
export type SchemaCheck = (value: JsonValue, path: string, problems: Problem[]) => void;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
const SILENT = new Set(['title', 'description', 'default', 'examples', '$schema', '$id', '$comment']);
const DEPTH_MAX = 16;

type Keyword = (given: JsonValue, schema: JsonObject, place: Place) => SchemaCheck | null;

interface Place {
  readonly path: string;
  readonly problems: Problem[];
  readonly depth: number;
}

/** Null after reporting what of the schema is wrong, or not supported. */
export function compileSchema(schema: JsonValue, problems: Problem[], path: string): SchemaCheck | null {
  const found: Problem[] = [];
  const check = compile(schema, { path, problems: found, depth: 0 });
  problems.push(...found);
  return found.length === 0 ? check : null;
}

function compile(schema: JsonValue | undefined, place: Place): SchemaCheck {
  const { path, problems, depth } = place;
  if (schema === true || schema === undefined) return () => {};
  if (schema === false) return (_value, at, found) => void found.push(error(at, 'must not be there', 'remove it'));
  if (!isObject(schema) || depth > DEPTH_MAX) {
    problems.push(error(path, isObject(schema) ? 'is too deep' : 'is no schema', 'write an object, true or false'));
    return () => {};
  }
  const checks: SchemaCheck[] = [];
  for (const [name, given] of Object.entries(schema)) {
    if (SILENT.has(name)) continue;
    const keyword = KEYWORDS[name];
    const check = keyword?.(given, schema, { ...place, path: `${path}.${name}` }) ?? null;
    if (keyword === undefined) problems.push(error(`${path}.${name}`, 'this keyword of JSON Schema is not supported'));
    else if (check === null) problems.push(error(`${path}.${name}`, `${JSON.stringify(given)} is not what it takes`));
    else checks.push(check);
  }
  return (value, at, found) => {
    for (const check of checks) check(value, at, found);
  };
}

const KEYWORDS: Readonly<Record<string, Keyword>> = {
  type: (given) => {
    const names = Array.isArray(given) ? given : [given];
    const types = TYPES.filter((type) => names.includes(type));
    if (types.length === 0 || types.length !== names.length) return null;
    return (value, at, found) => {
      if (!types.some((type) => isOf(value, type)))
        found.push(error(at, `is ${nameOf(value)}`, `write ${types.join(' or ')}`));
    };
  },
  enum: (given) => {
    if (!Array.isArray(given) || given.length === 0) return null;
    const texts = given.map((each) => JSON.stringify(each));
    return (value, at, found) => {
      if (!texts.includes(JSON.stringify(value)))
        found.push(error(at, `is none of the choices`, `write ${texts.join(', ')}`));
    };
  },
  const: (given) => (value, at, found) => {
    if (JSON.stringify(value) !== JSON.stringify(given))
      found.push(error(at, 'is something else', `write ${JSON.stringify(given)}`));
  },
  properties: (given, _schema, place) => {
    if (!isObject(given)) return null;
    const checks = Object.entries(given).map(([name, inner]) => {
      const path = `${place.path}.${name}`;
      return { name, check: compile(inner, { ...place, path, depth: place.depth + 1 }) };
    });
    return (value, at, found) => {
      if (!isObject(value)) return;
      for (const { name, check } of checks) {
        const inner = value[name];
        if (inner !== undefined) check(inner, join(at, name), found);
      }
    };
  },
  required: (given) => {
    if (!Array.isArray(given)) return null;
    const names = given.map(String);
    return (value, at, found) => {
      if (!isObject(value)) return;
      for (const name of names)
        if (!Object.hasOwn(value, name)) found.push(error(join(at, name), 'is missing', `write ${name}`));
    };
  },
  additionalProperties: (given, schema, place) => {
    const known = isObject(schema['properties']) ? new Set(Object.keys(schema['properties'])) : new Set<string>();
    const check = compile(given, { ...place, depth: place.depth + 1 });
    const remedy = known.size === 0 ? 'remove it' : `write ${[...known].join(', ')}`;
    return (value, at, found) => {
      if (!isObject(value)) return;
      for (const [name, inner] of Object.entries(value)) {
        if (known.has(name)) continue;
        if (given === false) found.push(error(join(at, name), 'is not known', remedy));
        else check(inner, join(at, name), found);
      }
    };
  },
  items: (given, _schema, place) => {
    const check = compile(given, { ...place, depth: place.depth + 1 });
    return (value, at, found) => {
      if (Array.isArray(value)) for (const [index, item] of value.entries()) check(item, `${at}[${index}]`, found);
    };
  },
  pattern: (given, _schema, { problems, path }) => {
    if (typeof given !== 'string') return null;
    const regex = compileEngine(given, problems, path);
    return (value, at, found) => {
      if (typeof value === 'string' && regex !== null && !regex.test(value))
        found.push(error(at, 'does not match', `write what matches ${given}`));
    };
  },
  minItems: bound(
    (value) => (Array.isArray(value) ? value.length : null),
    (size, limit) => size >= limit,
    'has too few items',
  ),
  maxItems: bound(
    (value) => (Array.isArray(value) ? value.length : null),
    (size, limit) => size <= limit,
    'has too many items',
  ),
  minLength: bound(lengthOf, (size, limit) => size >= limit, 'is too short'),
  maxLength: bound(lengthOf, (size, limit) => size <= limit, 'is too long'),
  minimum: bound(numberOf, (size, limit) => size >= limit, 'is too small'),
  maximum: bound(numberOf, (size, limit) => size <= limit, 'is too large'),
  exclusiveMinimum: bound(numberOf, (size, limit) => size > limit, 'is too small'),
  exclusiveMaximum: bound(numberOf, (size, limit) => size < limit, 'is too large'),
};

function bound(
  measure: (value: JsonValue) => number | null,
  holds: (size: number, limit: number) => boolean,
  message: string,
): Keyword {
  return (given) => {
    if (typeof given !== 'number') return null;
    return (value, at, found) => {
      const size = measure(value);
      if (size !== null && !holds(size, given)) found.push(error(at, message, `the limit is ${given}`));
    };
  };
}

function lengthOf(value: JsonValue): number | null {
  return typeof value === 'string' ? Array.from(value).length : null;
}

function numberOf(value: JsonValue): number | null {
  return typeof value === 'number' ? value : null;
}

function isOf(value: JsonValue, type: (typeof TYPES)[number]): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return isObject(value);
  return nameOf(value) === type;
}

function nameOf(value: JsonValue): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
