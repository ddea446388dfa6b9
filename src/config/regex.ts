// Checks that a user's regular expression is one that RE2 runs, in the same engine as the sidecar's.
// User regexes never meet JavaScript's RegExp: a backtracking one can hold the event loop for seconds.
import { RE2JS } from 're2js';
import { limits } from './limits.ts';

/** What is wrong with the expression, or null when it is fine. */
export function checkRegex(pattern: string): string | null {
  if (pattern.length > limits.regexCharactersMax)
    return `the regular expression has ${pattern.length} characters, the limit is ${limits.regexCharactersMax}`;
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (cause) {
    return `the regular expression does not compile: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

/** What is wrong with the text that replaces a match, or null: `\\N` names a group that the expression has, `\\\\` is a backslash. */
export function checkSubstitution(pattern: string, text: string): string | null {
  const groups = RE2JS.compile(pattern).groupCount();
  for (let i = text.indexOf('\\'); i >= 0; i = text.indexOf('\\', i + 2)) {
    const next = text.charAt(i + 1);
    if (next === '\\') continue;
    if (!/^[0-9]$/.test(next)) return `"\\${next}" stands for nothing`;
    if (Number(next) > groups) return `\\${next} names a group, and the expression has ${groups}`;
  }
  return null;
}
