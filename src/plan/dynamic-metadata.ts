// What filters leave on an exchange for those after them (Exchange.metadata), and how configuration asks for it:
// by a namespace and a path of keys, with Envoy's MetadataMatcher or `%DYNAMIC_METADATA%`. A path never leads
// through a list, nor to what an object only inherits: keys may be names that a caller's token chose. Matching
// creates nothing but, for text that is not ASCII, its bytes; what is absent satisfies no matcher.
// Source: Envoy MetadataMatcher and ValueMatcher, as in source/common/common/matchers.cc.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import type { MetadataMatcher } from '../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import type { DoubleMatcher } from '../xds/gen/envoy/type/matcher/v3/number_pb.js';
import type { ValueMatcher } from '../xds/gen/envoy/type/matcher/v3/value_pb.js';
import type { Exchange } from './exchange.ts';
import { compileStringMatch } from './string-match.ts';
import { wireText } from './wire-text.ts';

/** Of an exchange's metadata. */
export type MetadataPredicate = (x: Exchange) => boolean;

/** Undefined: there is no such value. */
type ValuePredicate = (value: JsonValue | undefined) => boolean;

/** Matchers within matchers. */
const DEPTH_MAX = 16;

/** The value at `keys` of the namespace; undefined when nothing stands there. No keys: all of the namespace. */
export function readMetadata(x: Exchange, namespace: string, keys: readonly string[]): JsonValue | undefined {
  if (x.metadata.size === 0) return undefined;
  const fields = x.metadata.get(namespace);
  return fields === undefined ? undefined : valueAt(fields, keys);
}

/** The value at the end of a path of keys through objects. */
export function valueAt(fields: JsonObject, keys: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = fields;
  for (let i = 0; i < keys.length; i++) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const key: string = keys[i] ?? '';
    if (!Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** Adds one entry to a namespace, keeping its others; what stood there before is not changed. Exceptions and new tokens only: it makes an object. */
export function addMetadata(x: Exchange, namespace: string, key: string, value: JsonValue): void {
  const known = x.metadata.get(namespace);
  x.metadata.set(namespace, Object.freeze({ ...known, [key]: value }));
}

/** Null after reporting why the matcher is refused. */
export function compileMetadataMatcher(
  config: MetadataMatcher,
  problems: Problem[],
  path: string,
): MetadataPredicate | null {
  const { filter, invert: isInverted } = config;
  const keys = config.path.map(({ segment }) => (segment.case === 'key' ? segment.value : ''));
  if (filter === '') problems.push(error(`${path}.filter`, 'must not be empty', 'name the namespace of a filter'));
  if (keys.length === 0) problems.push(error(`${path}.path`, 'must not be empty', 'name at least one key'));
  for (const [i, key] of keys.entries()) {
    if (key === '') problems.push(error(`${path}.path[${i}].key`, 'must not be empty', 'name a key'));
  }
  const holds = compileValueMatch(config.value, problems, `${path}.value`);
  if (filter === '' || holds === null || keys.length === 0 || keys.includes('')) return null;
  return (x) => holds(readMetadata(x, filter, keys)) !== isInverted;
}

/** Null after reporting why the matcher is refused. */
export function compileValueMatch(
  config: ValueMatcher | undefined,
  problems: Problem[],
  path: string,
  depth = 0,
): ValuePredicate | null {
  const refuse = (message: string, remedy: string): null => {
    problems.push(error(path, message, remedy));
    return null;
  };
  const pattern = config?.matchPattern;
  if (pattern === undefined || pattern.case === undefined) {
    return refuse(
      'has no match pattern',
      'set one of null_match, double_match, string_match, bool_match, present_match, list_match, or_match',
    );
  }
  if (depth > DEPTH_MAX) return refuse('is nested too deeply', `nest at most ${DEPTH_MAX} matchers`);
  switch (pattern.case) {
    case 'nullMatch':
      return (value) => value === null;
    case 'boolMatch': {
      const wanted = pattern.value;
      return (value) => value === wanted;
    }
    case 'presentMatch': {
      // False is never satisfied, not even by what is absent (Envoy's PresentMatcher).
      const isWanted = pattern.value;
      return (value) => isWanted && value !== undefined;
    }
    case 'doubleMatch':
      return compileNumber(pattern.value, problems, `${path}.double_match`);
    case 'stringMatch': {
      const holds = compileStringMatch(pattern.value, problems, `${path}.string_match`);
      return holds === null ? null : (value) => typeof value === 'string' && holds(wireText(value));
    }
    case 'listMatch': {
      const { matchPattern: one } = pattern.value;
      const inner = one.case === undefined ? undefined : one.value;
      const holds = compileValueMatch(inner, problems, `${path}.list_match.one_of`, depth + 1);
      return holds === null ? null : (value) => Array.isArray(value) && hasOne(value, holds);
    }
    case 'orMatch': {
      const at = `${path}.or_match.value_matchers`;
      const { valueMatchers } = pattern.value;
      if (valueMatchers.length < 2) return refuse('needs at least two value_matchers', 'write the one matcher itself');
      const all = valueMatchers.map((one, i) => compileValueMatch(one, problems, `${at}[${i}]`, depth + 1));
      const sound = all.filter((holds) => holds !== null);
      return sound.length < all.length ? null : (value) => anyHolds(sound, value);
    }
    default:
      return assertNever(pattern);
  }
}

function compileNumber(config: DoubleMatcher, problems: Problem[], path: string): ValuePredicate | null {
  const { matchPattern: pattern } = config;
  switch (pattern.case) {
    case 'exact': {
      const wanted = pattern.value;
      return (value) => value === wanted;
    }
    case 'range': {
      const { start, end } = pattern.value;
      return (value) => typeof value === 'number' && value >= start && value < end;
    }
    case undefined:
      problems.push(error(path, 'has no match pattern', 'set exact or range'));
      return null;
    default:
      return assertNever(pattern);
  }
}

function hasOne(values: readonly JsonValue[], holds: ValuePredicate): boolean {
  for (let i = 0; i < values.length; i++) if (holds(values[i])) return true;
  return false;
}

function anyHolds(all: readonly ValuePredicate[], value: JsonValue | undefined): boolean {
  for (let i = 0; i < all.length; i++) if (all[i]?.(value) === true) return true;
  return false;
}
