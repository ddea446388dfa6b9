// From the text of a file to typed resources and Problems. A resource with an error is left out and
// named in `refused`, so that its last good version can stay; a file whose YAML is broken yields nothing
// but Problems (`isReadable` false). It never throws on what a file contains.
import { Document, LineCounter, isMap, isScalar, parseAllDocuments, visit } from 'yaml';
import type { YAMLMap } from 'yaml';
import { refuses } from '../base/problem.ts';
import type { Place, Problem } from '../base/problem.ts';
import { closingPart } from './broken-file.ts';
import { Fields } from './fields.ts';
import { readKind } from './kind-readers.ts';
import { limits } from './limits.ts';
import { readMeta } from './meta.ts';
import type { Meta, Source } from './meta.ts';
import { besideNamesake, mustBothHold, namesakeMessage } from './namesake.ts';
import { readObjectKind } from './object-kind.ts';
import { Report, locate } from './report.ts';
import { resourceKey } from './resource.ts';
import { keepsOut, SECURITY_KINDS } from './security-kind.ts';
import { standInFor, type Refused } from './stand-in.ts';
import type { Resource } from './resource.ts';
import { readSecret } from './secret.ts';
import type { SecretSpec } from './secret.ts';

export interface ParsedFile {
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
  /** Keys of resources that are in the file and were refused; `null` stands for one without a readable identity. */
  readonly refused: readonly (string | null)[];
  /** What is in force in the place of some that were refused, until there is a good version of them; of a broken file that never was good, all that is. */
  readonly standIns: readonly Resource[];
  /** False when the YAML itself is broken. */
  readonly isReadable: boolean;
}

const CLUSTER_SCOPED = new Set(['Namespace', 'MeshConfig']);

export function parseFile(file: string, text: string): ParsedFile {
  const lines = new LineCounter();
  const report = new Report(file, lines, text);
  const bytes = Buffer.byteLength(text);
  const start = { file, line: 1, column: 1 };
  const broken = { resources: [], refused: [], standIns: [], isReadable: false };
  if (bytes > limits.fileBytesMax) {
    report.error('', `the file has ${bytes} bytes, the limit is ${limits.fileBytesMax}`, 'split the file', start);
    return { ...broken, problems: report.problems };
  }
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    strict: true,
    uniqueKeys: true,
    prettyErrors: false,
    merge: false,
  });
  if (!Array.isArray(documents)) return { resources: [], problems: [], refused: [], standIns: [], isReadable: true };
  if (documents.length > limits.documentsMax)
    report.error(
      '',
      `the file has ${documents.length} documents, the limit is ${limits.documentsMax}`,
      'split the file',
      start,
    );
  // What is wrong with a file may quote it.
  const hasSecrets = /kind["']?\s*:\s*["']?Secret/.test(text);
  for (const document of documents) {
    for (const fault of document.errors)
      report.error(
        '',
        `not valid YAML: ${hasSecrets ? fault.code : firstLine(fault.message)}`,
        yamlRemedy(fault.code),
        report.placeAt(fault.pos[0]),
      );
  }
  if (refuses(report.problems))
    return { ...broken, problems: report.problems, standIns: standInsOf(documents, new Report(file, lines, text)) };
  const sink: Sink = { resources: [], refused: [], standIns: [], places: new Map() };
  for (const document of documents) readDocument(document, report, sink);
  if (report.dropped > 0)
    report.problems.push({
      severity: 'warning',
      path: '',
      message: `${report.dropped} more problems are not shown`,
      remedy: 'correct these first',
      place: start,
    });
  const { resources, refused, standIns } = sink;
  return { resources, refused, standIns, problems: report.problems, isReadable: true };
}

/**
 * An object that has no text, as an API server hands it out. Its Problems have paths and no lines; nothing of `value` is
 * kept but what the readers take.
 */
export function parseObject(name: string, value: object): ParsedFile {
  const report = new Report(name, null, '');
  const sink: Sink = { resources: [], refused: [], standIns: [], places: new Map() };
  readDocument(new Document(value, { aliasDuplicateObjects: false }), report, sink);
  const { resources, refused, standIns } = sink;
  return { resources, refused, standIns, problems: report.problems, isReadable: true };
}

/** Of documents some of which are no YAML. What is wrong with their fields matters no more. */
function standInsOf(documents: readonly Document[], report: Report): readonly Resource[] {
  const places = new Map<string, Place>();
  const read = documents.flatMap((document) => {
    const sink: Sink = { resources: [], refused: [], standIns: [], places };
    readDocument(document, report, sink);
    const isBroken = document.errors.length > 0;
    return [...sink.resources, ...sink.standIns].map((resource) => ({ resource, isBroken }));
  });
  return closingPart(read);
}

/** What the documents of a file come to. */
interface Sink {
  readonly resources: Resource[];
  readonly refused: (string | null)[];
  readonly standIns: Resource[];
  /** Where each resource stands, by its key. */
  readonly places: Map<string, Place>;
}

