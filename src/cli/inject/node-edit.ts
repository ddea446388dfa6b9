// Where in the text of a YAML map or list something is put in, and where it is when it must go again. In block style it
// is whole lines before the first entry, above the comments of that; in flow style (JSON) it comes right behind
// the opening bracket; an empty value gets its first lines. What cannot be edited that way is refused.
import { isMap, isScalar, isSeq } from 'yaml';
import type { Pair, YAMLMap, YAMLSeq } from 'yaml';
import type { Edit } from './edits.ts';
import { lineEnding, lineStart, nextLine } from './edits.ts';
import { asJson, entryLines, itemLines } from './written-value.ts';
import type { Written } from '../../control/injection/written.ts';

/** Says at which offset something is written in a way that cannot be edited. */
export class NotEditable extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

export interface Spot {
  readonly text: string;
  /** How far the dashes of a new list stand from its key. */
  readonly dash: '' | '  ';
}

export type Entries = YAMLMap | YAMLSeq;

/** Puts an entry at the head of a map. */
export function addEntry(map: YAMLMap, name: string, value: Written, spot: Spot): Edit {
  if (map.flow === true) return intoFlow(map, `${JSON.stringify(name)}:${asJson(value)}`, spot.text);
  return blockEdit(map, spot.text, (indent) => entryLines(name, value, indent, spot.dash));
}

/** Puts items at the head of a list. */
export function addItems(list: YAMLSeq, items: readonly Written[], { text, dash }: Spot): Edit {
  if (list.flow === true) return intoFlow(list, items.map(asJson).join(','), text);
  return blockEdit(list, text, (indent) => itemLines(items, indent, dash));
}

/** Gives a key that has no value, or null, its value. `was` is what stood there. */
export function fillEntry(pair: Pair, value: Written, isInFlow: boolean, spot: Spot): Edit & { readonly was: string } {
  const { text, dash } = spot;
  const [start, end] = isScalar(pair.value) ? (pair.value.range ?? [-1, -1]) : [-1, -1];
  const key = offsetOf(pair.key);
  if (key < 0 || start < 0 || (start === end && isInFlow)) throw new NotEditable('this empty value', Math.max(key, 0));
  if (start < end) return { at: start, removed: end - start, inserted: asJson(value), was: text.slice(start, end) };
  const indent = spacesBefore(text, key);
  if (indent === null) throw new NotEditable('this empty value', key);
  const [, ...lines] = entryLines('x', value, indent, dash);
  const ending = lineEnding(text, key);
  const at = nextLine(text, start);
  const isOpenEnd = at === text.length && !text.endsWith('\n');
  const inserted = isOpenEnd ? ending + lines.join(ending) : lines.map((line) => line + ending).join('');
  return { at, removed: 0, inserted, was: '' };
}

function intoFlow(node: Entries, written: string, text: string): Edit {
  const at = (node.range?.[0] ?? -1) + 1;
  if (at < 1 || !'{['.includes(text[at - 1] ?? 'x')) throw new NotEditable('this value', Math.max(at - 1, 0));
  return { at, removed: 0, inserted: node.items.length > 0 ? `${written},` : written };
}

function blockEdit(node: Entries, text: string, linesAt: (indent: string) => readonly string[]): Edit {
  const start = node.range?.[0] ?? 0;
  const indent = spacesBefore(text, start);
  if (indent === null) throw new NotEditable('this value, which begins on the line of something else,', start);
  const ending = lineEnding(text, start);
  const lines = linesAt(indent);
  return { at: aboveComments(text, start), removed: 0, inserted: lines.map((line) => line + ending).join('') };
}

/** The start of the first of the comments and blank lines right above an offset. */
function aboveComments(text: string, offset: number): number {
  let at = lineStart(text, offset);
  while (at > 0) {
    const before = lineStart(text, at - 1);
    if (!/^[ \t\uFEFF]*(?:#[^\n]*)?\r?\n$/.test(text.slice(before, at)) || before === 0) return at;
    at = before;
  }
  return at;
}

/** The indentation of what begins its line; null when something else does. */
function spacesBefore(text: string, offset: number): string | null {
  const before = text.slice(lineStart(text, offset), offset);
  return /^ *$/.test(before) ? before : null;
}

/** Takes an entry, or a run of items, out of its map or list: the inverse of what put it there. */
export function removeRange(first: number, last: number, isInFlow: boolean, text: string): Edit {
  if (isInFlow) {
    const comma = /^[ \t\r\n]*,/.exec(text.slice(last));
    if (comma !== null) return { at: first, removed: last + comma[0].length - first, inserted: '' };
    const before = /,[ \t\r\n]*$/.exec(text.slice(0, first));
    const from = before === null ? first : before.index;
    return { at: from, removed: last - from, inserted: '' };
  }
  const from = lineStart(text, first);
  const end = nextLine(text, last);
  if (end === text.length && !text.endsWith('\n') && from > 0) {
    const ending = text[from - 2] === '\r' ? 2 : 1;
    return { at: from - ending, removed: end - from + ending, inserted: '' };
  }
  return { at: from, removed: end - from, inserted: '' };
}

/** Where a node begins; -1 when it was not read from text. */
export function offsetOf(node: unknown): number {
  if (isScalar(node) || isMap(node) || isSeq(node)) return node.range?.[0] ?? -1;
  return -1;
}

/** Where the last thing in a node ends, without the blank lines and comments behind it. */
export function endOf(node: unknown): number {
  if ((isMap(node) || isSeq(node)) && node.flow !== true) {
    const last: unknown = node.items.at(-1);
    if (last === undefined) return node.range?.[1] ?? -1;
    if (isSeq(node)) return endOf(last);
    const pair = isPairLike(last) ? last : null;
    return Math.max(endOf(pair?.value), endOf(pair?.key));
  }
  if (isScalar(node) || isMap(node) || isSeq(node)) return node.range?.[1] ?? -1;
  return -1;
}

function isPairLike(value: unknown): value is { readonly key: unknown; readonly value: unknown } {
  return typeof value === 'object' && value !== null && 'key' in value && 'value' in value;
}
