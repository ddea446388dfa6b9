// The readers of src/config and the schemas that editors and API servers use must agree about what is well-formed. Every
// resource of examples/ and of the golden files is taken by both; then each of its fields in turn is replaced by values of
// every type, or taken away, and whatever one of the two refuses as malformed the other refuses, too.
import { describe, expect, test } from 'vitest';
import { parseObject } from '../../../../src/config/parse.ts';
import { editorSchema, meshConfigSchema } from '../../../../src/config/schema/editor-schema.ts';
import type { FieldSchema } from '../../../../src/config/schema/field-schema.ts';
import { kindSchemas } from '../../../../src/config/schema/kind-schemas.ts';
import { meshConfigSpec } from '../../../../src/config/schema/mesh-config-schema.ts';
import { brokenResources } from '../../../support/broken-resources.ts';
import { fullResources } from '../../../support/full-resources.ts';
import { faultsOf } from '../../../support/schema-check.ts';
import { isRecord, writtenResources, type WrittenResource } from '../../../support/written-resources.ts';

const kinds = kindSchemas();
const schemas = new Map([
  ...kinds.map((kind) => [kind.kind, editorSchema(kind)] as const),
  ['MeshConfig', meshConfigSchema()] as const,
]);
const specs = new Map([
  ...kinds.map(({ kind, spec }) => [kind, spec] as const),
  ['MeshConfig', meshConfigSpec()] as const,
]);
const full = fullResources(new Map(kinds.map(({ kind, group, versions }) => [kind, `${group}/${versions[0]}`])));
const written = [...writtenResources(new Set(schemas.keys())), ...full];

/** In place of any field. */
const REPLACEMENTS: readonly unknown[] = [
  '?!',
  '',
  7,
  -1,
  1.5,
  1e12,
  true,
  {},
  [],
  { unheardOf: 1 },
  [7],
  [[]],
  undefined,
];
/** Problems of readers that are about the form of what is written, and not about its meaning. */
const ABOUT_FORM =
  /^must be |is out of range|is not one of (?!the classes)|is missing$|must be a list|unknown field|is not a duration|only one of|needs a status|does nothing$/;

/** What depends on another field: rules in CEL see to it, which are not in the schema of editors. */
const BY_RULE = new Set([
  'EnvoyFilter: spec.configPatches.[].patch.value',
  'RateLimitPolicy: spec.targetRefs.[].sectionName',
  'RateLimitPolicy: spec.targetRefs.[].kind',
  // Istio has far more of these than is read: `check` warns of what is not known, an editor does not.
  'MeshConfig: spec',
  'MeshConfig: spec.defaultConfig',
]);

/** Read by the very readers that read the same elsewhere. */
const SAME = /^spec\.(subsets\.\[\]\.trafficPolicy|trafficPolicy\.portLevelSettings\.\[\])\.(?!port)/;

interface Verdict {
  readonly isRefused: boolean;
  readonly isMalformed: boolean;
  readonly text: string;
  /** Fields that are said to have no effect: nobody reads what is in them. */
  readonly unread: readonly string[];
}

function readersOn(value: WrittenResource['value']): Verdict {
  const { problems } = parseObject('test', value);
  const told = problems.filter(({ severity, message }) => severity === 'error' || message.startsWith('unknown field'));
  return {
    isRefused: told.length > 0,
    isMalformed: told.some(({ message }) => ABOUT_FORM.test(message)),
    text: told.map(({ path, message }) => `${path}: ${message}`).join('; '),
    unread: problems.filter(({ message }) => message.includes('not supported yet')).map(({ path }) => `.${path}`),
  };
}

function schemaOn({ kind, value }: Pick<WrittenResource, 'kind' | 'value'>): readonly string[] {
  return faultsOf(value, schemas.get(kind));
}

test('the readers take the resources that have every field', () => {
  expect(
    full.map(({ file, value }) => `${file}: ${readersOn(value).text}`).filter((line) => !line.endsWith(': ')),
  ).toEqual([]);
});

test('there is a resource with every field of every kind', () => {
  const seen = new Set(written.flatMap(({ kind, value }) => fieldsOf(value['spec'] ?? value, specs.get(kind), kind)));
  const all = [...specs].flatMap(([kind, spec]) => allFields(spec, kind));
  expect(all.filter((path) => !seen.has(path) && !UNREADABLE.test(path))).toEqual([]);
});

test('whatever the readers take, the schema takes', () => {
  const refused = written
    .filter(({ value }) => !readersOn(value).isRefused)
    .flatMap((one) => schemaOn(one).map((path) => `${one.file}${path}`));
  expect(refused).toEqual([]);
});

