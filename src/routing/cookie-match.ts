// Cookies of a route match: the first value of a name in the request's Cookie lines, without the quotes
// around it. A cookie that is missing fails its matcher, inverted or not. Source: Envoy CookieMatcher.
import { error, type Problem } from '../base/problem.ts';
import type { Head } from '../http/head.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
import { cookieOf } from '../plan/request-cookie.ts';
import type { CookieMatcher } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';

/** Null after reporting why the matcher is refused. */
export function compileCookieMatch(
  config: CookieMatcher,
  problems: Problem[],
  path: string,
): ((head: Head) => boolean) | null {
  if (config.name === '') {
    problems.push(error(`${path}.name`, 'must not be empty', 'name the cookie'));
    return null;
  }
  if (config.stringMatch === undefined) {
    problems.push(error(`${path}.string_match`, 'is required', 'say which values match'));
    return null;
  }
  const holds = compileStringMatch(config.stringMatch, problems, `${path}.string_match`);
  if (holds === null) return null;
  const name = wireText(config.name);
  const isInverted = config.invertMatch;
  return (head) => {
    const value = cookieOf(head, name);
    return value === null ? isInverted : holds(value) !== isInverted;
  };
}
