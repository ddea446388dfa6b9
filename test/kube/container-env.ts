// What a kubelet makes of the environment and the arguments of a container: fields of the pod, and `$(NAME)` of what was
// defined before. `$$` is one dollar; a name that nobody defined stays as it is written.
import { listOf, recordOf, textOf, type JsonRecord } from '../../src/kube/json-record.ts';

/** `pod` with its status, as the API server has it. Throws on a source that this node does not know. */
export function containerEnv(container: JsonRecord, pod: JsonRecord): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  for (const entry of listOf(container['env']).map(recordOf)) {
    const name = textOf(entry['name']);
    const source = recordOf(entry['valueFrom']);
    if (entry['valueFrom'] === undefined) env.set(name, expanded(textOf(entry['value']), env));
    else env.set(name, podField(pod, textOf(recordOf(source['fieldRef'])['fieldPath'])));
  }
  return env;
}

export function expanded(text: string, env: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\$|\$\(([^)]+)\)/g, (written, name: string | undefined) =>
    name === undefined ? '$' : (env.get(name) ?? written),
  );
}

/** Of `fieldRef`, also in volumes; lists are joined by commas. */
export function podField(pod: JsonRecord, path: string): string {
  const [, field = '', key = ''] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  const metadata = recordOf(pod['metadata']);
  if (field !== '') return textOf(recordOf(metadata[field])[key]);
  const [root = '', name = ''] = path.split('.');
  const value = recordOf(pod[root])[name];
  if (typeof value === 'string') return value;
  if (name === 'podIPs' || name === 'hostIPs')
    return listOf(value)
      .map((entry) => textOf(recordOf(entry)['ip']))
      .join(',');
  throw new Error(`this node does not know the field ${path}`);
}
