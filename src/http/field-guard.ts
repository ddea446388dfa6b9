// @hot
// Fields that outsiders must not touch by a trick: names that a Connection field may not nominate for
// removal, because others rely on them, and spellings with underscores of framing and identity fields, which
// some servers read as if they had hyphens. The spellings are interned, so that finding one costs a request
// no more than the comparison of a number.
// Source: Envoy sanitizeConnectionHeader; Envoy headers_with_underscores_action for the rest of the names.
import type { HeaderId } from '../base/brand.ts';
import { internHeader } from './header-name.ts';

/** Fields that a Connection field must not nominate for removal. */
const PROTECTED: ReadonlySet<string> = new Set([
  ...'host content-length authorization proxy-authorization cookie set-cookie'.split(' '),
  ...'forwarded via x-real-ip x-request-id traceparent tracestate'.split(' '),
]);

const PROTECTED_PREFIXES: readonly string[] = ['x-forwarded-', 'x-envoy-', 'x-outrigger-', 'x-istio-'];

/** True for a lower-case name that Connection may not nominate. Runs only for fields that it does nominate. */
export function isProtected(lowerName: string): boolean {
  const name = lowerName.indexOf('_') === -1 ? lowerName : lowerName.replaceAll('_', '-');
  if (PROTECTED.has(name)) return true;
  for (let i = 0; i < PROTECTED_PREFIXES.length; i++) {
    if (name.startsWith(PROTECTED_PREFIXES[i] as string)) return true;
  }
  return false;
}

const DISGUISED: readonly string[] = [
  ...'content-length transfer-encoding x-real-ip x-forwarded-client-cert'.split(' '),
  ...'for host proto port by server prefix scheme ssl user email groups'.split(' ').map((end) => 'x-forwarded-' + end),
];

/** A name with more hyphens than this has too many spellings. */
const HYPHENS_MAX = 6;

/** The ids of the spellings of `name` that some servers read as it: none where there are too many. Config time. */
export function disguiseIds(name: string): readonly HeaderId[] {
  return name.split('-').length - 1 > HYPHENS_MAX ? [] : disguisesOf(name).map((spelling) => internHeader(spelling));
}

/** Every spelling of `name` with at least one underscore for a hyphen. Config time. */
function disguisesOf(name: string): readonly string[] {
  let spellings = [''];
  for (const letter of name) {
    spellings = spellings.flatMap((start) => (letter === '-' ? [start + '-', start + '_'] : [start + letter]));
  }
  return spellings.filter((spelling) => spelling.includes('_'));
}

const ids: readonly number[] = DISGUISED.flatMap(disguisesOf).map(internHeader);
/** Ids are given in order, so that the disguises are one range of numbers. */
const FIRST: number = ids[0] ?? 0;
const LAST: number = ids.at(-1) ?? 0;

/** True for the id of a framing or identity field in disguise. */
export function isDisguise(id: number): boolean {
  return id >= FIRST && id <= LAST;
}
