// Envoy's StringMatcher as one predicate over wire text. Case is folded for ASCII letters only, as
// Envoy does; `ignore_case` beside a regular expression is refused, as Envoy refuses it.
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import type { StringMatcher } from '../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { compileRegex } from './regex.ts';
import { wireText } from './wire-text.ts';

export type StringPredicate = (value: string) => boolean;

/** Null after reporting why the matcher is refused. */
export function compileStringMatch(config: StringMatcher, problems: Problem[], path: string): StringPredicate | null {
  const { matchPattern: pattern, ignoreCase } = config;
  switch (pattern.case) {
    case 'exact':
      return stringPredicate('exact', pattern.value, ignoreCase);
    case 'prefix':
    case 'suffix':
    case 'contains':
      if (pattern.value !== '') return stringPredicate(pattern.case, pattern.value, ignoreCase);
      problems.push(
        error(`${path}.${pattern.case}`, 'must not be empty', 'use safe_regex or present_match to match any value'),
      );
      return null;
    case 'safeRegex':
      if (ignoreCase)
        problems.push(error(`${path}.ignore_case`, 'has no effect for safe_regex', 'write (?i) in the expression'));
      return compileRegex(pattern.value.regex, problems, `${path}.safe_regex.regex`)?.matches ?? null;
    case 'custom':
      problems.push(
        error(
          `${path}.custom`,
          'custom string matchers are not supported',
          'use exact, prefix, suffix, contains or safe_regex',
        ),
      );
      return null;
    case undefined:
      problems.push(error(path, 'has no match pattern', 'set one of exact, prefix, suffix, contains, safe_regex'));
      return null;
    default:
      return assertNever(pattern);
  }
}

/** A predicate that compares with literal text. */
export function stringPredicate(
  kind: 'exact' | 'prefix' | 'suffix' | 'contains',
  literal: string,
  ignoresCase: boolean,
): StringPredicate {
  const text = wireText(literal);
  if (ignoresCase) {
    const folded = foldCase(text);
    const { length } = text;
    switch (kind) {
      case 'exact':
        return (value) => value.length === length && foldCase(value) === folded;
      case 'prefix':
        return (value) => value.length >= length && foldCase(value).startsWith(folded);
      case 'suffix':
        return (value) => value.length >= length && foldCase(value).endsWith(folded);
      case 'contains':
        return (value) => value.length >= length && foldCase(value).includes(folded);
      default:
        return assertNever(kind);
    }
  }
  switch (kind) {
    case 'exact':
      return (value) => value === text;
    case 'prefix':
      return (value) => value.startsWith(text);
    case 'suffix':
      return (value) => value.endsWith(text);
    case 'contains':
      return (value) => value.includes(text);
    default:
      return assertNever(kind);
  }
}

/** Lower-cases the ASCII letters and nothing else: a byte above 0x7f is no letter on the wire. */
export function foldCase(wire: string): string {
  for (let i = 0; i < wire.length; i++) {
    if (wire.charCodeAt(i) > 0x7f) return foldAscii(wire);
  }
  return wire.toLowerCase();
}

function foldAscii(wire: string): string {
  let folded = '';
  for (let i = 0; i < wire.length; i++) {
    const code = wire.charCodeAt(i);
    folded += code >= 0x41 && code <= 0x5a ? String.fromCharCode(code | 0x20) : wire.charAt(i);
  }
  return folded;
}
