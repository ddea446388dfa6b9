// Envoy's HeaderMatcher, every specifier. A header that is sent on several lines is matched line by
// line (unless Envoy joins that header): the matcher holds when one line satisfies it, and an inverted matcher holds only when none
// does (measured on Envoy 1.40). A missing header satisfies no value matcher, inverted or not,
// unless it is to be treated as empty.
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import type { Head } from '../http/head.ts';
import type { HeaderMatcher } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { headerSource, readHeader, readPseudo, type HeaderSource } from './header-source.ts';
import { compileRegex } from './regex.ts';
import { compileStringMatch, stringPredicate, type StringPredicate } from './string-match.ts';

export type HeaderPredicate = (head: Head) => boolean;

/** Null after reporting why the matcher is refused. */
export function compileHeaderMatch(config: HeaderMatcher, problems: Problem[], path: string): HeaderPredicate | null {
  if (config.name === '') {
    problems.push(error(`${path}.name`, 'must not be empty', 'name the header'));
    return null;
  }
  const source = headerSource(config.name);
  const {
    headerMatchSpecifier: specifier,
    invertMatch: isInverted,
    treatMissingHeaderAsEmpty: takesMissingAsEmpty,
  } = config;
  if (specifier.case === 'presentMatch' || specifier.case === undefined) {
    const wanted = specifier.case === undefined ? true : specifier.value;
    return presence(source, wanted !== isInverted, takesMissingAsEmpty);
  }
  const holds = compileValue(specifier, problems, path);
  if (holds === null) return null;
  const whenMissing = takesMissingAsEmpty && holds('') !== isInverted;
  return (head) => {
    const found = matchLines(head, source, holds);
    return found === MISSING ? whenMissing : (found === HELD) !== isInverted;
  };
}

type ValueSpecifier = Exclude<HeaderMatcher['headerMatchSpecifier'], { case: 'presentMatch' } | { case: undefined }>;

function compileValue(specifier: ValueSpecifier, problems: Problem[], path: string): StringPredicate | null {
  switch (specifier.case) {
    case 'exactMatch':
      return stringPredicate('exact', specifier.value, false);
    case 'prefixMatch':
      return compileLiteral('prefix', specifier.value, problems, `${path}.prefix_match`);
    case 'suffixMatch':
      return compileLiteral('suffix', specifier.value, problems, `${path}.suffix_match`);
    case 'containsMatch':
      return compileLiteral('contains', specifier.value, problems, `${path}.contains_match`);
    case 'safeRegexMatch':
      return compileRegex(specifier.value.regex, problems, `${path}.safe_regex_match.regex`)?.matches ?? null;
    case 'stringMatch':
      return compileStringMatch(specifier.value, problems, `${path}.string_match`);
    case 'rangeMatch': {
      const { start, end } = specifier.value;
      return (value) => isInRange(value, start, end);
    }
    default:
      return assertNever(specifier);
  }
}

function compileLiteral(
  kind: 'prefix' | 'suffix' | 'contains',
  text: string,
  problems: Problem[],
  path: string,
): StringPredicate | null {
  if (text !== '') return stringPredicate(kind, text, false);
  problems.push(error(path, 'must not be empty', 'use present_match to match any value'));
  return null;
}

/** A missing header that is treated as empty counts as present. */
function presence(source: HeaderSource, isWanted: boolean, takesMissingAsEmpty: boolean): HeaderPredicate {
  if (takesMissingAsEmpty) return () => isWanted;
  const { place, id } = source;
  if (place === 'header') return (head) => head.has(id) === isWanted;
  return (head) => (readPseudo(head, place) !== null) === isWanted;
}

const MISSING = 0;
const FAILED = 1;
const HELD = 2;

function matchLines(
  head: Head,
  source: HeaderSource,
  holds: StringPredicate,
): typeof MISSING | typeof FAILED | typeof HELD {
  if (source.place !== 'header' || source.joins) {
    const value = readHeader(head, source);
    if (value === null) return MISSING;
    return holds(value) ? HELD : FAILED;
  }
  let i = head.find(source.id);
  if (i === -1) return MISSING;
  for (; i !== -1; i = head.find(source.id, i + 1)) if (holds(head.valueAt(i))) return HELD;
  return FAILED;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** True when the whole value is a base-10 64-bit integer in [start, end). */
export function isInRange(value: string, start: bigint, end: bigint): boolean {
  if (value.length === 0 || value.length > 40) return false;
  const sign = value.charCodeAt(0);
  const first = sign === 0x2b || sign === 0x2d ? 1 : 0;
  if (first === value.length) return false;
  for (let i = first; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  const number = BigInt(sign === 0x2b ? value.slice(1) : value);
  return number >= INT64_MIN && number <= INT64_MAX && number >= start && number < end;
}
