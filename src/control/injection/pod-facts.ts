// What injection needs to know of a pod, read from its metadata and spec as plain values: its names, its ports, and
// whether somebody has been there before.

export interface PodFacts {
  /** Labels and annotations of the pod; an annotation does not replace a label. */
  readonly values: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly isOnHostNetwork: boolean;
  /** The names of all containers. */
  readonly containers: ReadonlySet<string>;
  readonly volumes: ReadonlySet<string>;
  readonly ports: readonly { readonly port: number; readonly protocol: string }[];
}

const PROTOCOLS = ['http', 'http2', 'grpc', 'tcp'];

export function podFacts(pod: unknown): PodFacts {
  const metadata = field(pod, 'metadata');
  const spec = field(pod, 'spec');
  const labels = textsOf(field(metadata, 'labels'));
  const apps = listOf(field(spec, 'containers'));
  const all = [...apps, ...listOf(field(spec, 'initContainers'))];
  return {
    values: new Map([...textsOf(field(metadata, 'annotations')), ...labels]),
    labels,
    isOnHostNetwork: field(spec, 'hostNetwork') === true,
    containers: new Set(all.map((container) => String(field(container, 'name')))),
    volumes: new Set(listOf(field(spec, 'volumes')).map((volume) => String(field(volume, 'name')))),
    ports: apps.flatMap((container) => listOf(field(container, 'ports')).flatMap(portOf)),
  };
}

/** A port without a name that says what it speaks is TCP: that breaks nothing. A Service may say more. */
function portOf(entry: unknown): readonly { readonly port: number; readonly protocol: string }[] {
  const port = field(entry, 'containerPort');
  const transport = field(entry, 'protocol') ?? 'TCP';
  if (typeof port !== 'number' || transport !== 'TCP') return [];
  const name = field(entry, 'name');
  const word = typeof name === 'string' ? (name.toLowerCase().split('-')[0] ?? '') : '';
  return [{ port, protocol: PROTOCOLS.find((known) => known === word) ?? 'tcp' }];
}

export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textsOf(value: unknown): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  if (typeof value !== 'object' || value === null) return texts;
  for (const [name, text] of Object.entries(value)) if (typeof text === 'string') texts.set(name, text);
  return texts;
}
