// Istio's StringMatch: exactly one of exact, prefix and regex, or an empty object, which means that
// the thing is present with any value.
import type { Fields } from './fields.ts';

export interface StringMatch {
  readonly kind: 'exact' | 'prefix' | 'regex' | 'present';
  readonly value: string;
}

const KINDS = ['exact', 'prefix', 'regex'] as const;

export function readStringMatch(fields: Fields): StringMatch {
  fields.refuseUnknown();
  fields.exclusive(...KINDS);
  for (const kind of KINDS) {
    if (!fields.has(kind)) continue;
    // Istio takes the regex `*`, which is none, for any value.
    if (kind === 'regex' && fields.text(kind) === '*') return { kind: 'present', value: '' };
    const value = kind === 'regex' ? fields.regex(kind) : fields.text(kind);
    return { kind, value };
  }
  return { kind: 'present', value: '' };
}
