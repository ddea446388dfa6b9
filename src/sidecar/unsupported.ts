// Refuses what the sidecar does not do: walks a decoded resource by reflection and compares every
// field that is set with the tables of unsupported-*-fields.ts. What no
// table names is refused, so that a setting unknown to us never passes in silence; what is known to
// be harmless becomes a warning that says what is (not) done.
import { isMessage, type DescField, type DescMessage, type Message, type Registry } from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import { AnySchema, BoolValueSchema, StructSchema, anyUnpack, type Any } from '@bufbuild/protobuf/wkt';
import { error, warning, type Problem } from '../base/problem.ts';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { CLUSTER_FIELDS } from './unsupported-cluster-fields.ts';
import { EXTENSION_PREFIX } from './extension-compile.ts';
import { FIELDS } from './unsupported-fields.ts';
import { HEALTH_FIELDS } from './unsupported-health-fields.ts';
import { RATE_FIELDS } from './unsupported-rate-fields.ts';
import { JWT_FIELDS } from './unsupported-jwt-fields.ts';
import { POLICY_FIELDS } from './unsupported-policy-fields.ts';
import { ROUTE_FIELDS } from './unsupported-route-fields.ts';
import { TLS_FIELDS } from './unsupported-tls-fields.ts';
import { isPeakEwma } from '../resilience/peak-ewma-compile.ts';

/** What we do with the fields of one message type. Field names are separated by spaces. */
export interface MessageFields {
  /** Fields that work; `*` is every field. */
  readonly supported: string;
  /** Fields that their compiler judges by itself: accepted, and not looked into. */
  readonly opaque?: string;
  /** Fields that must be set and not empty. */
  readonly required?: string;
  /** Field to what is (not) done instead: accepted with a warning, and not looked into. */
  readonly harmless?: Readonly<Record<string, string>>;
  /** Field to what to write instead; a field that is in no list is refused without advice. */
  readonly refused?: Readonly<Record<string, string>>;
  /** Enum field to the names of values that work. */
  readonly values?: Readonly<Record<string, string>>;
}

export interface UnsupportedOptions {
  readonly registry: Registry;
  readonly problems: Problem[];
  /** The path of the message inside its file; empty for a whole resource. */
  readonly path: string;
}

/** Those that are configured by a Struct. */
const OWN_FILTERS: ReadonlySet<string> = new Set(['outrigger.mesh', 'outrigger.ratelimit', 'outrigger.shedding']);

/** The message of a field that is missing. */
export const MUST_BE_SET = 'must be set';

const MESSAGES: ReadonlyMap<string, MessageFields> = new Map(
  [FIELDS, CLUSTER_FIELDS, HEALTH_FIELDS, JWT_FIELDS, POLICY_FIELDS, RATE_FIELDS, ROUTE_FIELDS, TLS_FIELDS].flatMap(
    (table) => Object.entries(table),
  ),
);
const fieldSets = new Map<string, ReadonlySet<string>>();

/** Adds a Problem for each thing in the message, at any depth, that we do not do. */
export function findUnsupported(schema: DescMessage, message: Message, options: UnsupportedOptions): void {
  new Walk(options).message(reflect(schema, message), options.path);
}

class Walk {
  readonly #registry: Registry;
  readonly #problems: Problem[];

  constructor({ registry, problems }: UnsupportedOptions) {
    this.#registry = registry;
    this.#problems = problems;
  }

  message(message: ReflectMessage, path: string): void {
    const { desc } = message;
    if (isOpen(desc.typeName)) return;
    const rule = MESSAGES.get(desc.typeName);
    if (rule === undefined) {
      this.#problems.push(error(path, `${desc.typeName} is not supported`, 'remove it'));
      return;
    }
    for (const name of words(rule.required ?? '')) this.#require(message, name, path);
    for (const unknown of message.getUnknown() ?? []) {
      const text = `field number ${unknown.no} of ${desc.typeName} is unknown to this version and has no effect`;
      this.#problems.push(warning(path, text));
    }
    for (const field of desc.fields)
      if (message.isSet(field)) this.#field(message, field, rule, join(path, field.name));
  }