function readDocument(document: Document, report: Report, sink: Sink): void {
  const root: unknown = document.contents;
  if (root === null) return;
  if (!isMap(root)) {
    if (isScalar(root) && root.value === null) return;
    report.error('', 'a document must be an object', 'begin with apiVersion: and kind:', report.placeOf(root));
    sink.refused.push(null);
    return;
  }
  if (countAliases(document) > limits.aliasesMax) {
    report.error(
      '',
      `the document has more than ${limits.aliasesMax} aliases`,
      'write the values out',
      report.placeOf(root),
    );
    sink.refused.push(null);
    return;
  }
  const kind = root.get('kind');
  const items = root.get('items', true);
  if (typeof kind === 'string' && /list$/i.test(kind) && items !== undefined) {
    for (const item of new Fields(root, '', document, report).maps('items')) readObject(item, document, report, sink);
    return;
  }
  readObject(root, document, report, sink);
}

/** A reader that fails unexpectedly costs its own document only. */
function readObject(root: YAMLMap, document: Document, report: Report, sink: Sink): void {
  try {
    readKnown(root, document, report, sink);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    report.error(
      '',
      `cannot be read (${reason})`,
      'write it differently, and report this as a fault',
      report.placeOf(root),
    );
    sink.refused.push(null);
  }
}

function readKnown(root: YAMLMap, document: Document, report: Report, sink: Sink): void {
  const before = report.errors;
  const fields = new Fields(root, '', document, report);
  const kind = readObjectKind(fields);
  if (kind === null) {
    if (report.errors > before) sink.refused.push(null);
    return;
  }
  const meta = fields.object('metadata', (metadata) => readMeta(metadata, CLUSTER_SCOPED.has(kind)));
  if (meta === null && kind !== 'MeshConfig') {
    fields.error('metadata', 'metadata is missing', 'add metadata: { name: … }');
    // Of a policy something must stand in all the same.
    if (!SECURITY_KINDS.has(kind) && kind !== 'EnvoyFilter') {
      sink.refused.push(null);
      return;
    }
  }
  const known: Meta = meta ?? {
    name: kind === 'MeshConfig' ? 'default' : '',
    namespace: kind === 'MeshConfig' ? '' : 'default',
    labels: new Map(),
    annotations: new Map(),
    createdAtMs: 0,
    generation: 1,
  };
  const source: Source = {
    file: report.file,
    place: report.placeOf(root),
    locate: report.hasText ? (path) => locate(report, document, root, path) : nowhere(report.file),
  };
  const resource =
    kind === 'Secret'
      ? secretOf(readSecret(fields, root, document), known, source)
      : readKind(kind, fields, known, source);
  fields.ignore('status');
  fields.finish();
  keep({ kind, resource, meta: known, source }, report.errors > before, report, sink);
}

/** What was read, or what stands in for it, into the sink, with a word about what is there already. */
function keep(read: Refused, isRefused: boolean, report: Report, sink: Sink): void {
  const { kind, resource, meta, source } = read;
  const key = meta.name === '' ? null : resourceKey(resource?.kind ?? kind, resource?.meta ?? meta);
  const first = key === null ? undefined : sink.places.get(key);
  if (key !== null && first !== undefined) {
    const index = sink.resources.findIndex((other) => resourceKey(other.kind, other.meta) === key);
    const earlier = sink.resources[index];
    const isSame = earlier !== undefined && resource !== null && !isRefused && !mustBothHold(earlier, resource);
    const canOpen = resource === null ? SECURITY_KINDS.has(kind) : keepsOut(resource);
    if (!canOpen || isSame) {
      const message = `${key} is already in line ${first.line}; this one has no effect`;
      if (resource !== null) report.warning('', message, 'remove one of them', source.place);
      return;
    }
    report.error('', namesakeMessage(key, `line ${first.line}`), 'remove one of them, or rename it', source.place);
    if (earlier !== undefined) sink.resources[index] = besideNamesake(earlier);
    let number = 2;
    while (sink.places.has(`${key}~${number}`)) number += 1;
    const other = { ...meta, name: `${meta.name}~${number}` };
    const renamed = resource === null ? null : besideNamesake({ ...resource, meta: other });
    keep({ kind, resource: renamed, meta: other, source }, isRefused, report, sink);
    return;
  }
  if (key !== null) sink.places.set(key, source.place);
  if (isRefused) {
    sink.refused.push(key);
    const standIn = standInFor({ kind, resource, meta, source });
    if (standIn !== null) sink.standIns.push(standIn);
  } else if (resource !== null) sink.resources.push(resource);
}

/** kubectl keeps what was applied, the values included, in an annotation: no annotation of a Secret is kept. */
function secretOf(spec: SecretSpec | null, meta: Meta, source: Source): Resource | null {
  return spec === null ? null : { kind: 'Secret', meta: { ...meta, annotations: new Map() }, source, spec };
}

/** Made apart, so that it keeps nothing of the object alive. */
function nowhere(file: string): () => Place {
  const place = { file, line: 0, column: 0 };
  return () => place;
}

function countAliases(document: Document): number {
  let count = 0;
  visit(document, {
    Alias: () => {
      count += 1;
    },
  });
  return count;
}

function firstLine(message: string): string {
  const line = message.split('\n')[0] ?? message;
  return line.charAt(0).toLowerCase() + line.slice(1);
}

function yamlRemedy(code: string): string {
  if (code === 'DUPLICATE_KEY') return 'remove one of the two';
  if (code === 'TAB_AS_INDENT') return 'indent with spaces';
  if (code === 'BAD_INDENT') return 'line it up with its neighbours';
  return 'correct the syntax here';
}
