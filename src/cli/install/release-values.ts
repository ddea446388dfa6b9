// The values of an installation: defaults, what a file says, what `--set` says, in this order; objects are merged, anything
// else is replaced, as Helm does. Values that the schema does not have are refused with their path.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import { error, type Problem } from '../../base/problem.ts';
import { isJsonObject, toJsonValue } from '../../config/json-value.ts';
import { nearest } from '../../config/spelling.ts';
import { releaseSchema } from './release-schema.ts';

type Texts = Record<string, string>;

export interface ReleaseValues {
  image: { repository: string; tag: string; pullPolicy: string; pullSecrets: string[] };
  sidecar: { mode: string; classic: boolean };
  replicas: number;
  logLevel: string;
  domain: string;
  trustDomain: string;
  mesh: JsonObject;
  extraArguments: string[];
  resources: { requests: JsonObject; limits: JsonObject };
  autoscaling: { enabled: boolean; minReplicas: number; maxReplicas: number; cpuPercent: number };
  podDisruptionBudget: { enabled: boolean; maxUnavailable: number };
  networkPolicy: { enabled: boolean };
  serviceMonitor: { enabled: boolean; interval: string; labels: Texts };
  injector: { enabled: boolean; failurePolicy: string; revision: string };
  validator: { enabled: boolean; failurePolicy: string };
  definitions: { enabled: boolean; keep: boolean };
  cni: {
    enabled: boolean;
    namespace: string;
    binDir: string;
    netDir: string;
    homeDir: string;
    excludeNamespaces: string[];
  };
  podLabels: Texts;
  podAnnotations: Texts;
  nodeSelector: Texts;
  tolerations: JsonObject[];
  affinity: JsonObject;
  priorityClassName: string;
}

/** The same as the chart's values.yaml, which a test compares. */
export function defaultValues(): ReleaseValues {
  return {
    image: { repository: 'outrigger', tag: '0.1.0', pullPolicy: 'IfNotPresent', pullSecrets: [] },
    sidecar: { mode: 'redirect', classic: false },
    replicas: 2,
    logLevel: 'info',
    domain: 'cluster.local',
    trustDomain: 'cluster.local',
    mesh: {},
    extraArguments: [],
    resources: { requests: { cpu: '250m', memory: '256Mi' }, limits: { memory: '1Gi' } },
    autoscaling: { enabled: false, minReplicas: 2, maxReplicas: 5, cpuPercent: 80 },
    podDisruptionBudget: { enabled: true, maxUnavailable: 1 },
    networkPolicy: { enabled: true },
    serviceMonitor: { enabled: false, interval: '15s', labels: {} },
    injector: { enabled: true, failurePolicy: 'Fail', revision: 'default' },
    validator: { enabled: true, failurePolicy: 'Ignore' },
    definitions: { enabled: true, keep: true },
    cni: {
      enabled: false,
      namespace: 'kube-system',
      binDir: '/opt/cni/bin',
      netDir: '/etc/cni/net.d',
      homeDir: '/opt/outrigger',
      excludeNamespaces: ['kube-system'],
    },
    podLabels: {},
    podAnnotations: {},
    nodeSelector: {},
    tolerations: [],
    affinity: {},
    priorityClassName: '',
  };
}

export type ReadValues =
  | { readonly kind: 'read'; readonly values: ReleaseValues }
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] };

/** `texts` are files of values, `sets` are `path.to.value=text`; later ones win. */
export function readValues(texts: readonly string[], sets: readonly string[]): ReadValues {
  const problems: Problem[] = [];
  const defaults = toJsonValue(defaultValues());
  let values: JsonObject = isJsonObject(defaults) ? defaults : {};
  for (const text of texts) {
    const value = parsed(text);
    if (value === null) continue;
    if (isJsonObject(value)) values = merged(values, value);
    else problems.push(error('', 'values are no YAML object', 'write `name: value` on lines of their own'));
  }
  const schema = releaseSchema();
  for (const set of sets) {
    const read = readSet(set, schema);
    if (read === null) problems.push(error('', `--set "${set}" is not path=value`));
    else values = merged(values, read);
  }
  problems.push(...problemsOf(values, schema, ''));
  if (problems.length > 0 || !isReleaseValues(values)) return { kind: 'refused', problems };
  return { kind: 'read', values };
}

