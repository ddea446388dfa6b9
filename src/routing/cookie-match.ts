// Cookies of a route match: the first value of a name in the request's Cookie lines, without the quotes
// around it. A cookie that is missing fails its matcher, inverted or not. Source: Envoy CookieMatcher.
import { error, type Problem } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Head } from '../http/head.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import { wireText } from '../plan/wire-text.ts';
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

/** The first value of the cookie `name`; null when there is none. */
export function cookieOf(head: Head, name: string): string | null {
  for (let i = head.find(H.cookie); i !== -1; i = head.find(H.cookie, i + 1)) {
    const value = cookieIn(head.valueAt(i), name);
    if (value !== null) return value;
  }
  return null;
}

/** Blanks before a name do not count; everything else of it does. */
function nameIn(line: string, from: number, to: number): string {
  let at = from;
  while (at < to && line.charCodeAt(at) === 0x20) at++;
  return line.slice(at, to);
}

function cookieIn(line: string, name: string): string | null {
  let at = 0;
  while (at < line.length) {
    const semicolon = line.indexOf(';', at);
    const end = semicolon === -1 ? line.length : semicolon;
    const equals = line.indexOf('=', at);
    if (equals !== -1 && equals < end && nameIn(line, at, equals) === name) {
      const value = line.slice(equals + 1, end);
      const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
      return isQuoted ? value.slice(1, -1) : value;
    }
    at = end + 1;
  }
  return null;
}
