// How a value that somebody wrote is shown in a Problem: plain values as they are, others by what they are.
import { isMap, isSeq } from 'yaml';

export function shown(value: unknown): string {
  if (isMap(value)) return 'an object';
  if (isSeq(value)) return 'a list';
  return JSON.stringify(value) ?? String(value);
}