describe('both refuse', () => {
  test.each(brokenResources())('$kind: $title', ({ kind, value, isByRule }) => {
    expect(readersOn(value).isRefused).toBe(true);
    expect(schemaOn({ kind, value }).length === 0).toBe(isByRule);
  });
});

test.each(kinds)('files may have the versions that are served of $kind, and no others', ({ kind, group, versions }) => {
  const [one] = full.filter((each) => each.kind === kind);
  const every = ['v1', 'v1beta1', 'v1alpha1', 'v1alpha2', 'v1alpha3', 'v2'];
  const taken = every.filter((version) => !readersOn({ ...one?.value, apiVersion: `${group}/${version}` }).isRefused);
  expect(taken).toEqual(every.filter((version) => versions.includes(version)));
});

describe('about every field that is written somewhere', () => {
  test.each([...specs.keys()])('of %s, replaced or taken away', (kind) => {
    const seen = new Set<string>();
    const disagreements: string[] = [];
    for (const { value } of written.filter(
      (one) => one.kind === kind && isRecord(one.value['spec']) && !readersOn(one.value).isRefused,
    )) {
      for (const place of placesIn(value['spec'], ['spec'])) {
        const path = place.map((step) => (typeof step === 'number' ? '[]' : step)).join('.');
        if (seen.has(path) || SAME.test(path)) continue;
        seen.add(path);
        for (const replacement of REPLACEMENTS) {
          const changed = replaced(value, place, replacement);
          const readers = readersOn(changed);
          const faults = schemaOn({ kind, value: changed });
          const what = `${path} = ${JSON.stringify(replacement)}`;
          const isRead = faults.some((fault) => !readers.unread.some((unread) => fault.startsWith(unread)));
          if (isRead && !readers.isRefused)
            disagreements.push(`${what}: only the schema refuses it: ${faults.join(' ')}`);
          if (faults.length === 0 && readers.isMalformed && !BY_RULE.has(`${kind}: ${path}`))
            disagreements.push(`${what}: only the readers refuse it: ${readers.text}`);
        }
      }
    }
    expect(disagreements).toEqual([]);
    expect(seen.size).toBeGreaterThan(0);
  });
});

/** What the readers refuse, whatever is in it. */
const UNREADABLE =
  /^VirtualService\.http\[\]\.delegate|^EnvoyFilter\.(targetRefs|configPatches\[\]\.(patch\.filterClass|match\.(proxy|routeConfiguration|cluster|listener\.(portName|name|listenerFilter)|listener\.filterChain\.(name|sni|transportProtocol|applicationProtocols|destinationPort))))/;

function allFields(schema: FieldSchema, path: string): readonly string[] {
  const { properties = {}, items, additionalProperties } = schema;
  return [
    path,
    ...Object.entries(properties).flatMap(([name, inner]) => allFields(inner, `${path}.${name}`)),
    ...(items === undefined ? [] : allFields(items, `${path}[]`)),
    ...(additionalProperties === undefined ? [] : allFields(additionalProperties, `${path}{}`)),
  ];
}

/** The fields of the schema that the value has. */
function fieldsOf(value: unknown, schema: FieldSchema | undefined, path: string): readonly string[] {
  if (schema === undefined) return [];
  const { properties = {}, items, additionalProperties } = schema;
  if (Array.isArray(value)) return [path, ...value.flatMap((item: unknown) => fieldsOf(item, items, `${path}[]`))];
  if (!isRecord(value)) return [path];
  const inner = Object.entries(value).flatMap(([name, item]) =>
    Object.hasOwn(properties, name)
      ? fieldsOf(item, properties[name], `${path}.${name}`)
      : fieldsOf(item, additionalProperties, `${path}{}`),
  );
  return [path, ...inner];
}

type Place = readonly (string | number)[];

function placesIn(value: unknown, place: Place): readonly Place[] {
  const inner = Array.isArray(value)
    ? value.flatMap((item: unknown, index) => placesIn(item, [...place, index]))
    : isRecord(value)
      ? Object.entries(value).flatMap(([name, item]) => placesIn(item, [...place, name]))
      : [];
  return [place, ...inner];
}

function replaced<T>(value: T, place: Place, replacement: unknown): T {
  const copy: T = structuredClone(value);
  const last = place.at(-1) ?? '';
  let parent: unknown = copy;
  for (const step of place.slice(0, -1))
    parent = typeof parent === 'object' && parent !== null ? Reflect.get(parent, step) : null;
  if (typeof parent !== 'object' || parent === null) throw new Error(`${place.join('.')} is not there`);
  if (replacement !== undefined) Reflect.set(parent, last, replacement);
  else if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else Reflect.deleteProperty(parent, last);
  return copy;
}
