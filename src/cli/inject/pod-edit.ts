// The edits of one pod: containers and volumes at the head of their lists, and the annotation that says what was made for
// them, so that all of it can be taken out again to the byte.
import { isMap, isScalar, isSeq } from 'yaml';
import type { Pair, YAMLMap } from 'yaml';
import { INIT_CONTAINER, PROXY_CONTAINER } from '../../control/injection/containers.ts';
import { IDENTITY_VOLUMES } from '../../control/injection/identity-volumes.ts';
import { lineStart } from './edits.ts';
import type { Edit } from './edits.ts';
import { addEntry, addItems, endOf, fillEntry, NotEditable, offsetOf, removeRange } from './node-edit.ts';
import type { Spot } from './node-edit.ts';
import { pairAt, textAt } from './pod-template.ts';
import type { Written } from '../../control/injection/written.ts';

export const STATUS = 'outrigger.dev/status';

export interface Additions {
  readonly initContainers: readonly Written[];
  readonly containers: readonly Written[];
  readonly volumes: readonly Written[];
}

const LISTS = ['initContainers', 'containers', 'volumes'] as const;

/** What the status annotation holds, as JSON. */
interface Status {
  /** Keys that were not there. */
  readonly made: readonly string[];
  /** What stood as the value of keys that were null. */
  readonly was: Readonly<Record<string, string>>;
}

/** Throws NotEditable. */
export function injectPod(pod: YAMLMap, additions: Additions, text: string): readonly Edit[] {
  const spec = mapAt(pod, 'spec');
  const spot: Spot = { text, dash: dashOf(spec, text) };
  const plan: Plan = { edits: [], made: [], was: {}, spot };
  for (const name of LISTS) {
    const items = additions[name];
    if (items.length > 0) addList(spec, name, items, plan);
  }
  const status = (): Written => JSON.stringify({ made: plan.made, was: plan.was });
  annotate(pod, status, plan);
  return plan.edits;
}

interface Plan {
  readonly edits: Edit[];
  readonly made: string[];
  readonly was: Record<string, string>;
  readonly spot: Spot;
}

function addList(spec: YAMLMap, name: string, items: readonly Written[], plan: Plan): void {
  const { edits, made, was, spot } = plan;
  const pair = pairAt(spec, name);
  if (pair === null) {
    made.push(name);
    edits.push(addEntry(spec, name, items, spot));
  } else if (isSeq(pair.value)) edits.push(addItems(pair.value, items, spot));
  else if (isNothing(pair)) {
    const { was: literal, ...edit } = fillEntry(pair, items, spec.flow === true, spot);
    was[name] = literal;
    edits.push(edit);
  } else throw new NotEditable(name, offsetOf(pair.key));
}

function annotate(pod: YAMLMap, status: () => Written, { edits, made, was, spot }: Plan): void {
  const metadata = pairAt(pod, 'metadata');
  if (metadata === null) {
    made.push('metadata');
    edits.push(addEntry(pod, 'metadata', { annotations: { [STATUS]: status() } }, spot));
  } else if (isNothing(metadata)) {
    was['metadata'] = literalOf(metadata, spot.text);
    edits.push(editOnly(fillEntry(metadata, { annotations: { [STATUS]: status() } }, pod.flow === true, spot)));
  } else if (isMap(metadata.value)) {
    const annotations = pairAt(metadata.value, 'annotations');
    if (annotations === null) {
      made.push('annotations');
      edits.push(addEntry(metadata.value, 'annotations', { [STATUS]: status() }, spot));
    } else if (isNothing(annotations)) {
      was['annotations'] = literalOf(annotations, spot.text);
      const isInFlow = metadata.value.flow === true;
      edits.push(editOnly(fillEntry(annotations, { [STATUS]: status() }, isInFlow, spot)));
    } else if (isMap(annotations.value)) edits.push(addEntry(annotations.value, STATUS, status(), spot));
    else throw new NotEditable('annotations', offsetOf(annotations.key));
  } else throw new NotEditable('metadata', offsetOf(metadata.key));
}

