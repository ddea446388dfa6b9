// The declarative decoder: a reader of a resource asks a Fields for each field by name and type, and
// gets a typed value or a Problem with the field's path and place. What nobody asked for is reported
// when the reader is done: an unknown field is a warning with the nearest known name, never silence.
//
//   const readRetries = (fields: Fields) => ({ attempts: fields.integer('attempts', { min: 0 }), … });
//   const retries = fields.object('retries', readRetries);   // null when absent or refused
import type { JsonValue } from '@bufbuild/protobuf';
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, Node, YAMLMap } from 'yaml';
import { parseDuration } from './duration.ts';
import { limits } from './limits.ts';
import { entriesOf } from './map-entries.ts';
import type { Entry } from './map-entries.ts';
import { checkRegex } from './regex.ts';
import { Report } from './report.ts';
import { toJsonValue } from './json-value.ts';
import { shown } from './shown-value.ts';
import { nearest } from './spelling.ts';

export type Reader<T> = (fields: Fields) => T;

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

export class Fields {
  /** The path of this object, for example `spec.http[0]`; empty for the document. */
  readonly path: string;
  readonly #document: Document;
  readonly #report: Report;
  readonly #map: YAMLMap;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #known = new Set<string>();
  /** Fields whose misspelling is an error; `*` is every field. */
  readonly #vital = new Set<string>();

  constructor(map: YAMLMap, path: string, document: Document, report: Report) {
    this.path = path;
    this.#map = map;
    this.#document = document;
    this.#report = report;
    this.#entries = entriesOf(map, document);
  }

  /** True when the field is there and not null. */
  has(name: string): boolean {
    return this.#take(name) !== null;
  }

  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Empty when absent. */
  text(name: string): string {
    const value = this.#scalar(name);
    if (value === null || typeof value === 'string') return value ?? '';
    this.#wrongType(name, 'a string', value);
    return '';
  }

  /** A string that must be there and not be empty. */
  requiredText(name: string, remedy = ''): string {
    const given = this.#scalar(name);
    const fault = given === null ? 'missing' : typeof given === 'string' && given.trim() === '' ? 'empty' : '';
    if (fault !== '') this.error(name, `${name} is ${fault}`, remedy === '' ? `add ${name}` : remedy);
    return this.text(name);
  }

