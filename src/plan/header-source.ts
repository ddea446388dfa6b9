// @hot
// Where a configured header name is found in a Head. Envoy keeps method, path, host and scheme as
// pseudo headers, and takes `host` for `:authority`; a Head keeps them as fields. A source is made
// once at config time and read without creating anything but the value's string.
import type { HeaderId } from '../base/brand.ts';
import type { Head } from '../http/head.ts';
import { H, UNKNOWN, internHeader } from '../http/header-name.ts';
import { joinsValues } from './joined-header.ts';

export type HeaderPlace = 'header' | 'method' | 'path' | 'authority' | 'scheme' | 'status' | 'protocol' | 'nowhere';

export interface HeaderSource {
  readonly name: string;
  readonly place: HeaderPlace;
  /** UNKNOWN unless `place` is `header`. */
  readonly id: HeaderId;
  /** Several lines of this header count as one value, joined by commas. */
  readonly joins: boolean;
}

const PSEUDO = new Map<string, HeaderPlace>([
  [':method', 'method'],
  [':path', 'path'],
  [':authority', 'authority'],
  ['host', 'authority'],
  [':scheme', 'scheme'],
  [':status', 'status'],
  [':protocol', 'protocol'],
]);

/** The source of a header by its name in any case. Config time only. */
export function headerSource(name: string, direction: 'request' | 'response' = 'request'): HeaderSource {
  const lowerName = name.toLowerCase();
  const place = PSEUDO.get(lowerName) ?? (lowerName.charCodeAt(0) === 0x3a ? 'nowhere' : 'header');
  const id = place === 'header' ? internHeader(lowerName) : UNKNOWN;
  return { name: lowerName, place, id, joins: place === 'header' && joinsValues(lowerName, direction) };
}

/** The first value (all of them where they join), or null when the head has none. */
export function readHeader(head: Head, source: HeaderSource): string | null {
  if (source.place === 'header') return source.joins ? head.getJoined(source.id) : head.get(source.id);
  return readPseudo(head, source.place);
}

/** The value of a pseudo header, or null when the head has none. */
export function readPseudo(head: Head, place: HeaderPlace): string | null {
  switch (place) {
    case 'method':
      return head.method === '' ? null : head.method;
    case 'path':
      return head.path === '' ? null : head.path;
    case 'authority':
      return head.authority === '' && !head.has(H.host) ? null : head.authority;
    case 'scheme':
      return head.scheme === '' ? null : head.scheme;
    case 'status':
      return head.status === 0 ? null : String(head.status);
    default:
      return null;
  }
}
