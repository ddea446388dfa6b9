// Checks plain JSON against a message type and collects every mistake with its path: fields that do
// not exist (with the nearest one that does), wrong kinds of values, unknown enum names. Field names
// may be snake_case or camelCase, as protobuf JSON has it.
//
// Two spellings are rewritten on the way so that `fromJson` accepts the result: a TypedStruct becomes
// the message it stands for, and an extension of a type that we do not know becomes a Struct with the
// `@type` kept inside, for unsupported.ts to judge by where it stands.
import {
  ScalarType,
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
} from '@bufbuild/protobuf';
import type { Registry } from '@bufbuild/protobuf';
import { error, type Problem } from '../base/problem.ts';

export interface CheckOptions {
  readonly registry: Registry;
  /** Mistakes are added here. */
  readonly problems: Problem[];
}

/** The type under which an extension of an unknown type is kept. */
export const UNKNOWN_EXTENSION = 'type.googleapis.com/google.protobuf.Struct';

const TYPED_STRUCTS: ReadonlySet<string> = new Set(['udpa.type.v1.TypedStruct', 'xds.type.v3.TypedStruct']);

/** Fields that the API has dropped and that are still found in old files, with what replaced them. */
const DROPPED: ReadonlyMap<string, string> = new Map([
  ['envoy.config.cluster.v3.Cluster.hosts', 'write load_assignment with endpoints'],
  ['envoy.config.cluster.v3.Cluster.tls_context', 'write transport_socket'],
  ['envoy.config.listener.v3.FilterChain.tls_context', 'write transport_socket'],
  ['envoy.config.listener.v3.Filter.config', 'write typed_config with an @type'],
  ['envoy.config.listener.v3.ListenerFilter.config', 'write typed_config with an @type'],
  ['envoy.config.bootstrap.v3.Bootstrap.runtime', 'write layered_runtime'],
  ['envoy.config.route.v3.RouteMatch.regex', 'write safe_regex'],
  ['envoy.config.route.v3.HeaderMatcher.regex_match', 'write string_match with safe_regex'],
  [
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.idle_timeout',
    'write common_http_protocol_options.idle_timeout',
  ],
  ['envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.config', 'write typed_config with an @type'],
]);

export function checkJson(schema: DescMessage, json: unknown, options: CheckOptions): JsonValue {
  return new Check(options).message(schema, json, '');
}

class Check {
  readonly #registry: Registry;
  readonly #problems: Problem[];

  constructor({ registry, problems }: CheckOptions) {
    this.#registry = registry;
    this.#problems = problems;
  }

  message(schema: DescMessage, json: unknown, path: string): JsonValue {
    const known = this.#wellKnown(schema, json, path);
    if (known !== undefined) return known;
    if (!isObject(json)) return this.#refuse(path, `must be a mapping, not ${nameOf(json)}`, `see ${schema.typeName}`);
    const checked: JsonObject = {};
    for (const [key, value] of Object.entries(json)) {
      const field = fieldOf(schema, key);
      if (field === undefined) {
        this.#unknownField(schema, key, path);
        continue;
      }
      if (value === null) continue;
      checked[key] = this.#field(field, value, join(path, field.name));
    }
    this.#oneofs(schema, json, path);
    return checked;
  }

