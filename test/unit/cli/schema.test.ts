// `outrigger schema` as people run it: what it prints and how it exits.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { crdOf } from '../../../src/config/schema/crd.ts';
import { editorBundle, editorSchema, meshConfigSchema } from '../../../src/config/schema/editor-schema.ts';
import { kindSchemas } from '../../../src/config/schema/kind-schemas.ts';

const launcher = join(import.meta.dirname, '..', '..', '..', 'bin', 'outrigger.js');
const kinds = kindSchemas();
const authorization = kinds.filter(({ kind }) => kind === 'AuthorizationPolicy');

function run(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, 'schema', ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('prints JSON Schema', () => {
  test.each(['AuthorizationPolicy', 'authorizationpolicies', 'ap'])('of the kind that is called %s', (name) => {
    const { status, stdout } = run(name);
    expect({ status, schema: JSON.parse(stdout) }).toEqual({ status: 0, schema: authorization.map(editorSchema)[0] });
  });

  test('of MeshConfig, which has no definition', () => {
    expect(JSON.parse(run('MeshConfig').stdout)).toEqual(meshConfigSchema());
    expect(run('MeshConfig', '--crds').status).toBe(64);
  });

  test('of all kinds', () => {
    expect(JSON.parse(run().stdout)).toEqual(editorBundle(kinds));
  });
});

test.each([
  ['of one kind', ['ap', '--crds'], authorization],
  ['of all kinds', ['--crds'], kinds],
])('prints definitions %s', (_, args, chosen) => {
  const { status, stdout } = run(...args);
  const documents = parseAllDocuments(stdout).map((document): unknown => document.toJS());
  expect({ status, documents }).toEqual({ status: 0, documents: chosen.map(crdOf) });
});

test('says what was meant when the kind is not known', () => {
  expect(run('VirtualServise')).toEqual({
    status: 64,
    stdout: '',
    stderr: 'outrigger: the kind VirtualServise is not known; did you mean VirtualService?\n',
  });
});

test('every name is that of one kind', () => {
  const names = kinds.flatMap(({ kind, plural, shortNames }) => [kind.toLowerCase(), plural, ...shortNames]);
  expect(names.filter((name, index) => names.indexOf(name) !== index && name !== 'telemetry')).toEqual([]);
});
