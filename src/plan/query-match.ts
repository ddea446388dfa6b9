// Query parameters of a route match. The first value of a key counts, and nothing is decoded
// (measured on Envoy 1.40): `a%20b` is matched as it stands. A key without `=` has the empty value.
// Source: Envoy QueryParameterMatcher.
import { error, type Problem } from '../base/problem.ts';
import { compileStringMatch } from './string-match.ts';
import { wireText } from './wire-text.ts';
import type { QueryParameterMatcher } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';

export type PathPredicate = (path: string) => boolean;

/** A predicate over the whole path with its query; null after reporting why it is refused. */
export function compileQueryMatch(
  config: QueryParameterMatcher,
  problems: Problem[],
  path: string,
): PathPredicate | null {
  if (config.name === '') {
    problems.push(error(`${path}.name`, 'must not be empty', 'name the query parameter'));
    return null;
  }
  const name = wireText(config.name);
  const { queryParameterMatchSpecifier: specifier } = config;
  if (specifier.case !== 'stringMatch') {
    const isWanted = specifier.case === undefined ? true : specifier.value;
    return (requestPath) => (queryParameter(requestPath, name) !== null) === isWanted;
  }
  const holds = compileStringMatch(specifier.value, problems, `${path}.string_match`);
  if (holds === null) return null;
  return (requestPath) => {
    const value = queryParameter(requestPath, name);
    return value !== null && holds(value);
  };
}

/** The first value of `name` in the query of `path`, as it stands; null when the key is absent. */
export function queryParameter(path: string, name: string): string | null {
  let at = path.indexOf('?') + 1;
  if (at === 0) return null;
  const hash = path.indexOf('#', at);
  const end = hash === -1 ? path.length : hash;
  while (at < end) {
    const ampersand = path.indexOf('&', at);
    const stop = ampersand === -1 || ampersand > end ? end : ampersand;
    if (path.startsWith(name, at)) {
      const behind = at + name.length;
      if (behind === stop) return '';
      if (behind < stop && path.charCodeAt(behind) === 0x3d) return path.slice(behind + 1, stop);
    }
    at = stop + 1;
  }
  return null;
}
