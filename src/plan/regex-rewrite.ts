// Envoy's RegexMatchAndSubstitute: replaces every match in a text by a substitution in which `\0` to
// `\9` stand for the capture groups and `\\` for a backslash, as RE2::GlobalReplace does. A
// substitution that names a group which the expression lacks is refused at config time.
import type { RE2JS } from 're2js';
import { error, type Problem } from '../base/problem.ts';
import type { RegexMatchAndSubstitute } from '../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import { compileEngine } from './regex.ts';
import { isAscii, unicodeText, wireText } from './wire-text.ts';

export interface RegexRewrite {
  readonly regex: string;
  readonly substitution: string;
  /** `subject` (wire text) with every match replaced. */
  readonly rewrite: (subject: string) => string;
}

export function compileRegexRewrite(
  config: RegexMatchAndSubstitute,
  problems: Problem[],
  path: string,
): RegexRewrite | null {
  const regex = config.pattern?.regex ?? '';
  const { substitution } = config;
  const engine = compileEngine(regex, problems, `${path}.pattern.regex`);
  if (engine === null) return null;
  const parts = parseSubstitution(substitution, engine.groupCount(), problems, `${path}.substitution`);
  if (parts === null) return null;
  const rewrite = (subject: string): string =>
    isAscii(subject) ? replaceAll(engine, parts, subject) : wireText(replaceAll(engine, parts, unicodeText(subject)));
  return { regex, substitution, rewrite };
}

/** A string is literal text, a number a capture group. */
type Part = string | number;

function parseSubstitution(text: string, groupsMax: number, problems: Problem[], path: string): readonly Part[] | null {
  const parts: Part[] = [];
  let literal = '';
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character !== '\\') {
      literal += character;
      continue;
    }
    const next = text.charAt(++i);
    if (next === '\\') {
      literal += '\\';
    } else if (next >= '0' && next <= '9') {
      if (Number(next) > groupsMax) {
        problems.push(error(path, `the substitution names group \\${next}, the expression has ${groupsMax}`));
        return null;
      }
      if (literal !== '') parts.push(literal);
      literal = '';
      parts.push(Number(next));
    } else {
      problems.push(
        error(path, 'a backslash must be followed by a digit or a backslash', 'write \\\\ for a backslash'),
      );
      return null;
    }
  }
  if (literal !== '') parts.push(literal);
  return parts;
}

/** RE2::GlobalReplace: an empty match right behind the last match does not count. */
function replaceAll(engine: RE2JS, parts: readonly Part[], subject: string): string {
  const matcher = engine.matcher(subject);
  let out = '';
  let copied = 0;
  let lastEnd = -1;
  let from = 0;
  while (from <= subject.length && matcher.find(from)) {
    const start = matcher.start();
    const end = matcher.end();
    if (start === end && start === lastEnd) {
      from = end + 1;
      continue;
    }
    out += subject.slice(copied, start);
    for (const part of parts) out += typeof part === 'string' ? part : (matcher.group(part) ?? '');
    copied = end;
    lastEnd = end;
    from = end;
  }
  return copied === 0 && lastEnd === -1 ? subject : out + subject.slice(copied);
}
