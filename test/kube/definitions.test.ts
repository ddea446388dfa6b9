// Our CustomResourceDefinitions at a real API server: it takes them as they are (structural, CEL within its cost), takes
// every resource of examples/ and of the golden files, and refuses broken ones with the path of the field.
import type { JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isJsonObject, toJsonValue } from '../../src/config/json-value.ts';
import { parseObject } from '../../src/config/parse.ts';
import { crdOf } from '../../src/config/schema/crd.ts';
import { planDefinition } from '../../src/config/schema/definition-owner.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import type { KindSchema } from '../../src/config/schema/kind-schema.ts';
import { brokenResources, type BrokenResource } from '../support/broken-resources.ts';
import { fullResources } from '../support/full-resources.ts';
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
    // It is published a moment after the kind is served.
    const own = await until('the published schema', async () => {
      const { body } = await kube.ask('GET', `/openapi/v3/apis/${kind.group}/${version}`);
      const schemas = at(body, 'components', 'schemas');
      return Object.entries(isRecord(schemas) ? schemas : {}).find(([name]) => name.endsWith(`.${kind.kind}`))?.[1];
    });
    expect(undescribed(at(own, 'properties', 'spec'), 'spec')).toEqual([]);
    expect(at(own, 'properties', 'spec', 'description')).toBe(kind.spec.description);
  });
});

const apiVersions = new Map(kinds.map(({ kind, group, versions }) => [kind, `${group}/${versions[0]}`]));
const written = [
  ...writtenResources(new Set(byKind.keys())),
  ...fullResources(apiVersions).filter(({ kind }) => apiVersions.has(kind)),
].filter(({ value }) => isTaken(value));

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
    // A `not` in a schema gives its path in the message alone.
    const named = /^.*? is invalid: <nil>: Invalid value: "": "([^"]+)" must not validate/.exec(
      String(at(body, 'message')),
    );
    expect([...causes, named?.[1]]).toContain(path);
  });
});

function rule(name: string, subsets: readonly string[]) {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name },
    spec: { host: name, subsets: subsets.map((subset) => ({ name: subset, labels: { version: subset } })) },
  };
}

describe('an object', () => {
  const path = '/apis/networking.istio.io/v1/namespaces/default';
  test('shows whether it is accepted in a table, once its status says so', async () => {
    const at0 = `${path}/destinationrules/shown`;
    const made = await kube.ask('PATCH', `${at0}?fieldManager=user`, { body: rule('shown', ['v1']), type: APPLY });
    const condition = {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: '2 of 2 sidecars have it',
      lastTransitionTime: '2026-01-31T12:00:00Z',
      observedGeneration: 1,
    };
    const { spec: _, ...rest } = rule('shown', []);
    const body = { ...rest, status: { observedGeneration: 1, conditions: [condition] } };
    const told = await kube.ask('PATCH', `${at0}/status?fieldManager=outrigger-control&fieldValidation=Strict`, {
      body,
      type: APPLY,
    });
    expect([made.status, told.status]).toEqual([201, 200]);
    expect(at(told.body, 'metadata', 'generation')).toBe(1);
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const { body: table } = await kube.ask('GET', at0, { accept });
    const names = listAt(table, 'columnDefinitions').map((column) => at(column, 'name'));
    const cells = listAt(listAt(table, 'rows')[0], 'cells');
    expect(names).toEqual(['Name', 'Host', 'Accepted', 'Age']);
    expect(cells.slice(0, 3)).toEqual(['shown', 'shown', 'True']);
  });

  test('takes subsets of two managers, each its own', async () => {
    const at0 = `${path}/destinationrules/shared`;
    for (const [manager, subset] of [
      ['one', 'v1'],
      ['other', 'v2'],
      ['one', 'v3'],
    ]) {
      const body = rule('shared', [subset ?? '']);
      expect((await kube.ask('PATCH', `${at0}?fieldManager=${manager}`, { body, type: APPLY })).status).toBeLessThan(
        300,
      );
    }
    const { body } = await kube.ask('GET', at0);
    expect(
      listAt(body, 'spec', 'subsets')
        .map((subset) => String(at(subset, 'name')))
        .toSorted((one, other) => one.localeCompare(other)),
    ).toEqual(['v2', 'v3']);
  });

  test('is the same in every version', async () => {
    const body = rule('versions', ['v1']);
    await kube.ask('PATCH', `${path}/destinationrules/versions?fieldManager=user`, { body, type: APPLY });
    const specs = await mapInTurn(['v1', 'v1beta1', 'v1alpha3'], async (version) => {
      const own = `/apis/networking.istio.io/${version}/namespaces/default/destinationrules/versions`;
      return at((await kube.ask('GET', own)).body, 'spec');
    });
    expect(specs).toEqual([body.spec, body.spec, body.spec]);
  });
});

