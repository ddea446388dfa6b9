// A field of which so much depends that a misspelled one is an error and still read: what stands in for the object that
// is refused for it must not be in force somewhere else.
import type { Fields } from './fields.ts';
import { nearest } from './spelling.ts';

/** How the field `name` is written: as it should, or, after reporting that, misspelled. */
export function writtenName(fields: Fields, name: string): string {
  if (fields.has(name)) return name;
  const slip = fields.names().find((other) => other !== name && nearest(other, [name]) !== null);
  if (slip === undefined) return name;
  fields.error(slip, `unknown field ${slip}`, `did you mean ${name}?`);
  return slip;
}
