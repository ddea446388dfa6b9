// A short name for what a resource says, the same wherever and by whom it was read: two programs can find out whether they
// have the same rule without showing it to each other. Places are no part of it: moving a document is no change.
// It is not for Secrets: short values can be guessed by trying.
import { createHash } from 'node:crypto';
import type { Resource } from './resource.ts';

/** 64 hexadecimal digits. */
export function fingerprintOf({ kind, meta, spec }: Pick<Resource, 'kind' | 'meta' | 'spec'>): string {
  return createHash('sha256')
    .update(JSON.stringify([kind, meta, spec], plain))
    .digest('hex');
}

/** Maps, sets and patterns are empty objects to JSON; names of an object count in any order. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Map) return { map: [...value] };
  if (value instanceof Set) return { set: [...value] };
  if (typeof value === 'bigint') return `${value}n`;
  if (value === undefined) return { absent: true };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}