/** Fields of policies without a value: dropped, they would let in more than was meant. */
const EMPTY: readonly (readonly [kind: string, spec: object])[] = [
  ['AuthorizationPolicy', { rules: [{ from: null, to: [{ operation: { methods: ['GET'] } }] }] }],
  ['AuthorizationPolicy', { rules: [{ to: [{ operation: null }] }] }],
  ['AuthorizationPolicy', { rules: [{}], action: null }],
  ['AuthorizationPolicy', { rules: [{}], selector: null }],
  ['AuthorizationPolicy', { rules: [{}], selector: { matchLabels: null } }],
  ['RequestAuthentication', { jwtRules: null }],
  ['RequestAuthentication', { jwtRules: [{ issuer: 'a', audiences: null }] }],
];

describe('an empty field of a policy', () => {
  test.each(EMPTY)('of kind %s is refused: %o', async (kind, spec) => {
    const { status, body } = await dryRun(kind, { kind, metadata: { name: 'empty' }, spec });
    expect({ status, message: String(at(body, 'message')) }).toEqual({
      status: 422,
      message: expect.stringMatching(/a field has no value|Unsupported value: null/),
    });
  });

  test('is kept where there may be too many to count, so that the readers refuse it', async () => {
    const spec = { rules: [{ from: [{ source: { principals: ['a'], namespaces: null } }] }] };
    const { body } = await dryRun('AuthorizationPolicy', { metadata: { name: 'empty' }, spec });
    expect(at(body, 'spec')).toEqual(spec);
    expect(isRecord(body) && parseObject('test', body).problems).toMatchObject([
      { severity: 'error', path: 'spec.rules[0].from[0].source.namespaces' },
    ]);
  });
});

describe('an installation', () => {
  const kind = byKind.get('Extension');
  const present = async (): Promise<JsonObject | null> => {
    const { status, body } = await kube.ask('GET', kind === undefined ? '' : pathOfDefinition(kind));
    const json = toJsonValue(body);
    return status === 200 && isJsonObject(json) ? json : null;
  };

  test('brings ours up to date, makes what is not there, and leaves alone what somebody else made', async () => {
    if (kind === undefined) throw new Error('there is no Extension');
    const wanted = crdOf(kind);
    const before = planDefinition(wanted, await present());
    await kube.ask('DELETE', pathOfDefinition(kind));
    const absent = await until('the definition has gone', async () => {
      const found = await present();
      return found === null ? planDefinition(wanted, found) : null;
    });
    const { priority: _, ...others } = kind.spec.properties ?? {};
    const foreign = crdOf({ ...kind, spec: { ...kind.spec, properties: others } });
    const metadata = { name: `${kind.plural}.${kind.group}`, labels: { app: 'istio-pilot' } };
    await kube.call('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', { ...foreign, metadata });
    expect([before, absent, planDefinition(wanted, await present())]).toEqual([
      { kind: 'update' },
      { kind: 'create' },
      { kind: 'leave', owner: 'istio-pilot', missingFields: ['spec.priority'], missingVersions: [], hasStatus: true },
    ]);
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
      kind: kindName,
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
