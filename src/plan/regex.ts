// Regular expressions from configuration, with RE2's syntax and its linear time, run by re2js. What
// people mostly write (a literal, `/api/.*`, `.*\.png`, `GET|HEAD`) never reaches the engine: it is
// recognised here and becomes string comparisons. JavaScript's own RegExp is never used, because
// `(a+)+` against 29 bytes holds its loop for seconds. A match is of bytes, as Envoy 1.40 has it: `.` is one byte, any byte, so
// that no value can be such that an expression cannot judge it (CVE-2026-73552).
// Source: Envoy RegexMatcher and RegexMatchAndSubstitute.
import { assertNever } from '../base/assert.ts';
import { RE2JS } from 're2js';
import { error, type Problem } from '../base/problem.ts';
import { isAscii, wireText } from './wire-text.ts';

/** Instructions of a compiled expression; Istio's limit for Envoy. */
export const REGEX_PROGRAM_MAX = 32_768;

export interface Regex {
  readonly source: string;
  /** True when the whole of `value` (wire text) matches. */
  readonly matches: (value: string) => boolean;
  /** Literal text that every match begins with; empty when there is none to be sure of. */
  readonly literalPrefix: string;
  /** How it is decided; `re2` when the engine is needed. Shown by printers and tests. */
  readonly kind: SimpleRegex['kind'] | 're2';
}

type SimpleRegex =
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'prefix'; readonly text: string; readonly restMin: number }
  | { readonly kind: 'suffix'; readonly text: string; readonly restMin: number }
  | { readonly kind: 'contains'; readonly text: string }
  | { readonly kind: 'any'; readonly restMin: number }
  | { readonly kind: 'one-of'; readonly choices: ReadonlySet<string> };

/** Compiles an expression for matching a whole value; null after reporting why it cannot be. */
export function compileRegex(source: string, problems: Problem[], path: string): Regex | null {
  const engine = compileEngine(source, problems, path);
  if (engine === null) return null;
  const simple = recognise(source);
  if (simple !== null) {
    return { source, matches: matcherOf(simple), literalPrefix: prefixOf(simple), kind: simple.kind };
  }
  const program = isAscii(source) ? engine : RE2JS.compile(wireText(source));
  const matches = (value: string): boolean => program.testExact(value);
  return { source, matches, literalPrefix: literalPrefixOf(source), kind: 're2' };
}

/** The RE2 program of `source`, or null after reporting a Problem. */
export function compileEngine(source: string, problems: Problem[], path: string): RE2JS | null {
  if (source === '') {
    problems.push(error(path, 'the regular expression is empty', 'write a regular expression'));
    return null;
  }
  try {
    const engine = RE2JS.compile(source);
    if (engine.programSize() <= REGEX_PROGRAM_MAX) return engine;
    problems.push(
      error(path, `the regular expression needs more than ${REGEX_PROGRAM_MAX} instructions`, 'simplify it'),
    );
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    problems.push(
      error(
        path,
        `not a valid RE2 regular expression: ${message}`,
        'use RE2 syntax; it has no look-around and no back-references',
      ),
    );
  }
  return null;
}

function matcherOf(simple: SimpleRegex): (value: string) => boolean {
  switch (simple.kind) {
    case 'exact': {
      const text = wireText(simple.text);
      return (value) => value === text;
    }
    case 'prefix': {
      const text = wireText(simple.text);
      const lengthMin = text.length + simple.restMin;
      return (value) => value.length >= lengthMin && value.startsWith(text);
    }
    case 'suffix': {
      const text = wireText(simple.text);
      const lengthMin = text.length + simple.restMin;
      return (value) => value.length >= lengthMin && value.endsWith(text);
    }
    case 'contains': {
      const text = wireText(simple.text);
      return (value) => value.includes(text);
    }
    case 'any': {
      const lengthMin = simple.restMin;
      return (value) => value.length >= lengthMin;
    }
    case 'one-of': {
      const choices = new Set([...simple.choices].map(wireText));
      return (value) => choices.has(value);
    }
    default:
      return assertNever(simple);
  }
}

function prefixOf(simple: SimpleRegex): string {
  return simple.kind === 'exact' || simple.kind === 'prefix' ? wireText(simple.text) : '';
}

/** Decides expressions that are literals with `.*` or `.+` at an end, and alternations of literals. */
function recognise(source: string): SimpleRegex | null {
  const choices = source.startsWith('(') ? splitGroup(source) : source.split('|');
  if (choices === null) return null;
  if (choices.length > 1) {
    const literals = choices.map((choice) => literalOf(withoutAnchors(choice)));
    const known = literals.filter((literal) => literal !== null);
    return known.length === literals.length ? { kind: 'one-of', choices: new Set(known) } : null;
  }
  return recogniseOne(withoutAnchors(choices[0] ?? ''));
}