  #unknownField(schema: DescMessage, key: string, path: string): void {
    const dropped = DROPPED.get(`${schema.typeName}.${toSnakeCase(key)}`);
    const names = schema.fields.map((field) => field.name);
    const near = nearest(toSnakeCase(key), names);
    const few = names.length <= 12 ? `the fields here are ${names.join(', ')}` : 'remove it';
    const remedy = dropped ?? (near === null ? few : `did you mean ${near}?`);
    this.#refuse(join(path, key), `${schema.typeName} has no field ${JSON.stringify(key)}`, remedy);
  }

  #oneofs(schema: DescMessage, json: Record<string, unknown>, path: string): void {
    for (const oneof of schema.oneofs) {
      const set = Object.keys(json).filter((key) => json[key] !== null && fieldOf(schema, key)?.oneof === oneof);
      if (set.length < 2) continue;
      this.#refuse(join(path, set[1] ?? ''), `only one of ${set.join(', ')} may be set`, 'remove the others');
    }
  }

  #field(field: DescField, value: unknown, path: string): JsonValue {
    switch (field.fieldKind) {
      case 'message':
        return this.message(field.message, value, path);
      case 'enum':
        return this.#enum(field.enum, value, path);
      case 'scalar':
        return this.#scalar(field.scalar, value, path);
      case 'list':
        return this.#list(field, value, path);
      default:
        return this.#map(field, value, path);
    }
  }

  #list(field: DescField & { fieldKind: 'list' }, value: unknown, path: string): JsonValue {
    if (!Array.isArray(value))
      return this.#refuse(path, `must be a list, not ${nameOf(value)}`, 'put a dash before it');
    return value.map((item: unknown, index) => {
      const at = `${path}[${index}]`;
      if (item === null && field.listKind !== 'message') return this.#refuse(at, 'must not be empty', 'write a value');
      switch (field.listKind) {
        case 'message':
          return this.message(field.message, item ?? {}, at);
        case 'enum':
          return this.#enum(field.enum, item, at);
        default:
          return this.#scalar(field.scalar, item, at);
      }
    });
  }

  #map(field: DescField & { fieldKind: 'map' }, value: unknown, path: string): JsonValue {
    if (!isObject(value)) return this.#refuse(path, `must be a mapping, not ${nameOf(value)}`);
    const checked: JsonObject = {};
    for (const [key, item] of Object.entries(value)) {
      const at = `${path}[${JSON.stringify(key)}]`;
      switch (field.mapKind) {
        case 'message':
          checked[key] = this.message(field.message, item ?? {}, at);
          break;
        case 'enum':
          checked[key] = this.#enum(field.enum, item, at);
          break;
        case 'scalar':
          checked[key] = this.#scalar(field.scalar, item, at);
          break;
      }
    }
    return checked;
  }

  #enum(schema: DescEnum, value: unknown, path: string): JsonValue {
    const names = schema.values.map((entry) => entry.name);
    if (typeof value === 'string' && names.includes(value)) return value;
    if (typeof value === 'number' && schema.values.some((entry) => entry.number === value)) return value;
    const near = typeof value === 'string' ? nearest(value.toUpperCase(), names) : null;
    const remedy = near === null ? `write one of ${names.join(', ')}` : `did you mean ${near}?`;
    return this.#refuse(path, `${JSON.stringify(value)} is not a value of ${schema.typeName}`, remedy);
  }

  #scalar(type: ScalarType, value: unknown, path: string): JsonValue {
    switch (type) {
      case ScalarType.STRING:
        if (typeof value === 'string') return value;
        return this.#refuse(path, `must be a string, not ${nameOf(value)}`, 'put it in quotes');
      case ScalarType.BOOL:
        if (typeof value === 'boolean') return value;
        return this.#refuse(path, `must be true or false, not ${nameOf(value)}`);
      case ScalarType.BYTES:
        if (typeof value === 'string' && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) return value;
        return this.#refuse(path, 'must be bytes in base64');
      case ScalarType.FLOAT:
      case ScalarType.DOUBLE:
        return this.#number(value, path);
      default:
        return this.#integer(type, value, path);
    }
  }

  #number(value: unknown, path: string): JsonValue {
    if (typeof value === 'number') return value;
    if (typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))) return value;
    return this.#refuse(path, `must be a number, not ${nameOf(value)}`);
  }

  #integer(type: ScalarType, value: unknown, path: string): JsonValue {
    const isText = typeof value === 'string' && /^-?\d+(?:\.0+)?(?:e\d+)?$/i.test(value);
    if (!isText && (typeof value !== 'number' || !Number.isInteger(value)))
      return this.#refuse(path, `must be a whole number, not ${nameOf(value)}`);
    const [least, most] = RANGES.get(type) ?? [-(2 ** 63), 2 ** 64];
    const number = Number(value);
    if (number < least || number > most)
      return this.#refuse(path, `must be between ${least} and ${most}, not ${number}`);
    return typeof value === 'string' ? value : number;
  }

  /** Types whose JSON is not a mapping of their fields; undefined for all others. */
  #wellKnown(schema: DescMessage, json: unknown, path: string): JsonValue | undefined {
    switch (schema.typeName) {
      case 'google.protobuf.Any':
        return this.#any(json, path);
      case 'google.protobuf.Duration':
        if (typeof json === 'string' && /^-?\d{1,12}(?:\.\d{1,9})?s$/.test(json)) return json;
        return this.#refuse(
          path,
          `must be a duration, not ${nameOf(json)}`,
          'write seconds with an s, for example 0.25s',
        );
      case 'google.protobuf.Struct':
        if (isObject(json)) return toJson(json);
        return this.#refuse(path, `must be a mapping, not ${nameOf(json)}`);
      case 'google.protobuf.Value':
        return toJson(json);
      case 'google.protobuf.ListValue':
      case 'google.protobuf.Timestamp':
      case 'google.protobuf.FieldMask':
        return toJson(json);
      default: {
        const value = schema.fields[0];
        const isWrapper = schema.file.name === 'google/protobuf/wrappers' && value?.fieldKind === 'scalar';
        return isWrapper ? this.#scalar(value.scalar, json, path) : undefined;
      }
    }
  }

  #any(json: unknown, path: string): JsonValue {
    if (!isObject(json)) return this.#refuse(path, `must be a mapping with @type, not ${nameOf(json)}`);
    const { '@type': url, ...rest } = json;
    if (typeof url !== 'string' || url === '')
      return this.#refuse(path, '@type is missing', 'write "@type": type.googleapis.com/<message>');
    const name = url.slice(url.lastIndexOf('/') + 1);
    if (TYPED_STRUCTS.has(name)) return this.#typedStruct(rest, path);
    const schema = this.#registry.getMessage(name);
    if (schema === undefined) return { '@type': UNKNOWN_EXTENSION, value: toJson(json) };
    const isPlain = !schema.typeName.startsWith('google.protobuf.') || schema.typeName === 'google.protobuf.Empty';
    if (!isPlain) return { '@type': url, value: this.message(schema, rest['value'] ?? {}, `${path}.value`) };
    const inner = this.message(schema, rest, path);
    return isObject(inner) ? { '@type': url, ...inner } : inner;
  }

  #typedStruct(json: Record<string, unknown>, path: string): JsonValue {
    const url = json['type_url'] ?? json['typeUrl'];
    const value = json['value'] ?? {};
    if (typeof url !== 'string' || !isObject(value))
      return this.#refuse(path, 'a TypedStruct needs type_url and value');
    return this.#any({ ...value, '@type': url.includes('/') ? url : `type.googleapis.com/${url}` }, path);
  }

  #refuse(path: string, message: string, remedy = ''): JsonValue {
    this.#problems.push(error(path, message, remedy));
    return null;
  }
}

