// @hot
// A radix tree over the literal beginnings of paths. Each node knows the routes whose literal ends
// there: as a prefix (they are candidates for everything below) or as the whole path. A walk along
// one path collects the candidates' lists, so its cost grows with the path and never with the number
// of routes. Built at config time, read afterwards.
//
//   /api/v1 → prefix [4]        walk('/api/v1/x') collects [9] at '/', [4] at '/api/v1';
//   /       → prefix [9]        Candidates merges them by route index, that is in list order
const NONE: readonly number[] = [];

export class PathNode {
  label: string;
  /** By the first character code of their labels. */
  children: Map<number, PathNode> | null = null;
  /** Ascending route indexes. */
  prefixRoutes: readonly number[] = NONE;
  exactRoutes: readonly number[] = NONE;

  constructor(label: string) {
    this.label = label;
  }
}

/** Adds route `index`; routes must be added in ascending order. Config time only. */
export function insertPath(root: PathNode, literal: string, index: number, isWhole: boolean): void {
  let node = root;
  let at = 0;
  while (at < literal.length) {
    const child = node.children?.get(literal.charCodeAt(at));
    if (child === undefined) {
      node = attach(node, new PathNode(literal.slice(at)));
      break;
    }
    const shared = sharedLength(child.label, literal, at);
    node = shared < child.label.length ? split(node, child, shared) : child;
    at += shared;
  }
  if (isWhole) node.exactRoutes = node.exactRoutes.concat(index);
  else node.prefixRoutes = node.prefixRoutes.concat(index);
}

function attach(parent: PathNode, child: PathNode): PathNode {
  parent.children ??= new Map();
  parent.children.set(child.label.charCodeAt(0), child);
  return child;
}

/** Puts a new node between `parent` and `child`, which keeps its label from `at` on. */
function split(parent: PathNode, child: PathNode, at: number): PathNode {
  const middle = new PathNode(child.label.slice(0, at));
  child.label = child.label.slice(at);
  attach(parent, middle);
  attach(middle, child);
  return middle;
}

function sharedLength(label: string, literal: string, at: number): number {
  let length = 0;
  while (length < label.length && label.charCodeAt(length) === literal.charCodeAt(at + length)) length++;
  return length;
}

/** The deepest chain of prefix lists in a tree, plus one for an exact list. */
export function depthOf(node: PathNode): number {
  let deepest = 0;
  if (node.children !== null) for (const child of node.children.values()) deepest = Math.max(deepest, depthOf(child));
  return deepest + 2;
}

/** Ascending lists of route indexes, given back one index at a time in ascending order. Reused. */
export class Candidates {
  readonly #lists: (readonly number[])[];
  readonly #cursors: Int32Array;
  #count = 0;

  /** Config time only. */
  constructor(listsMax: number) {
    this.#lists = Array.from({ length: listsMax }, () => NONE);
    this.#cursors = new Int32Array(listsMax);
  }

  clear(): void {
    this.#count = 0;
  }

  add(list: readonly number[]): void {
    this.#lists[this.#count] = list;
    this.#cursors[this.#count] = 0;
    this.#count++;
  }

  /** The next route index in list order, or -1. */
  next(): number {
    let best = -1;
    let bestList = -1;
    for (let i = 0; i < this.#count; i++) {
      const list = this.#lists[i] as readonly number[];
      const cursor = this.#cursors[i] as number;
      if (cursor >= list.length) continue;
      const index = list[cursor] as number;
      if (best === -1 || index < best) {
        best = index;
        bestList = i;
      }
    }
    if (bestList !== -1) this.#cursors[bestList] = (this.#cursors[bestList] as number) + 1;
    return best;
  }
}

/** Collects the candidates for path[0, end). */
export function collect(root: PathNode, path: string, end: number, into: Candidates): void {
  let node = root;
  let at = 0;
  for (;;) {
    if (node.prefixRoutes.length > 0) into.add(node.prefixRoutes);
    if (at === end) {
      if (node.exactRoutes.length > 0) into.add(node.exactRoutes);
      return;
    }
    if (node.children === null) return;
    const child = node.children.get(path.charCodeAt(at));
    if (child === undefined || at + child.label.length > end || !path.startsWith(child.label, at)) return;
    at += child.label.length;
    node = child;
  }
}

/** As `collect`, for a tree of lower-cased literals: ASCII letters of the path match in any case. */
export function collectFolded(root: PathNode, path: string, end: number, into: Candidates): void {
  let node = root;
  let at = 0;
  for (;;) {
    if (node.prefixRoutes.length > 0) into.add(node.prefixRoutes);
    if (at === end) {
      if (node.exactRoutes.length > 0) into.add(node.exactRoutes);
      return;
    }
    if (node.children === null) return;
    const child = node.children.get(lowerCode(path.charCodeAt(at)));
    if (child === undefined || at + child.label.length > end || !startsWithFolded(path, child.label, at)) return;
    at += child.label.length;
    node = child;
  }
}

function startsWithFolded(path: string, label: string, at: number): boolean {
  for (let i = 0; i < label.length; i++) {
    if (lowerCode(path.charCodeAt(at + i)) !== label.charCodeAt(i)) return false;
  }
  return true;
}

function lowerCode(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}
