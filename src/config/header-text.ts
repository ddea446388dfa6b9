// What may stand in the name and the value of a header that a rule writes. Refused here, because one name
// with a space would have every sidecar refuse all routes, not the one. Source: RFC 9110 5.1 and 5.5.
import type { Fields } from './fields.ts';

/** A token, and the pseudo-headers that Istio takes (`:authority`). */
const NAME = /^:?[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}$/;
// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000\r\n]/;

/** Reports each name that is none, and each value with a line break or NUL; `fields` holds them under `name`. */
export function checkHeaderLines(fields: Fields, name: string, lines: Iterable<readonly [string, string]>): void {
  for (const [header, value] of lines) {
    if (!NAME.test(header)) fields.error(name, `${JSON.stringify(header)} is not a header name`, 'correct the name');
    if (FORBIDDEN.test(value))
      fields.error(name, `the value of ${header} has a line break or NUL`, 'write it on one line');
  }
}

/** Reports a path, host or the like that goes into a header and has a line break or NUL. */
export function checkHeaderText(fields: Fields, name: string): string {
  const text = fields.text(name);
  if (FORBIDDEN.test(text)) fields.error(name, 'has a line break or NUL', 'write it on one line');
  return text;
}