  #require(message: ReflectMessage, name: string, path: string): void {
    const field = message.desc.fields.find((candidate) => candidate.name === name);
    if (field === undefined || message.isSet(field)) return;
    this.#problems.push(error(join(path, name), MUST_BE_SET, `write ${name}`));
  }

  #field(message: ReflectMessage, field: DescField, rule: MessageFields, path: string): void {
    if (rule.opaque !== undefined && words(rule.opaque).has(field.name)) return;
    const harmless = rule.harmless?.[field.name];
    if (harmless !== undefined) {
      this.#problems.push(warning(path, harmless));
      return;
    }
    if (!isSupported(message.desc.typeName, rule, field.name)) {
      if (isOff(message, field)) return;
      const remedy = rule.refused?.[field.name] ?? 'remove it';
      this.#problems.push(error(path, `${message.desc.name}.${field.name} is not supported`, remedy));
      return;
    }
    this.#value(message, field, rule, path);
  }

  #value(message: ReflectMessage, field: DescField, rule: MessageFields, path: string): void {
    switch (field.fieldKind) {
      case 'message':
        this.#inner(message.get(field), path);
        return;
      case 'list':
        if (field.listKind !== 'message') return;
        for (const [index, item] of [...message.get(field)].entries()) this.#inner(item, `${path}[${index}]`);
        return;
      case 'map':
        if (field.mapKind !== 'message') return;
        for (const [key, item] of message.get(field)) this.#inner(item, `${path}[${JSON.stringify(String(key))}]`);
        return;
      case 'enum': {
        const allowed = rule.values?.[field.name];
        const name = field.enum.value[message.get(field)]?.name ?? String(message.get(field));
        if (allowed === undefined || words(allowed).has(name)) return;
        this.#problems.push(error(path, `${name} is not supported`, `write ${[...words(allowed)].join(' or ')}`));
        return;
      }
      case 'scalar':
    }
  }

  #inner(value: unknown, path: string): void {
    if (!isReflected(value)) return;
    if (isMessage(value.message, AnySchema)) this.#extension(value.message, path);
    else if (isMessage(value.message, HttpFilterSchema)) this.#httpFilter(value, value.message, path);
    else this.message(value, path);
  }

  /** A filter that is switched off or optional may be of a type that we do not have. */
  #httpFilter(reflected: ReflectMessage, filter: HttpFilter, path: string): void {
    const any = filter.configType.case === 'typedConfig' ? filter.configType.value : null;
    // Ours are known by name, and their compilers judge what they say.
    if ((OWN_FILTERS.has(filter.name) || filter.name.startsWith(EXTENSION_PREFIX)) && any !== null) return;
    const isKnown = any === null || MESSAGES.has(typeNameOf(any));
    if (isKnown || !(filter.isOptional || filter.disabled)) {
      this.message(reflected, path);
      return;
    }
    this.#problems.push(warning(path, `${filter.name} has no effect: ${extensionName(any)} is not supported`));
  }

  #extension(any: Any, path: string): void {
    // Its message is not among ours: it comes as a struct, which its compiler reads.
    if (isPeakEwma(any)) return;
    const name = typeNameOf(any);
    const schema = this.#registry.getMessage(name);
    const message = schema === undefined ? undefined : anyUnpack(any, schema);
    if (schema === undefined || message === undefined || !MESSAGES.has(name)) {
      this.#problems.push(error(path, `extension ${extensionName(any)} is not supported`, 'remove it'));
      return;
    }
    this.message(reflect(schema, message), path);
  }
}

/** The full name of the message inside an Any. */
export function typeNameOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
}

/** The type of an extension; also of one that bootstrap-check.ts kept as a Struct because we do not know it. */
export function extensionName(any: Any): string {
  const kept = anyUnpack(any, StructSchema)?.fields['@type'];
  if (kept?.kind.case !== 'stringValue') return typeNameOf(any);
  return kept.kind.value.slice(kept.kind.value.lastIndexOf('/') + 1);
}

/** True for types that are values, all of whose fields mean themselves. */
function isOpen(typeName: string): boolean {
  return typeName.startsWith('google.protobuf.') || typeName.startsWith('envoy.type.');
}

/** A setting that we do not have, switched off, asks for nothing. */
function isOff(message: ReflectMessage, field: DescField): boolean {
  if (field.fieldKind !== 'message' || field.message.typeName !== BoolValueSchema.typeName) return false;
  const value: unknown = message.get(field);
  return isReflected(value) && isMessage(value.message, BoolValueSchema) && !value.message.value;
}

function isSupported(typeName: string, rule: MessageFields, name: string): boolean {
  if (rule.supported === '*') return true;
  let names = fieldSets.get(typeName);
  if (names === undefined) {
    names = words(rule.supported);
    fieldSets.set(typeName, names);
  }
  return names.has(name);
}

function words(text: string): Set<string> {
  return new Set(text.split(/\s+/).filter((word) => word !== ''));
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === 'object' && value !== null && 'desc' in value && 'message' in value;
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
