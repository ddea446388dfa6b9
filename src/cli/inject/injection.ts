// Injection as a function of text: puts the containers into every workload of a YAML or JSON stream, or takes them out
// again. What it does is checked before it is given away: the result reads as the input with the containers
// and one annotation more, and taking them out again gives the input byte for byte.
//
//   parse ──► each pod: leave alone? ──► plan ──► edits ──► parse again and compare ──► undo and compare
import { isDeepStrictEqual } from 'node:util';
import { isMap, LineCounter, parseAllDocuments } from 'yaml';
import type { Document } from 'yaml';
import { error, warning } from '../../base/problem.ts';
import type { Place, Problem } from '../../base/problem.ts';
import {
  INIT_CONTAINER,
  PROXY_CONTAINER,
  proxyContainer,
  redirectContainer,
} from '../../control/injection/containers.ts';
import type { ContainerInputs } from '../../control/injection/containers.ts';
import { IDENTITY_VOLUMES, identityVolumes } from '../../control/injection/identity-volumes.ts';
import { applyEdits } from './edits.ts';
import type { Edit } from './edits.ts';
import { NotEditable, offsetOf } from './node-edit.ts';
import { injectPod, STATUS, uninjectPod } from './pod-edit.ts';
import type { Additions } from './pod-edit.ts';
import { field, podFacts } from '../../control/injection/pod-facts.ts';
import { PodSettingsReader } from '../../control/injection/pod-settings.ts';
import { pairAt, podTemplates } from './pod-template.ts';
import type { PodTemplate } from './pod-template.ts';

export interface InjectOptions {
  readonly control: string;
  readonly image: string;
  readonly mode: 'redirect' | 'explicit';
  /** As a plain container, for clusters before Kubernetes 1.29. */
  readonly isClassic: boolean;
}

export interface Injected {
  /** The input when nothing was done, or when there are errors. */
  readonly text: string;
  readonly problems: readonly Problem[];
  /** Pods that were changed. */
  readonly changed: number;
}

interface Stream {
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  readonly documents: readonly Document.Parsed[];
  /** The documents as plain values, to be read only. */
  readonly values: readonly unknown[];
  readonly problems: Problem[];
}

interface Change {
  readonly template: PodTemplate;
  readonly additions: Additions;
}

export function inject(file: string, text: string, options: InjectOptions): Injected {
  const stream = read(file, text);
  const changes: Change[] = [];
  const edits: Edit[] = [];
  for (const template of templatesOf(stream)) {
    const additions = additionsFor(template, stream, options);
    if (additions === null) continue;
    changes.push({ template, additions });
    edits.push(...guarded(stream, template, () => injectPod(template.pod, additions, text)));
  }
  if (hasErrors(stream)) return { text, problems: stream.problems, changed: 0 };
  const result = applyEdits(text, edits);
  if (!isAsWanted(stream, changes, result) || uninject(file, result).text !== text) {
    for (const { template } of changes) refuse(stream, template.pod.range?.[0] ?? 0, 'this pod');
    return { text, problems: stream.problems, changed: 0 };
  }
  return { text: result, problems: stream.problems, changed: changes.length };
}

/** Takes out what injection put in, in whatever style it stands there now. */
export function uninject(file: string, text: string): Injected {
  const stream = read(file, text);
  const edits: Edit[] = [];
  let changed = 0;
  for (const template of templatesOf(stream)) {
    const found = guarded(stream, template, () => uninjectPod(template.pod, text));
    if (found.length > 0) changed += 1;
    edits.push(...found);
  }
  if (hasErrors(stream)) return { text, problems: stream.problems, changed: 0 };
  return { text: applyEdits(text, edits), problems: stream.problems, changed };
}

function read(file: string, text: string): Stream {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const documents = Array.isArray(parsed) ? parsed : [];
  const values: unknown[] = [];
  const stream: Stream = { file, text, lines, documents, values, problems: [] };
  const refuseAt = (offset: number, message: string): void => {
    const text = `this is not YAML: ${message.split('\n')[0] ?? ''}`;
    stream.problems.push(error('', text, 'correct it first', placeOf(stream, offset)));
  };
  for (const document of documents) {
    for (const fault of document.errors) refuseAt(fault.pos[0], fault.message);
    try {
      values.push(plain(document));
    } catch (cause) {
      // An alias or a merge key that leads nowhere.
      refuseAt(document.range[0], cause instanceof Error ? cause.message : String(cause));
    }
  }
  return stream;
}

function templatesOf({ documents, problems }: Stream): readonly PodTemplate[] {
  return problems.length > 0 ? [] : documents.flatMap((document) => podTemplates(document));
}