/** Empty when nothing of ours is there. */
export function uninjectPod(pod: YAMLMap, text: string): readonly Edit[] {
  const metadata = pairAt(pod, 'metadata');
  const annotations = isMap(metadata?.value) ? pairAt(metadata.value, 'annotations') : null;
  if (!isMap(metadata?.value) || !isMap(annotations?.value)) return [];
  const status = statusOf(textAt(annotations.value, STATUS));
  const entry = pairAt(annotations.value, STATUS);
  if (status === null || entry === null) return [];
  const edits: Edit[] = [];
  const [isOnlyStatus, isOnlyAnnotations] = [annotations.value.items.length === 1, metadata.value.items.length === 1];
  if (isOnlyStatus && isOnlyAnnotations && status.made.includes('metadata'))
    edits.push(removePair(metadata, pod, text));
  else if (isOnlyStatus && isOnlyAnnotations && status.was['metadata'] !== undefined)
    edits.push(restore(metadata, status.was['metadata'], text));
  else if (isOnlyStatus && status.made.includes('annotations'))
    edits.push(removePair(annotations, metadata.value, text));
  else if (isOnlyStatus && status.was['annotations'] !== undefined)
    edits.push(restore(annotations, status.was['annotations'], text));
  else edits.push(removePair(entry, annotations.value, text));
  const spec = mapAt(pod, 'spec');
  for (const name of LISTS) edits.push(...removeList(spec, name, status, text));
  return edits;
}

function removeList(spec: YAMLMap, name: string, status: Status, text: string): readonly Edit[] {
  const pair = pairAt(spec, name);
  if (pair === null || !isSeq(pair.value)) return [];
  const { items, flow } = pair.value;
  const ours = items.filter((item) => isMap(item) && isOurs(name, textAt(item, 'name')));
  const [first] = ours;
  if (first === undefined) return [];
  if (ours.length === items.length) {
    if (status.made.includes(name)) return [removePair(pair, spec, text)];
    const was = status.was[name];
    if (was !== undefined) return [restore(pair, was, text)];
  }
  if (flow === true) return [removeRange(offsetOf(first), endOf(ours.at(-1)), true, text)];
  return ours.map((item) => removeRange(offsetOf(item), endOf(item), false, text));
}

function removePair(pair: Pair, map: YAMLMap, text: string): Edit {
  return removeRange(offsetOf(pair.key), Math.max(endOf(pair.value), endOf(pair.key)), map.flow === true, text);
}

/** Puts back what stood as the value of a key. */
function restore(pair: Pair, was: string, text: string): Edit {
  const [start, end] = [offsetOf(pair.value), endOf(pair.value)];
  if (was !== '') return { at: start, removed: end - start, inserted: was };
  return removeRange(start, end, false, text);
}

function isOurs(list: string, name: string): boolean {
  if (list === 'volumes') return IDENTITY_VOLUMES.includes(name);
  return name === PROXY_CONTAINER || name === INIT_CONTAINER;
}

function statusOf(text: string): Status | null {
  if (text === '') return null;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { made, was }: { readonly made?: unknown; readonly was?: unknown } = value;
    const texts = Object.entries(typeof was === 'object' && was !== null ? was : {}).map(
      ([name, literal]) => [name, String(literal)] as const,
    );
    return { made: Array.isArray(made) ? made.map(String) : [], was: Object.fromEntries(texts) };
  } catch {
    return { made: [], was: {} };
  }
}

function isNothing(pair: Pair): boolean {
  return pair.value === null || (isScalar(pair.value) && pair.value.value === null);
}

function literalOf(pair: Pair, text: string): string {
  if (!isScalar(pair.value) || pair.value.range == null) return '';
  return text.slice(pair.value.range[0], pair.value.range[1]);
}

function editOnly({ at, removed, inserted }: Edit): Edit {
  return { at, removed, inserted };
}

function mapAt(map: YAMLMap, name: string): YAMLMap {
  const value: unknown = pairAt(map, name)?.value;
  if (!isMap(value)) throw new NotEditable(name, map.range?.[0] ?? 0);
  return value;
}

/** New lists have their dashes where the list of containers has them. */
function dashOf(spec: YAMLMap, text: string): Spot['dash'] {
  const pair = pairAt(spec, 'containers');
  if (pair === null || !isSeq(pair.value) || pair.value.flow === true) return '  ';
  const column = (offset: number): number => offset - lineStart(text, offset);
  return column(offsetOf(pair.value)) === column(offsetOf(pair.key)) ? '' : '  ';
}