  integer(name: string, range: Range = {}): number | null {
    const value = this.#scalar(name);
    if (value === null) return null;
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      this.#wrongType(name, 'a whole number', value);
      return null;
    }
    return this.#inRange(name, value, range);
  }

  decimal(name: string, range: Range = {}): number | null {
    const value = this.#scalar(name);
    if (value === null) return null;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.#wrongType(name, 'a number', value);
      return null;
    }
    return this.#inRange(name, value, range);
  }

  port(name: string): number | null {
    return this.integer(name, { min: 1, max: 65_535 });
  }

  flag(name: string): boolean | null {
    const value = this.#scalar(name);
    if (value === null || typeof value === 'boolean') return value;
    this.#wrongType(name, 'true or false', value);
    return null;
  }

  /** Milliseconds. */
  durationMs(name: string, syntax: 'go' | 'gateway' = 'go'): number | null {
    const value = this.#scalar(name);
    if (value === null) return null;
    const duration = typeof value === 'string' ? parseDuration(value, syntax) : null;
    if (duration === null) {
      const example = syntax === 'go' ? '1h2m3.5s' : '1h2m3s500ms';
      this.error(
        name,
        `${shown(value)} is not a duration`,
        `write a number with a unit, for example 2s, 250ms or ${example}`,
      );
    }
    return duration;
  }

  choice<const T extends string>(name: string, choices: readonly T[]): T | null {
    const value = this.#scalar(name);
    if (value === null) return null;
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    const guess = typeof value === 'string' ? nearest(value, choices) : null;
    this.error(
      name,
      `${shown(value)} is not one of ${choices.join(', ')}`,
      guess === null ? `write one of them` : `did you mean ${guess}?`,
    );
    return null;
  }

  /** A regular expression in RE2's syntax; empty when absent or refused. */
  regex(name: string): string {
    const pattern = this.text(name);
    const message = pattern === '' ? null : checkRegex(pattern);
    if (message === null) return pattern;
    this.error(name, message, 'write it in RE2 syntax (no look-around, no back-references)');
    return '';
  }

  /** A port that may be given by number or by name. */
  portOrName(name: string): number | string | null {
    const value = this.#scalar(name);
    if (value === null || typeof value === 'string') return value;
    return this.port(name);
  }

  /** `example` is what to write when a plain value stands there. */
  object<T>(name: string, reader: Reader<T>, example = 'write "name: value" lines'): T | null {
    const node = this.#take(name);
    if (isScalar(node)) this.error(name, `must be an object, not ${shown(node.value)}`, example);
    return node === null || isScalar(node) ? null : this.#read(node, this.at(name), reader);
  }

  /** Refused entries are left out; absent is empty. */
  list<T>(name: string, reader: Reader<T>, max: number = limits.listEntriesMax): readonly T[] {
    const values: T[] = [];
    for (const [index, node] of this.#items(name, max).entries()) {
      const value = this.#read(node, `${this.at(name)}[${index}]`, reader);
      if (value !== null) values.push(value);
    }
    return values;
  }

  texts(name: string): readonly string[] {
    const values: string[] = [];
    for (const [index, node] of this.#items(name, limits.listEntriesMax).entries()) {
      const value = isScalar(node) ? node.value : null;
      if (typeof value === 'string') values.push(value);
      else
        this.#report.error(
          `${this.at(name)}[${index}]`,
          'must be a string',
          'write it in quotes',
          this.#report.placeOf(node),
        );
    }
    return values;
  }

  integers(name: string, range: Range): readonly number[] {
    const values: number[] = [];
    for (const [index, node] of this.#items(name, limits.listEntriesMax).entries()) {
      const value = isScalar(node) ? node.value : null;
      const isFine =
        typeof value === 'number' &&
        Number.isInteger(value) &&
        value >= (range.min ?? value) &&
        value <= (range.max ?? value);
      if (isFine) values.push(value);
      else {
        const path = `${this.at(name)}[${index}]`;
        this.#report.error(path, `must be a whole number${rangeText(range)}`, 'correct it', this.#report.placeOf(node));
      }
    }
    return values;
  }

  textMap(name: string): ReadonlyMap<string, string> {
    const node = this.#take(name);
    const values = new Map<string, string>();
    if (node === null) return values;
    const fields = this.#fieldsOf(node, this.at(name));
    for (const key of fields?.names() ?? []) values.set(key, fields?.text(key) ?? '');
    return values;
  }

  objectMap<T>(name: string, reader: Reader<T>): ReadonlyMap<string, T> {
    const values = new Map<string, T>();
    const node = this.#take(name);
    const fields = node === null ? null : this.#fieldsOf(node, this.at(name));
    for (const key of fields?.names() ?? []) {
      const value = fields?.object(key, reader) ?? null;
      if (value !== null) values.set(key, value);
    }
    return values;
  }

  /** A whole YAML document inside a string, as ConfigMaps hold them; null when absent or broken. */
  embedded<T>(name: string, reader: Reader<T>): T | null {
    const text = this.text(name);
    if (text === '') return null;
    const lines = new LineCounter();
    const inner = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    const report = new Report(this.#report.file, lines, text);
    for (const fault of inner.errors)
      report.error(
        '',
        `not valid YAML: ${fault.message.split('\n')[0] ?? ''}`,
        'correct the syntax',
        report.placeAt(fault.pos[0]),
      );
    const root: unknown = inner.contents;
    const value =
      inner.errors.length === 0 && isMap(root)
        ? readRoot(new Fields(root, this.at(name), inner, report), reader)
        : null;
    const scalar = this.#entries.get(name)?.value;
    for (const problem of report.problems) {
      const place = this.#report.placeInside(scalar, problem.place);
      if (problem.severity === 'error') this.#report.error(problem.path, problem.message, problem.remedy, place);
      else this.#report.warning(problem.path, problem.message, problem.remedy, place);
    }
    return value;
  }

  /** Any value, unread; null when absent. `isPeek`: it goes on counting as one that nobody asked for. */
  json(name: string, isPeek = false): JsonValue {
    const node = isPeek ? this.#present(name) : this.#take(name);
    return toJsonValue(node?.toJS(this.#document, { maxAliasCount: limits.aliasesMax }) ?? null);
  }

  /** The objects of a list, unread. */
  maps(name: string): readonly YAMLMap[] {
    return this.#items(name, limits.listEntriesMax).filter((node) => isMap(node));
  }

  /** Fields that are right but have no effect yet: a warning for each that is there. */
  later(...names: readonly string[]): void {
    this.#announce(names, 'is not supported yet and has no effect');
  }

  /** Fields that a real Envoy follows and our own sidecar does not yet: a warning for each that is there. */
  forEnvoyOnly(...names: readonly string[]): void {
    this.#announce(names, 'has no effect on sidecars yet');
  }

  /** Fields that are right and need no reading. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
  }

  /** Reports an error when more than one of the fields is there. */
  exclusive(...names: readonly string[]): void {
    const present = names.filter((name) => this.has(name));
    const last = present.at(-1);
    if (present.length > 1 && last !== undefined)
      this.error(
        last,
        `only one of ${names.join(', ')} may be set, here are ${present.join(' and ')}`,
        'remove all but one',
      );
  }

  error(name: string, message: string, remedy: string): void {
    this.#report.error(this.at(name), message, remedy, this.#placeOfField(name));
  }

  warning(name: string, message: string, remedy: string): void {
    this.#report.warning(this.at(name), message, remedy, this.#placeOfField(name));
  }

  at(name: string): string {
    if (name === '') return this.path;
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  /** Unknown fields are errors, all or those near to `names`: without them the object would take, or reach, more than was meant. */
  refuseUnknown(...names: readonly string[]): void {
    for (const name of names.length === 0 ? ['*'] : names) this.#vital.add(name);
  }

  /** Warns of everything that nobody asked for. */
  finish(): void {
    for (const [name, entry] of this.#entries) {
      if (this.#known.has(name)) continue;
      const guess = nearest(name, this.#known);
      const remedy = guess === null ? 'remove it, or correct its name' : `did you mean ${guess}?`;
      const place = this.#report.placeOf(entry.key);
      if (this.#vital.has('*') || (guess !== null && this.#vital.has(guess)))
        this.#report.error(this.at(name), `unknown field ${name}`, remedy, place);
      else this.#report.warning(this.at(name), `unknown field ${name} has no effect`, remedy, place);
    }
  }

  #announce(names: readonly string[], what: string): void {
    for (const name of names)
      if (this.has(name)) this.warning(name, `${name} ${what}`, 'remove it, or wait for the version that does it');
  }

  #present(name: string): Node | null {
    const value = this.#entries.get(name)?.value;
    if (isMap(value) || isSeq(value)) return value;
    return isScalar(value) && value.value !== null ? value : null;
  }

  #take(name: string): Node | null {
    this.#known.add(name);
    return this.#present(name);
  }

  #scalar(name: string): unknown {
    const node = this.#take(name);
    if (node === null) return null;
    return isScalar(node) ? node.value : node;
  }

  #items(name: string, max: number): readonly Node[] {
    const node = this.#take(name);
    if (node === null) return [];
    if (!isSeq(node)) {
      this.error(name, `${name} must be a list`, 'begin each entry with "- "');
      return [];
    }
    if (node.items.length > max) {
      this.error(name, `${name} has ${node.items.length} entries, the limit is ${max}`, 'split the resource');
      return [];
    }
    const items: Node[] = [];
    for (const item of node.items) {
      const resolved = isAlias(item) ? item.resolve(this.#document) : item;
      if (isMap(resolved) || isSeq(resolved) || isScalar(resolved)) items.push(resolved);
    }
    return items;
  }

  #fieldsOf(node: Node, path: string): Fields | null {
    if (isMap(node)) return new Fields(node, path, this.#document, this.#report);
    this.#report.error(path, 'must be an object', 'write "name: value" lines', this.#report.placeOf(node));
    return null;
  }

  #read<T>(node: Node, path: string, reader: Reader<T>): T | null {
    const fields = this.#fieldsOf(node, path);
    if (fields === null) return null;
    return readRoot(fields, reader);
  }

  #inRange(name: string, value: number, range: Range): number | null {
    if (value >= (range.min ?? value) && value <= (range.max ?? value)) return value;
    this.error(name, `${value} is out of range`, `write a number${rangeText(range)}`);
    return null;
  }

  #wrongType(name: string, wanted: string, value: unknown): void {
    const isQuoted = typeof value === 'string' && /^(?:-?[\d.]+|true|false)$/.test(value) && wanted !== 'a string';
    const isBare = wanted === 'a string' && (typeof value === 'number' || typeof value === 'boolean');
    const text = String(value);
    const remedy = isBare ? `write "${text}" in quotes` : isQuoted ? 'write it without quotes' : `write ${wanted}`;
    this.error(name, `must be ${wanted}, not ${shown(value)}`, remedy);
  }

  #placeOfField(name: string): ReturnType<Report['placeOf']> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return this.#report.placeOf(this.#map);
    return this.#report.placeOf(isScalar(entry.value) && entry.value.value !== null ? entry.value : entry.key);
  }
}

function readRoot<T>(fields: Fields, reader: Reader<T>): T {
  const value = reader(fields);
  fields.finish();
  return value;
}

function rangeText(range: Range): string {
  if (range.min !== undefined && range.max !== undefined) return ` from ${range.min} to ${range.max}`;
  if (range.min !== undefined) return ` of at least ${range.min}`;
  return range.max === undefined ? '' : ` of at most ${range.max}`;
}
