// Changes to a text by position: nothing but what is inserted or taken away moves, so that comments, order,
// quotes and blank lines of the rest stay byte for byte.

export interface Edit {
  readonly at: number;
  /** How many characters from `at` on go away. */
  readonly removed: number;
  readonly inserted: string;
}

/** Edits may come in any order, but must not overlap. Of two at one place, the earlier in the list comes first. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let result = '';
  let from = 0;
  for (const { at, removed, inserted } of edits.toSorted((left, right) => left.at - right.at)) {
    result += text.slice(from, at) + inserted;
    from = at + removed;
  }
  return result + text.slice(from);
}

/** Where the line of an offset begins. */
export function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}

/** Where the line after that of an offset begins; the end of the text for the last. */
export function nextLine(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end === -1 ? text.length : end + 1;
}

/** The line ending in use around an offset. */
export function lineEnding(text: string, offset: number): '\n' | '\r\n' {
  const at = text.indexOf('\n', offset);
  const end = at === -1 ? text.lastIndexOf('\n', offset) : at;
  return end > 0 && text[end - 1] === '\r' ? '\r\n' : '\n';
}
