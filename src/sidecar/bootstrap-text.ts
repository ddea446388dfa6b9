// A bootstrap file as YAML with positions: what it says as plain values, and where a field stands. Reading it this way
// takes as long as the rest of a start, so a file of plain JSON is read by bootstrap.ts without it, and comes here
// only when something is wrong with it.
import { LineCounter, isMap, isNode, isPair, isScalar, isSeq, parseDocument, type Document } from 'yaml';
import { error, type Place, type Problem } from '../base/problem.ts';
import { toSnakeCase } from './bootstrap-check.ts';

export class BootstrapText {
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(text: string, file: string) {
    this.#file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, merge: true, prettyErrors: false });
  }

  /** What is no YAML. */
  get mistakes(): readonly Problem[] {
    return this.#document.errors.map((cause) =>
      error('', cause.message.toLowerCase(), 'the file must be YAML or JSON', this.#placeOf(cause.pos[0])),
    );
  }

  /** Null when it has too many aliases. */
  toPlain(): unknown {
    // An alias bomb is the only way that this throws; a bootstrap has no business with aliases of aliases.
    try {
      return this.#document.toJS({ maxAliasCount: 1000 });
    } catch {
      return null;
    }
  }

  /** Where the field at this path stands; the nearest parent when it is not written. */
  placeAt(path: string): Place | null {
    const document = this.#document;
    let node: unknown = document.contents;
    let anchor: unknown = node;
    for (const segment of parsePath(path)) {
      const next = descend(resolve(document, node), segment, document);
      if (next === null) break;
      node = next.value;
      anchor = next.anchor;
    }
    const offset = isNode(anchor) ? anchor.range?.[0] : undefined;
    return offset === undefined ? null : this.#placeOf(offset);
  }

  #placeOf(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line, column: col };
  }
}

type Segment = string | number;

/** `a.b[0]["k.v"].c` as its steps. */
export function parsePath(path: string): Segment[] {
  const segments: Segment[] = [];
  const pattern = /\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.[\]]+)/g;
  for (const match of path.matchAll(pattern)) {
    if (match[1] !== undefined) segments.push(match[1].replaceAll('\\"', '"'));
    else if (match[2] !== undefined) segments.push(Number(match[2]));
    else if (match[3] !== undefined) segments.push(match[3]);
  }
  return segments;
}

function resolve(document: Document, node: unknown): unknown {
  return isNode(node) && 'resolve' in node && typeof node.resolve === 'function' ? node.resolve(document) : node;
}

interface Found {
  readonly value: unknown;
  readonly anchor: unknown;
}

function descend(node: unknown, segment: Segment, document: Document): Found | null {
  if (isSeq(node) && typeof segment === 'number') {
    const value: unknown = node.items[segment];
    return value === undefined ? null : { value, anchor: value };
  }
  if (!isMap(node)) return null;
  const wanted = String(segment);
  for (const pair of node.items) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const key = String(pair.key.value);
    if (key === wanted || toSnakeCase(key) === wanted) return { value: pair.value, anchor: pair.key };
  }
  // The fields of an extension that is written as a TypedStruct stand one level deeper, in `value`.
  const inner = node.items.find((pair) => isScalar(pair.key) && pair.key.value === 'value');
  return inner !== undefined && isMap(inner.value) ? descend(resolve(document, inner.value), segment, document) : null;
}
