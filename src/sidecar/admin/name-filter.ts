// The `filter` parameter: an RE2 expression that must match somewhere in a name. RE2, because an
// admin port must not be stopped by one expression that backtracks.
import { RE2JS } from 're2js';
import { text, type AdminAnswer } from './endpoint.ts';

export type NameFilter =
  | { readonly kind: 'filter'; readonly accepts: (name: string) => boolean }
  | { readonly kind: 'refused'; readonly answer: AdminAnswer };

/** Everything passes without an expression; a wrong one is answered with 400. */
export function nameFilter(expression: string | undefined): NameFilter {
  if (expression === undefined || expression === '') return { kind: 'filter', accepts: () => true };
  try {
    const pattern = RE2JS.compile(expression);
    return { kind: 'filter', accepts: (name) => pattern.matcher(name).find() };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { kind: 'refused', answer: text(`Invalid re2 regex: ${reason}\n`, 400) };
  }
}
