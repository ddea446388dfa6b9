// The project's own sources as the tidy rules see them: text, lines and a syntax tree. The parser is the one
// that Vitest brings along (rolldown's), because TypeScript 7 has no compiler API for JavaScript.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'rolldown/utils';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A syntax node: ESTree with TypeScript's additions. Every field but these three is unknown until looked at. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Source {
  /** Relative to the repository, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly program: Node;
  readonly isHot: boolean;
  /** The 1-based line of an offset. */
  readonly lineAt: (offset: number) => number;
}

const SKIPPED = new Set(['node_modules', '.cache', 'gen', 'dist']);

/** Every `.ts` file under the folders given, generated code left out. */
export function readSources(folders: readonly string[]): Source[] {
  return folders.flatMap((folder) => listFiles(join(ROOT, folder)).map(readSource));
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !SKIPPED.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return listFiles(path);
      return entry.name.endsWith('.ts') ? [path] : [];
    });
}

function readSource(path: string): Source {
  return parseSource(relative(ROOT, path).replaceAll('\\', '/'), readFileSync(path, 'utf8'));
}

export function parseSource(path: string, text: string): Source {
  const program: unknown = parseSync(path, text).program;
  if (!isNode(program)) throw new Error(`${path} has no syntax tree`);
  const lines = text.split('\n');
  const starts: number[] = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const lineAt = (offset: number): number => {
    const after = starts.findIndex((start) => start > offset);
    return after === -1 ? starts.length : after;
  };
  return { path, text, lines, program, isHot: text.startsWith('// @hot'), lineAt };
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value && 'end' in value;
}

/** The nodes directly below one, in source order. */
export function childrenOf(node: Node): Node[] {
  return Object.values(node)
    .flatMap((value) => (Array.isArray(value) ? value : [value]))
    .filter(isNode);
}

/** Calls `visit` for a node and all below it; a visit that returns false is not descended into. */
export function walk(
  node: Node,
  visit: (node: Node, parents: readonly Node[]) => boolean,
  parents: readonly Node[] = [],
): void {
  if (!visit(node, parents)) return;
  const path = [node, ...parents];
  for (const child of childrenOf(node)) walk(child, visit, path);
}

/** A field that is a node; null when it is none. */
export function fieldOf(node: Node, name: string): Node | null {
  const value = node[name];
  return isNode(value) ? value : null;
}

/** A field that is a list of nodes; empty when it is none. */
export function listOf(node: Node, name: string): Node[] {
  const value = node[name];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

export function textOf(node: Node, name: string): string {
  const value = node[name];
  return typeof value === 'string' ? value : '';
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

export function isFunction(node: Node): boolean {
  return FUNCTIONS.has(node.type) && fieldOf(node, 'body') !== null;
}

/** What a module imports or re-exports, as written, with the offset. */
export function importsOf(source: Source): { readonly from: string; readonly at: number }[] {
  const found: { from: string; at: number }[] = [];
  walk(source.program, (node) => {
    const target = fieldOf(node, 'source');
    if (target !== null && /^(Import|Export)/.test(node.type))
      found.push({ from: textOf(target, 'value'), at: node.start });
    return true;
  });
  return found;
}
