// Reads an Envoy v3 bootstrap file (YAML or JSON, as `envoy -c` takes it) into a Bootstrap message.
// Every mistake in the file is found in one pass and reported with its field path and its
// file:line:column; the message is handed out only when nothing refuses it. Nothing here asks
// whether we support a setting: that is unsupported.ts.
//
//   text ─► yaml (positions kept) ─► check-json (all mistakes) ─► fromJson ─► Bootstrap
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { LineCounter, isMap, isNode, isPair, isScalar, isSeq, parseDocument, type Document } from 'yaml';
import { error, refuses, type Place, type Problem } from '../base/problem.ts';
import { BootstrapSchema, type Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { checkJson, toSnakeCase } from './bootstrap-check.ts';
import { extensions } from './bootstrap-registry.ts';

export interface BootstrapFile {
  /** Null when the file has errors. */
  readonly bootstrap: Bootstrap | null;
  /** What could be read in spite of errors, to look for more of them; null when nothing could. */
  readonly partial: Bootstrap | null;
  readonly problems: readonly Problem[];
  /** Where the field at this path (`static_resources.listeners[0].name`) stands; the nearest parent when it is not written. */
  readonly locate: (path: string) => Place | null;
}

export function parseBootstrap(text: string, file: string): BootstrapFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false });
  const locate = (path: string): Place | null => placeAt(document, lines, file, path);
  const syntax = document.errors.map((cause) => {
    const { line, col } = lines.linePos(cause.pos[0]);
    return error('', cause.message.toLowerCase(), 'the file must be YAML or JSON', { file, line, column: col });
  });
  if (syntax.length > 0) return { bootstrap: null, partial: null, problems: syntax, locate };
  const json = readPlain(document);
  if (json === null || typeof json !== 'object') {
    const problem = error('', 'the file holds no bootstrap', 'write a mapping with static_resources', locate(''));
    return { bootstrap: null, partial: null, problems: [problem], locate };
  }
  const problems: Problem[] = [];
  const checked = checkJson(BootstrapSchema, json, { registry: extensions, problems });
  const partial = decode(checked, problems);
  const bootstrap = refuses(problems) ? null : partial;
  return { bootstrap, partial, problems: problems.map((problem) => withPlace(problem, locate)), locate };
}

/** What has been checked decodes, unless something was refused: then the mistakes are known already. */
function decode(checked: JsonValue, problems: Problem[]): Bootstrap | null {
  try {
    return fromJson(BootstrapSchema, checked, { registry: extensions });
  } catch (cause) {
    if (!refuses(problems)) problems.push(error('', cause instanceof Error ? cause.message : String(cause)));
    return null;
  }
}

/** The Problem with its place in the file, unless it has one. */
export function withPlace(problem: Problem, locate: (path: string) => Place | null): Problem {
  return problem.place === null ? { ...problem, place: locate(problem.path) } : problem;
}

function readPlain(document: Document): unknown {
  // An alias bomb is the only way that this throws; a bootstrap has no business with aliases of aliases.
  try {
    return document.toJS({ maxAliasCount: 1000 });
  } catch {
    return null;
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

function placeAt(document: Document, lines: LineCounter, file: string, path: string): Place | null {
  let node: unknown = document.contents;
  let anchor: unknown = node;
  for (const segment of parsePath(path)) {
    const next = descend(resolve(document, node), segment, document);
    if (next === null) break;
    node = next.value;
    anchor = next.anchor;
  }
  const offset = isNode(anchor) ? anchor.range?.[0] : undefined;
  if (offset === undefined) return null;
  const { line, col } = lines.linePos(offset);
  return { file, line, column: col };
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
