// @hot
// Header edits as they run. One level of configuration (a weighted cluster, a route, a virtual host,
// the route configuration) is one HeaderEdits: it removes first, then evaluates all its values against
// the head as it then stands, then overwrites, then adds. Levels run one after the other.
// Source: Envoy HeaderValueOption and its header parser.
import type { HeaderId } from '../base/brand.ts';
import type { Head } from '../http/head.ts';
import { isFieldValue } from '../http/named-field.ts';
import type { Exchange } from './exchange.ts';
import type { Format } from './format.ts';
import { CONTINUE, type Verdict } from './plan.ts';

export type EditAction = 'append' | 'add-if-absent' | 'overwrite' | 'overwrite-if-present';

export interface HeaderEdit {
  readonly name: string;
  readonly id: HeaderId;
  readonly action: EditAction;
  readonly format: Format;
  /** The format asks for nothing, and was looked at when it was compiled. */
  readonly isConstant: boolean;
  readonly keepsEmpty: boolean;
  /** Envoy holds some well-known headers once only: appending to one joins the values by a comma. */
  readonly joins: boolean;
}

export class HeaderEdits {
  readonly removedNames: readonly string[];
  readonly removed: readonly HeaderId[];
  readonly edits: readonly HeaderEdit[];
  /** The evaluated values, by edit; used within one call only. */
  readonly #values: (string | null)[];

  constructor(removedNames: readonly string[], removed: readonly HeaderId[], edits: readonly HeaderEdit[]) {
    this.removedNames = removedNames;
    this.removed = removed;
    this.edits = edits;
    this.#values = new Array<string | null>(edits.length).fill(null);
  }

  apply(head: Head, x: Exchange): void {
    const { removed, edits } = this;
    const values = this.#values;
    for (let i = 0; i < removed.length; i++) head.remove(removed[i] as HeaderId);
    for (let i = 0; i < edits.length; i++) values[i] = evaluate(edits[i] as HeaderEdit, head, x);
    for (let i = 0; i < edits.length; i++) {
      const edit = edits[i] as HeaderEdit;
      const value = values[i] as string | null;
      if (value === null || edit.action === 'append' || edit.action === 'add-if-absent') continue;
      overwrite(head, edit, value);
      values[i] = null;
    }
    for (let i = 0; i < edits.length; i++) {
      const value = values[i] as string | null;
      if (value === null) continue;
      append(head, edits[i] as HeaderEdit, value);
      values[i] = null;
    }
  }

  /** What printers show. */
  toJSON(): Record<string, unknown> {
    const shown: Record<string, unknown> = {};
    if (this.removedNames.length > 0) shown['remove'] = this.removedNames;
    for (let i = 0; i < this.edits.length; i++) {
      const edit = this.edits[i] as HeaderEdit;
      const list = (shown[edit.action] ??= []);
      if (Array.isArray(list)) list.push(edit.name + ': ' + edit.format.text);
    }
    return shown;
  }
}

/** The value to write, or null when the edit writes nothing. */
function evaluate(edit: HeaderEdit, head: Head, x: Exchange): string | null {
  const value = edit.format.run(x);
  // What a token or a client brings could end the line, and begin another one.
  if (!edit.isConstant && !isFieldValue(value)) return null;
  if (value === '' && !edit.keepsEmpty) return null;
  if (edit.action === 'add-if-absent' && head.has(edit.id)) return null;
  if (edit.action === 'overwrite-if-present' && !head.has(edit.id)) return null;
  return value;
}

/** Envoy drops the old lines and writes a new one behind all others, unless it holds the header once. */
function overwrite(head: Head, edit: HeaderEdit, value: string): void {
  if (edit.joins) {
    head.set(edit.id, value);
    return;
  }
  head.remove(edit.id);
  head.add(edit.id, value);
}

function append(head: Head, edit: HeaderEdit, value: string): void {
  const joined = edit.joins ? head.getJoined(edit.id) : null;
  if (joined === null) head.add(edit.id, value);
  else head.set(edit.id, joined + ',' + value);
}

/** A step's argument: the levels in the order in which they run. */
export interface EditLevels {
  readonly levels: readonly HeaderEdits[];
}

export function editRequest(x: Exchange, arg: EditLevels): Verdict {
  const { levels } = arg;
  for (let i = 0; i < levels.length; i++) (levels[i] as HeaderEdits).apply(x.request, x);
  return CONTINUE;
}

/** Edits of a weighted cluster, by split index; null where that cluster has none. */
export interface SplitEdits {
  readonly bySplit: readonly (HeaderEdits | null)[];
}

export function editSplitRequest(x: Exchange, arg: SplitEdits): Verdict {
  const edits = x.splitIndex < 0 ? null : (arg.bySplit[x.splitIndex] ?? null);
  if (edits !== null) edits.apply(x.request, x);
  return CONTINUE;
}

/** What happens to a response: first the edits of the weighted cluster, then the levels in their order. */
export interface ResponseEdits extends EditLevels, SplitEdits {}

/** A step of the response phase. */
export function editResponse(x: Exchange, arg: ResponseEdits): Verdict {
  applyResponseEdits(x, arg);
  return CONTINUE;
}

/**
 * Edits `x.response`, once per exchange. Envoy edits every response of a matched route, its own replies
 * too; so steps that reply call this themselves, and the response phase finds it done.
 */
export function applyResponseEdits(x: Exchange, edits: ResponseEdits): void {
  if (x.isResponseEdited) return;
  x.isResponseEdited = true;
  const ofSplit = x.splitIndex < 0 ? null : (edits.bySplit[x.splitIndex] ?? null);
  if (ofSplit !== null) ofSplit.apply(x.response, x);
  const { levels } = edits;
  for (let i = 0; i < levels.length; i++) (levels[i] as HeaderEdits).apply(x.response, x);
}