function isReleaseValues(values: unknown): values is ReleaseValues {
  return problemsOf(toJsonValue(values), releaseSchema(), '').length === 0;
}

/** Not an object: no YAML, or none of one. */
function parsed(text: string): JsonValue {
  try {
    const value: unknown = parse(text);
    return toJsonValue(value);
  } catch {
    return false;
  }
}

function merged(under: JsonObject, over: JsonObject): JsonObject {
  const result: JsonObject = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const before = under[name];
    // As with Helm, null takes a value away, of what has no default; of what has one, it means the default.
    if (value === null) continue;
    result[name] = isJsonObject(before) && isJsonObject(value) ? merged(before, value) : value;
  }
  return result;
}

/** A dot in a name is written `\.`; what the schema wants as a text stays one. */
function readSet(set: string, schema: JsonObject): JsonObject | null {
  const equals = set.indexOf('=');
  if (equals < 1) return null;
  const path = set
    .slice(0, equals)
    .split(/(?<!\\)\./)
    .map((name) => name.replaceAll('\\.', '.'));
  if (path.some((name) => name === '')) return null;
  let wanted: JsonValue | undefined = schema;
  for (const name of path) wanted = isJsonObject(wanted) ? schemaOf(wanted, name) : undefined;
  const text = set.slice(equals + 1);
  const isText = isJsonObject(wanted) && wanted['type'] === 'string';
  let value: JsonValue = isText ? text : parsed(text);
  for (const name of path.toReversed()) value = { [name]: value };
  return isJsonObject(value) ? value : null;
}

function schemaOf(schema: JsonObject, name: string): JsonValue | undefined {
  const { properties, additionalProperties } = schema;
  return (isJsonObject(properties) ? properties[name] : undefined) ?? additionalProperties;
}

function problemsOf(value: JsonValue, schema: JsonObject, path: string): readonly Problem[] {
  const wrong = faultOf(value, schema);
  if (wrong !== '') return [error(path, wrong)];
  if (Array.isArray(value)) {
    const { items } = schema;
    return isJsonObject(items) ? value.flatMap((item, index) => problemsOf(item, items, `${path}[${index}]`)) : [];
  }
  if (!isJsonObject(value)) return [];
  const known = isJsonObject(schema['properties']) ? schema['properties'] : {};
  return Object.entries(value).flatMap(([name, inner]) => {
    const place = path === '' ? name : `${path}.${name}`;
    const own = schemaOf(schema, name);
    if (isJsonObject(own)) return problemsOf(inner, own, place);
    if (own !== false) return [];
    const guess = nearest(name, Object.keys(known));
    return [error(place, 'there is no such value', guess === null ? '' : `did you mean ${guess}?`)];
  });
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'an object',
  string: 'a string',
  integer: 'an integer',
  boolean: 'true or false',
};

/** Empty: none. */
function faultOf(value: JsonValue, schema: JsonObject): string {
  const { type, minimum, maximum, minLength, pattern } = schema;
  const actual = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
  const isOfType = type === 'integer' ? Number.isInteger(value) : type === undefined || type === actual;
  if (!isOfType) return `takes ${typeof type === 'string' ? (TYPE_NAMES[type] ?? type) : 'something else'}`;
  const choices = schema['enum'];
  if (Array.isArray(choices) && !choices.includes(value))
    return `takes one of ${choices.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(', ')}`;
  if (typeof value === 'number' && typeof minimum === 'number' && value < minimum) return `is less than ${minimum}`;
  if (typeof value === 'number' && typeof maximum === 'number' && value > maximum) return `is more than ${maximum}`;
  if (typeof value === 'string' && typeof minLength === 'number' && value.length < minLength) return 'is empty';
  if (typeof value === 'string' && typeof pattern === 'string' && !new RegExp(pattern).test(value))
    return `does not match ${pattern}`;
  return '';
}
