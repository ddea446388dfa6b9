// Our CustomResourceDefinitions at a real API server: it takes them as they are (structural, CEL within its cost), takes
// every resource of examples/ and of the golden files, and refuses broken ones with the path of the field.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseObject } from '../../src/config/parse.ts';
import { crdOf } from '../../src/config/schema/crd.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import type { KindSchema } from '../../src/config/schema/kind-schema.ts';
import { brokenResources, type BrokenResource } from '../support/broken-resources.ts';
import { isRecord, writtenResources, type WrittenResource } from '../support/written-resources.ts';
import { until } from '../support/until.ts';
import { ApiServer, type Answer } from './api-server.ts';

const APPLY = 'application/apply-patch+yaml';
const ESTABLISHED_MS = 30_000;
const kinds = kindSchemas();
const byKind = new Map(kinds.map((kind) => [kind.kind, kind]));

let kube: ApiServer;
beforeAll(async () => {
  kube = await ApiServer.start();
  await Promise.all(kinds.map(define));
});
afterAll(async () => await kube?.stop());

describe('a definition', () => {
  test.each(kinds)('of $kind is established, and nothing is wrong with it', async (kind) => {
    const { body } = await kube.ask('GET', pathOfDefinition(kind));
    const conditions = listAt(body, 'status', 'conditions').map((one) => [at(one, 'type'), at(one, 'status')]);
    expect(Object.fromEntries(conditions)).toEqual({ NamesAccepted: 'True', Established: 'True' });
  });

  test.each(kinds)('of $kind says something of every field, as kubectl explain reads it', async (kind) => {
    const version = kind.versions[0] ?? '';
    const { body } = await kube.ask('GET', `/openapi/v3/apis/${kind.group}/${version}`);
    const schemas = at(body, 'components', 'schemas');
    const own = Object.entries(isRecord(schemas) ? schemas : {}).find(([name]) => name.endsWith(`.${kind.kind}`))?.[1];
    expect(undescribed(at(own, 'properties', 'spec'), 'spec')).toEqual([]);
    expect(at(own, 'properties', 'spec', 'description')).toBe(kind.spec.description);
  });
});

const written = writtenResources(new Set(byKind.keys())).filter(({ value }) => isTaken(value));

test(`takes all ${written.length} resources of examples/ and of the golden files, and knows all of their fields`, async () => {
  const refused = await mapInTurn(written, async ({ file, kind, value }) => {
    const { status, body } = await dryRun(kind, value);
    return status < 300 ? [] : [`${file}: ${String(at(body, 'message'))}`];
  });
  expect(refused.flat()).toEqual([]);
  expect(written.length).toBeGreaterThan(50);
});

describe('what is broken is refused', () => {
  test.each(brokenResources())('$kind: $title', async ({ kind, value, path }: BrokenResource) => {
    const { status, body } = await dryRun(kind, value);
    const causes = listAt(body, 'details', 'causes').map((cause) => String(at(cause, 'field')));
    expect({ status, message: String(at(body, 'message')) }).toMatchObject({ status: 422 });
    expect(causes.map((field) => field.replaceAll(/\[(\d+)\]/g, '[$1]'))).toContain(path);
  });
});

/** By server-side apply: what client-side apply notes in an annotation would be too long. */
async function define(kind: KindSchema): Promise<void> {
  const path = pathOfDefinition(kind);
  const { status, body } = await kube.ask('PATCH', `${path}?fieldManager=test&fieldValidation=Strict`, {
    body: crdOf(kind),
    type: APPLY,
  });
  if (status >= 300) throw new Error(`${kind.kind}: ${JSON.stringify(at(body, 'message'))}`);
  const isEstablished = async (): Promise<boolean> => {
    const { body: made } = await kube.ask('GET', path);
    const established = listAt(made, 'status', 'conditions').find((one) => at(one, 'type') === 'Established');
    const served = await kube.ask('GET', `/apis/${kind.group}/${kind.versions[0]}/${kind.plural}?limit=1`);
    return at(established, 'status') === 'True' && served.status === 200;
  };
  await until(kind.kind, isEstablished, ESTABLISHED_MS);
}

function pathOfDefinition(kind: KindSchema): string {
  return `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${kind.plural}.${kind.group}`;
}

/** Creates it without creating it. */
async function dryRun(kindName: string, value: WrittenResource['value']): Promise<Answer> {
  const kind = byKind.get(kindName);
  if (kind === undefined) throw new Error(`${kindName} is no kind of ours`);
  const query = 'dryRun=All&fieldValidation=Strict';
  const metadata = at(value, 'metadata');
  const version = kind.versions[0] ?? '';
  return await kube.ask('POST', `/apis/${kind.group}/${version}/namespaces/default/${kind.plural}?${query}`, {
    body: {
      ...value,
      apiVersion: `${kind.group}/${version}`,
      metadata: { ...(isRecord(metadata) ? metadata : {}), namespace: 'default', resourceVersion: undefined },
    },
  });
}

/** Whether our readers take it without an error, and know its fields. */
function isTaken(value: WrittenResource['value']): boolean {
  return parseObject('test', value).problems.every(
    ({ severity, message }) => severity === 'warning' && !message.startsWith('unknown field'),
  );
}

function undescribed(schema: unknown, path: string): readonly string[] {
  const own = typeof at(schema, 'description') === 'string' ? [] : [path];
  const properties = at(schema, 'properties');
  const inner = Object.entries(isRecord(properties) ? properties : {}).flatMap(([name, value]) =>
    undescribed(value, `${path}.${name}`),
  );
  const items = at(schema, 'items');
  return [...own, ...inner, ...(items === undefined ? [] : undescribed(items, `${path}[]`))];
}

async function mapInTurn<From, To>(from: readonly From[], change: (value: From) => Promise<To>): Promise<To[]> {
  const results: To[] = [];
  for (const value of from) results.push(await change(value));
  return results;
}

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (isRecord(inner) ? inner[name] : undefined), value);
}

function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}
