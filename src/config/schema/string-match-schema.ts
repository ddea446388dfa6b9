// Istio's StringMatch: exactly one of exact, prefix and regex; an empty one is any value that is there.
import { object, regex, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

export function stringMatch(description: string): FieldSchema {
  return object(
    description,
    {
      exact: text('The whole value, letter for letter.'),
      prefix: text('How the value begins.'),
      regex: regex('A regular expression in RE2 syntax that the whole value must match.'),
    },
    { atMostOne: [['exact', 'prefix', 'regex']] },
  );
}
