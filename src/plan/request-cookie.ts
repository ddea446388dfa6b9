// Cookies of a request: the first value of a name in its Cookie lines, without the quotes around it, as Envoy
// reads them. Nothing is decoded, and a cookie that is malformed is passed over.
import { H } from '../http/header-name.ts';
import type { Head } from '../http/head.ts';

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
