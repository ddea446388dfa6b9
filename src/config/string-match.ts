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
    const value = kind === 'regex' ? fields.regex(kind) : fields.text(kind);
    if (kind === 'regex' && value === '*') return { kind: 'present', value: '' };
    return { kind, value };
  }
  return { kind: 'present', value: '' };
}
