// The pods in a YAML stream: workloads of Kubernetes by kind and group, also inside Lists, and in each the map
// that has the pod's metadata and spec. Other kinds are nobody's concern here.
import { isMap, isScalar, isSeq } from 'yaml';
import type { Document, Pair, YAMLMap } from 'yaml';

export interface PodTemplate {
  readonly document: Document.Parsed;
  /** Where the pod is below the document, for example `['items', 0, 'spec', 'template']`. */
  readonly path: readonly (string | number)[];
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly pod: YAMLMap;
}

const TEMPLATE = ['spec', 'template'];
const WORKLOADS: ReadonlyMap<string, readonly string[]> = new Map([
  ['/Pod', []],
  ['/ReplicationController', TEMPLATE],
  ...['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'].flatMap((kind) =>
    ['apps', 'extensions'].map((group) => [`${group}/${kind}`, TEMPLATE] as const),
  ),
  ['batch/Job', TEMPLATE],
  ['batch/CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
]);

export function podTemplates(document: Document.Parsed): readonly PodTemplate[] {
  const found: PodTemplate[] = [];
  visit(document.contents, [], { kind: '', apiVersion: '' }, (template) => found.push({ ...template, document }));
  return found;
}

interface Kind {
  readonly kind: string;
  readonly apiVersion: string;
}

function visit(
  node: unknown,
  path: readonly (string | number)[],
  outer: Kind,
  found: (template: Omit<PodTemplate, 'document'>) => void,
): void {
  if (!isMap(node)) return;
  const kind = textAt(node, 'kind') || outer.kind;
  const apiVersion = textAt(node, 'apiVersion') || outer.apiVersion;
  const items = valueAt(node, 'items');
  if (kind.endsWith('List') && isSeq(items)) {
    const inner = { kind: kind.slice(0, -'List'.length), apiVersion };
    for (const [index, item] of items.items.entries()) visit(item, [...path, 'items', index], inner, found);
    return;
  }
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const way = WORKLOADS.get(`${group}/${kind}`);
  if (way === undefined) return;
  let pod: unknown = node;
  for (const name of way) pod = isMap(pod) ? valueAt(pod, name) : undefined;
  const metadata = valueAt(node, 'metadata');
  if (!isMap(pod) || !isMap(valueAt(pod, 'spec'))) return;
  const [name, namespace] = isMap(metadata) ? [nameOf(metadata), textAt(metadata, 'namespace')] : ['', ''];
  found({ path: [...path, ...way], kind, name, namespace, pod });
}

/** `generateName` ends with a dash that a name does not. */
function nameOf(metadata: YAMLMap): string {
  return textAt(metadata, 'name') || textAt(metadata, 'generateName').replace(/-$/, '');
}

/** The pair of a key in a map as it is written; null when there is none. */
export function pairAt(map: YAMLMap, name: string): Pair | null {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === name) ?? null;
}

export function valueAt(map: YAMLMap, name: string): unknown {
  return pairAt(map, name)?.value;
}

export function textAt(map: YAMLMap, name: string): string {
  const value = valueAt(map, name);
  return isScalar(value) && typeof value.value === 'string' ? value.value : '';
}
