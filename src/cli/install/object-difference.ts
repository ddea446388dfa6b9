// What would change in an object, field by field, as lines for people: the object as the server has it against what the
// server says it would become. What the server keeps for itself (versions, times, owners of fields, status) is left out.
import { isJsonRecord, type JsonRecord } from '../../kube/json-record.ts';

const OWN_METADATA = ['name', 'namespace', 'labels', 'annotations'];
const VALUE_CHARACTERS_MAX = 120;

/** Lines such as `spec.replicas: 2 → 3`; none: nothing changes. `before` null: there is no such object. */
export function objectDifference(before: JsonRecord | null, after: JsonRecord): readonly string[] {
  return before === null ? [] : differences(essence(before), essence(after), '');
}

function essence(object: JsonRecord): JsonRecord {
  const meta = isJsonRecord(object['metadata']) ? object['metadata'] : {};
  return { ...object, status: null, metadata: Object.fromEntries(OWN_METADATA.map((name) => [name, meta[name]])) };
}

function differences(before: unknown, after: unknown, path: string): readonly string[] {
  if (isEmpty(before) && isEmpty(after)) return [];
  if (isJsonRecord(before) && isJsonRecord(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
    return names.flatMap((name) => differences(before[name], after[name], joined(path, name)));
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const count = Math.max(before.length, after.length);
    return Array.from({ length: count }, (_, index) => index).flatMap((index) =>
      differences(before[index], after[index], `${path}[${index}]`),
    );
  }
  return before === after ? [] : [`${path}: ${shown(before)} → ${shown(after)}`];
}

function joined(path: string, name: string): string {
  const written = /^[\w-]+$/.test(name) ? name : `"${name}"`;
  return path === '' ? written : `${path}.${written}`;
}

/** An object without fields is as good as none. */
function isEmpty(value: unknown): boolean {
  return (
    value === undefined || value === null || (isJsonRecord(value) && Object.values(value).every((one) => isEmpty(one)))
  );
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text;
}