const RANGES: ReadonlyMap<ScalarType, readonly [number, number]> = new Map([
  [ScalarType.INT32, [-(2 ** 31), 2 ** 31 - 1]],
  [ScalarType.SINT32, [-(2 ** 31), 2 ** 31 - 1]],
  [ScalarType.SFIXED32, [-(2 ** 31), 2 ** 31 - 1]],
  [ScalarType.UINT32, [0, 2 ** 32 - 1]],
  [ScalarType.FIXED32, [0, 2 ** 32 - 1]],
  [ScalarType.UINT64, [0, 2 ** 64]],
  [ScalarType.FIXED64, [0, 2 ** 64]],
]);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function toJson(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(toJson);
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return null;
}

function fieldOf(schema: DescMessage, key: string): DescField | undefined {
  return schema.fields.find((field) => field.name === key || field.jsonName === key);
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function nameOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return `the ${typeof value} ${JSON.stringify(value)}`;
}

/** `filterChains` as `filter_chains`. */
export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The only name that has this one as its first or last words, else the one that differs least (by a third of its letters at most). */
export function nearest(name: string, candidates: readonly string[]): string | null {
  const longer = candidates.filter((candidate) => candidate.startsWith(`${name}_`) || candidate.endsWith(`_${name}`));
  if (longer.length === 1) return longer[0] ?? null;
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = distanceOf(name, candidate);
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

function distanceOf(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
