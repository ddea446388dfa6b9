// The fields of a request as an authorization service sees them: pseudo fields as Envoy has them, names in lower
// case, chosen by the settings. Values that are not UTF-8 get a `!` for each byte that is wrong, and several entries
// of one name become one, joined by commas, unless the settings ask for fields as they came.
import type { Exchange } from '../plan/exchange.ts';
import { isAscii } from '../plan/wire-text.ts';
import type { AuthzField } from './ext-authz-decision.ts';
import type { AuthzSettings } from './ext-authz-settings.ts';

/** Ours alone: a client's own would be taken for it. */
export const PARTIAL_BODY = 'x-envoy-auth-partial-body';

/** With wire text for values; host is `:authority`. */
export function fieldsFor(x: Exchange, { allowed, disallowed, encodesRaw }: AuthzSettings): readonly AuthzField[] {
  const fields: AuthzField[] = [];
  const places = new Map<string, number>();
  const take = (name: string, value: string): void => {
    if (name === PARTIAL_BODY || allowed?.(name) === false || disallowed?.(name) === true) return;
    if (encodesRaw) {
      fields.push([name, value]);
      return;
    }
    const place = places.get(name);
    const known = place === undefined ? undefined : fields[place];
    if (place !== undefined && known !== undefined) {
      fields[place] = [name, `${known[1]},${sanitized(value)}`];
      return;
    }
    places.set(name, fields.length);
    fields.push([name, sanitized(value)]);
  };
  const { request } = x;
  if (request.authority !== '') take(':authority', request.authority);
  take(':path', request.path);
  take(':method', request.method);
  take(':scheme', request.scheme);
  for (let i = 0; i < request.count; i++) {
    if (request.isRemovedAt(i)) continue;
    const name = request.nameAt(i).toLowerCase();
    if (name !== 'host') take(name, request.valueAt(i));
  }
  return fields;
}

/** Wire text in which every byte that is no part of UTF-8 is a `!`. */
export function sanitized(wire: string): string {
  if (isAscii(wire)) return wire;
  let text = '';
  for (let i = 0; i < wire.length;) {
    const length = sequenceAt(wire, i);
    text += length === 0 ? '!' : wire.slice(i, i + length);
    i += Math.max(1, length);
  }
  return text;
}

/** The length of the UTF-8 sequence that begins at `i`; 0 when none does. Source: RFC 3629 section 4. */
function sequenceAt(wire: string, i: number): number {
  const first = wire.charCodeAt(i);
  if (first < 0x80) return 1;
  const length =
    first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) === 0xe0 ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (length === 0 || i + length > wire.length) return 0;
  const second = wire.charCodeAt(i + 1);
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let j = 2; j < length; j++) if ((wire.charCodeAt(i + j) & 0xc0) !== 0x80) return 0;
  return length;
}