/** The choices of `(a|b)` or `(?:a|b)` when the group is the whole expression and holds no other. */
function splitGroup(source: string): string[] | null {
  const inner = source.startsWith('(?:') ? source.slice(3, -1) : source.slice(1, -1);
  if (!source.endsWith(')') || /[()?\\]/.test(inner)) return null;
  return inner.split('|');
}

/** A match is of the whole value, so `^` in front and `$` behind say nothing new. */
function withoutAnchors(source: string): string {
  const start = source.startsWith('^') ? 1 : 0;
  const isAnchored = source.endsWith('$') && !source.endsWith('\\$');
  return source.slice(start, isAnchored ? -1 : undefined);
}

function recogniseOne(source: string): SimpleRegex | null {
  const opening = wildcardAt(source, 0);
  const closing = source.endsWith('\\.*') || source.endsWith('\\.+') ? null : wildcardAt(source, source.length - 2);
  if (source.length === 2 && opening !== null) return { kind: 'any', restMin: opening };
  const text = literalOf(source.slice(opening === null ? 0 : 2, closing === null ? undefined : -2));
  if (text === null) return null;
  if (opening === null && closing === null) return { kind: 'exact', text };
  if (opening === null) return { kind: 'prefix', text, restMin: closing ?? 0 };
  if (closing === null) return { kind: 'suffix', text, restMin: opening };
  return opening === 0 && closing === 0 ? { kind: 'contains', text } : null;
}

/** The least number of characters that the `.*` or `.+` at `at` stands for; null when there is none. */
function wildcardAt(source: string, at: number): number | null {
  if (at < 0 || source[at] !== '.') return null;
  if (source[at + 1] === '*') return 0;
  return source[at + 1] === '+' ? 1 : null;
}

const META = '\\.+*?()|[]{}^$';
const isWordCharacter = (character: string): boolean => /[A-Za-z0-9_]/.test(character);

/** The text that `source` stands for when it has no operator at all; else null. */
function literalOf(source: string): string | null {
  let literal = '';
  for (let i = 0; i < source.length; i++) {
    let character = source.charAt(i);
    if (character === '\\') {
      character = source.charAt(++i);
      if (character === '' || isWordCharacter(character) || !isAscii(character)) return null;
    } else if (META.includes(character)) {
      return null;
    }
    literal += character;
  }
  return literal;
}

/** Literal text that every match of `source` begins with. */
function literalPrefixOf(source: string): string {
  if (hasTopLevelChoice(source)) return '';
  let prefix = '';
  for (let i = source.startsWith('^') ? 1 : 0; i < source.length; i++) {
    let character = source.charAt(i);
    if (character === '\\') {
      character = source.charAt(i + 1);
      if (character === '' || isWordCharacter(character) || !isAscii(character)) return wireText(prefix);
      i++;
    } else if (META.includes(character)) {
      return wireText('*?{'.includes(character) ? withoutLast(prefix) : prefix);
    }
    prefix += character;
  }
  return wireText(prefix);
}

/** A quantifier binds to the last character, which may be a surrogate pair. */
function withoutLast(text: string): string {
  const code = text.charCodeAt(text.length - 1);
  return text.slice(0, code >= 0xdc00 && code <= 0xdfff ? -2 : -1);
}

/** True unless it is certain that no `|` stands outside of every group. */
function hasTopLevelChoice(source: string): boolean {
  let depth = 0;
  for (let i = 0; i < source.length; i++) {
    const character = source.charAt(i);
    if (character === '\\') {
      // A quoted run (\Q…\E) may hide anything.
      if (source.charAt(i + 1) === 'Q') return true;
      i++;
    } else if (character === '[') {
      const end = classEnd(source, i);
      if (end === -1) return true;
      i = end;
    } else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === '|' && depth === 0) return true;
  }
  return false;
}

/** The index of the `]` that closes the class opened at `at`; -1 when a nested class makes that doubtful. */
function classEnd(source: string, at: number): number {
  let i = at + 1;
  if (source.charAt(i) === '^') i++;
  if (source.charAt(i) === ']') i++;
  for (; i < source.length; i++) {
    const character = source.charAt(i);
    if (character === '\\') i++;
    else if (character === '[') return -1;
    else if (character === ']') return i;
  }
  return -1;
}
