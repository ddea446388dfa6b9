// Sets and removes parameters of the query of a path, by their names as they stand. As in Envoy the query is
// written again, in the order of the names; a name that comes several times is replaced as a whole.
import type { AuthzField } from './ext-authz-decision.ts';

export function editQuery(path: string, set: readonly AuthzField[], remove: readonly string[]): string {
  const question = path.indexOf('?');
  const base = question === -1 ? path : path.slice(0, question);
  const parameters = new Map<string, string[]>();
  for (const part of question === -1 ? [] : path.slice(question + 1).split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = equals === -1 ? part : part.slice(0, equals);
    const value = equals === -1 ? '' : part.slice(equals + 1);
    const known = parameters.get(name);
    if (known === undefined) parameters.set(name, [value]);
    else known.push(value);
  }
  for (const [name, value] of set) parameters.set(name, [value]);
  for (const name of remove) parameters.delete(name);
  const names = [...parameters.keys()].toSorted((one, two) => (one < two ? -1 : 1));
  const parts = names.flatMap((name) => (parameters.get(name) ?? []).map((value) => `${name}=${value}`));
  return parts.length === 0 ? base : `${base}?${parts.join('&')}`;
}

/** True for text that may stand in a query as it is: unreserved characters and escapes. */
export function isEncoded(text: string): boolean {
  return /^(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})*$/.test(text);
}