/** What to add; null leaves the pod alone, for a reason that is told unless it asked for it. */
function additionsFor(template: PodTemplate, stream: Stream, options: InjectOptions): Additions | null {
  const facts = podFacts(podOf(stream.values[stream.documents.indexOf(template.document)], template.path));
  const reader = new PodSettingsReader(facts.values);
  const settings = reader.read();
  const offset = template.pod.range?.[0] ?? 0;
  if (settings.isWanted === false || facts.values.has(STATUS)) return null;
  const leave = (why: string, remedy: string): null => {
    const message = `${template.kind} ${template.name} is left alone: ${why}`;
    stream.problems.push(warning('', message, remedy, placeOf(stream, offset)));
    return null;
  };
  if (facts.isOnHostNetwork)
    return leave('on the network of its node a redirect would take the traffic of all', 'remove hostNetwork: true');
  const other = [PROXY_CONTAINER, INIT_CONTAINER, 'istio-proxy', 'linkerd-proxy'].find((name) =>
    facts.containers.has(name),
  );
  if (other !== undefined) return leave(`it has a container ${other} already`, 'take that out first');
  const volume = IDENTITY_VOLUMES.find((name) => facts.volumes.has(name));
  if (volume !== undefined) return leave(`it has a volume ${volume} already`, 'take that out first');
  for (const name of reader.unread()) {
    const message = `${template.kind} ${template.name} asks for what injection does not follow: ${name} is ignored`;
    const place = placeOf(stream, offsetOfSetting(template, name) ?? offset);
    stream.problems.push(warning(name, message, 'do without it, or change the result by hand', place));
  }
  for (const { name, message, remedy } of reader.faults) {
    const place = placeOf(stream, offsetOfSetting(template, name) ?? offset);
    stream.problems.push(error(name, message, remedy, place));
  }
  const isNative = settings.isNative ?? !options.isClassic;
  const mode = settings.isCaptured ? options.mode : 'explicit';
  const { control, image } = options;
  const inputs: ContainerInputs = {
    settings,
    facts,
    workload: template.name,
    control,
    image,
    mode,
    isNative,
    // A webhook that sees it later has it serve the app's probes.
    serving: { probes: '', scrape: '' },
  };
  const first = mode === 'redirect' ? [redirectContainer(inputs)] : [];
  const proxy = proxyContainer(inputs);
  const volumes = identityVolumes();
  return isNative
    ? { initContainers: [...first, proxy], containers: [], volumes }
    : { initContainers: first, containers: [proxy], volumes };
}

function guarded(stream: Stream, template: PodTemplate, edit: () => readonly Edit[]): readonly Edit[] {
  try {
    return edit();
  } catch (cause) {
    if (!(cause instanceof NotEditable)) throw cause;
    refuse(stream, cause.offset, `${template.kind} ${template.name}: ${cause.message}`);
    return [];
  }
}

function refuse(stream: Stream, offset: number, what: string): void {
  const message = `${what} cannot be edited in place`;
  const remedy = 'write it out without anchors, aliases and merge keys, one key on a line';
  stream.problems.push(error('', message, remedy, placeOf(stream, offset)));
}

/** True when the result is the input plus what was to be added, and nothing else. */
function isAsWanted({ documents, file }: Stream, changes: readonly Change[], result: string): boolean {
  const wanted = documents.map((document) => plain(document));
  for (const { template, additions } of changes)
    addPlainly(podOf(wanted[documents.indexOf(template.document)], template.path), additions);
  const after = read(file, result);
  if (hasErrors(after)) return false;
  const got = after.values;
  const pods = after.documents.flatMap((document) => podTemplates(document));
  for (const { document, path } of pods) withoutStatus(podOf(got[after.documents.indexOf(document)], path));
  for (const { document, path } of changes.map((change) => change.template))
    withoutStatus(podOf(wanted[documents.indexOf(document)], path));
  return isDeepStrictEqual(got, wanted);
}

function addPlainly(pod: unknown, additions: Additions): void {
  const spec = field(pod, 'spec');
  if (typeof spec !== 'object' || spec === null) return;
  for (const [name, items] of Object.entries(additions)) {
    const before = field(spec, name);
    if (items.length > 0) Object.assign(spec, { [name]: [...items, ...(Array.isArray(before) ? before : [])] });
  }
}

/** For the comparison: what stands beside the annotation is compared, the map that was made for it is not. */
function withoutStatus(pod: unknown): void {
  const metadata = field(pod, 'metadata');
  if (typeof pod !== 'object' || pod === null) return;
  const { [STATUS]: _status, ...annotations } = { ...record(field(metadata, 'annotations')) };
  Object.assign(pod, { metadata: { ...record(metadata), annotations } });
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Copies of their own for what aliases share. */
function plain(document: Document.Parsed): unknown {
  const value: unknown = document.toJS({ maxAliasCount: -1 });
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

function podOf(root: unknown, path: readonly (string | number)[]): unknown {
  let value = root;
  for (const step of path)
    value = typeof step === 'number' ? (Array.isArray(value) ? value[step] : undefined) : field(value, step);
  return value;
}

function offsetOfSetting({ pod }: PodTemplate, name: string): number | null {
  for (const group of ['annotations', 'labels']) {
    const metadata: unknown = pod.getIn(['metadata', group], true);
    const pair = isMap(metadata) ? offsetOf(pairAt(metadata, name)?.key) : -1;
    if (pair >= 0) return pair;
  }
  return null;
}

function placeOf({ file, lines }: Stream, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
}

function hasErrors({ problems }: Stream): boolean {
  return problems.some((problem) => problem.severity === 'error');
}
