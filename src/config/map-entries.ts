// The entries of a YAML map by name, with aliases followed and merge keys (`<<: *defaults`) taken in, as kubectl does it:
// what the map says itself wins, and of several merged maps the first.
import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, Node, YAMLMap } from 'yaml';

export interface Entry {
  readonly key: Node;
  readonly value: unknown;
}

/** A map that merges itself ends here. */
const MERGES_MAX = 16;

export function entriesOf(map: YAMLMap, document: Document, depth = 0): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const merged: unknown[] = [];
  for (const { key, value } of map.items) {
    if (!isScalar(key)) continue;
    const resolved = isAlias(value) ? value.resolve(document) : value;
    if (key.value !== '<<' || !(isMap(resolved) || isSeq(resolved)))
      entries.set(String(key.value), { key, value: resolved });
    else merged.push(...(isSeq(resolved) ? resolved.items : [resolved]));
  }
  if (depth >= MERGES_MAX) return entries;
  for (const item of merged) {
    const source = isAlias(item) ? item.resolve(document) : item;
    if (!isMap(source)) continue;
    for (const [name, entry] of entriesOf(source, document, depth + 1))
      if (!entries.has(name)) entries.set(name, entry);
  }
  return entries;
}
