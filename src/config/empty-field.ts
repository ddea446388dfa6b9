// Fields that are written and have no value (`from:` with nothing behind it, `null`). To YAML they are absent, and an
// absent field of a policy means "any": what was to narrow a rule would widen it. So where unknown fields are errors,
// these are, too. An API server drops nulls of fields that are not nullable: config/schema keeps them (`refusesNull`).
import type { Fields } from './fields.ts';

/** Reports each of the fields `known` that is written without a value; what is unknown is left to Fields.finish. */
export function refuseEmptyFields(fields: Fields, known: readonly string[]): void {
  const written = new Set(fields.names());
  for (const name of known) {
    if (written.has(name) && !fields.has(name)) fields.error(name, 'has no value', 'write one, or remove the field');
  }
}
