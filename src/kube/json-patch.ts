// JSON Patch (RFC 6902): what turns one value into another. Lists are compared from the front, then cut or added to at
// their end, so that a list that only grew gets only additions. Equal values give no operation at all.
import { isJsonRecord, type JsonRecord } from './json-record.ts';

export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'test';
  /** RFC 6901. */
  readonly path: string;
  readonly value?: unknown;
}

export function jsonPatch(before: unknown, after: unknown): readonly JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  compare('', before, after, operations);
  return operations;
}

/** RFC 6901 section 3. */
export function pointerPart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function compare(path: string, before: unknown, after: unknown, into: JsonPatchOperation[]): void {
  if (Object.is(before, after)) return;
  if (isJsonRecord(before) && isJsonRecord(after)) compareRecords(path, [before, after], into);
  else if (Array.isArray(before) && Array.isArray(after)) compareLists(path, [before, after], into);
  else into.push({ op: 'replace', path, value: after });
}

function compareRecords(
  path: string,
  [before, after]: readonly [JsonRecord, JsonRecord],
  into: JsonPatchOperation[],
): void {
  for (const name of Object.keys(before))
    if (after[name] === undefined || !Object.hasOwn(after, name))
      into.push({ op: 'remove', path: `${path}/${pointerPart(name)}` });
  for (const name of Object.keys(after)) {
    if (after[name] === undefined) continue;
    const at = `${path}/${pointerPart(name)}`;
    if (Object.hasOwn(before, name)) compare(at, before[name], after[name], into);
    else into.push({ op: 'add', path: at, value: after[name] });
  }
}

function compareLists(
  path: string,
  [before, after]: readonly [readonly unknown[], readonly unknown[]],
  into: JsonPatchOperation[],
): void {
  const shared = Math.min(before.length, after.length);
  for (let i = 0; i < shared; i++) compare(`${path}/${i}`, before[i], after[i], into);
  for (let i = before.length - 1; i >= shared; i--) into.push({ op: 'remove', path: `${path}/${i}` });
  for (let i = shared; i < after.length; i++) into.push({ op: 'add', path: `${path}/-`, value: after[i] });
}
