// Lists of matchers for header names, compiled to one predicate over names in lower case.
import type { Problem } from '../base/problem.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import type { ListStringMatcher } from '../xds/gen/envoy/type/matcher/v3/string_pb.js';

export type NameMatch = (name: string) => boolean;

/** Null when there is no list, or after reporting what of it is refused. */
export function compileNames(list: ListStringMatcher | undefined, problems: Problem[], path: string): NameMatch | null {
  if (list === undefined) return null;
  const matchers = list.patterns.map((pattern, i) => compileStringMatch(pattern, problems, `${path}.patterns[${i}]`));
  const sound = matchers.filter((matcher) => matcher !== null);
  return (name) => sound.some((matches) => matches(name));
}

/** One of `names`, or what `more` takes. */
export function anyName(names: readonly string[], more: NameMatch | null): NameMatch {
  const known = new Set(names);
  return (name) => known.has(name) || more?.(name) === true;
}
