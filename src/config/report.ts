// Collects the Problems of one file and knows where each node of its YAML stands. Also finds the place
// of a field path later, when a translation has something to say about a resource that parsed well.
import { isAlias, isMap, isNode, isPair, isScalar, isSeq } from 'yaml';
import type { Document, LineCounter, Node } from 'yaml';
import type { Place, Problem } from '../base/problem.ts';
import { limits } from './limits.ts';

export class Report {
  readonly file: string;
  readonly problems: Problem[] = [];
  readonly #lines: LineCounter | null;
  readonly #text: string;
  #dropped = 0;
  #errors = 0;

  /** `lines` is null for an object without text. */
  constructor(file: string, lines: LineCounter | null, text: string) {
    this.file = file;
    this.#lines = lines;
    this.#text = text;
  }

  error(path: string, message: string, remedy: string, place: Place): void {
    this.#add({ severity: 'error', path, message, remedy, place });
  }

  warning(path: string, message: string, remedy: string, place: Place): void {
    this.#add({ severity: 'warning', path, message, remedy, place });
  }

  get hasText(): boolean {
    return this.#lines !== null;
  }

  placeAt(offset: number): Place {
    if (this.#lines === null) return { file: this.file, line: 0, column: 0 };
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  placeOf(node: unknown): Place {
    return this.placeAt(isNode(node) ? (node.range?.[0] ?? 0) : 0);
  }

  /** A place in the text of a scalar as a place in the file. A block's text begins on the line after its header, indented. */
  placeInside(scalar: unknown, inner: Place | null): Place {
    const outer = this.placeOf(scalar);
    const isBlock = isScalar(scalar) && scalar.type === 'BLOCK_LITERAL';
    if (this.#lines === null || !isBlock || inner === null || typeof scalar.value !== 'string') return outer;
    const line = outer.line + inner.line;
    const start = this.#lines.lineStarts[line - 1] ?? this.#text.length;
    const written = spacesAt(this.#text, start);
    const kept = spacesAt(scalar.value.split('\n')[inner.line - 1] ?? '', 0);
    return { file: this.file, line, column: inner.column + written - kept };
  }

  /** How many Problems were not kept because of the limit. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many errors there were, kept or not. */
  get errors(): number {
    return this.#errors;
  }

  #add(problem: Problem): void {
    if (problem.severity === 'error') this.#errors += 1;
    if (this.problems.length < limits.problemsMax) this.problems.push(problem);
    else this.#dropped += 1;
  }
}

function spacesAt(text: string, offset: number): number {
  let end = offset;
  while (text[end] === ' ') end += 1;
  return end - offset;
}

/** The place of a field path like `spec.http[0].route[1].weight`; of its nearest existing parent when it is not there. */
export function locate(report: Report, document: Document, root: Node, path: string): Place {
  let node: unknown = root;
  let place = report.placeOf(root);
  for (const [, name, index] of path.matchAll(/([^.[\]]+)|\[(\d+)\]/g)) {
    const key: unknown = isAlias(node) ? node.resolve(document) : node;
    if (name !== undefined && isMap(key)) {
      const pair = key.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === name);
      if (pair === undefined) return place;
      place = report.placeOf(pair.key);
      node = pair.value;
    } else if (index !== undefined && isSeq(key)) {
      node = key.items[Number(index)];
      if (node === undefined) return place;
      place = report.placeOf(node);
    } else return place;
  }
  return place;
}
