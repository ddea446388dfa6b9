// Our JSON Schemas as kubeconform reads them, a program that is not ours: it takes what the readers take, refuses what is
// broken but for what only a rule in CEL finds, and understands every schema.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseObject } from '../../src/config/parse.ts';
import { editorBundle, editorSchema } from '../../src/config/schema/editor-schema.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';
import { brokenResources } from '../support/broken-resources.ts';
import { fullResources } from '../support/full-resources.ts';
import { realPart } from '../support/real-parts.ts';
import { isRecord, writtenResources } from '../support/written-resources.ts';

const kinds = kindSchemas();
const folder = mkdtempSync(join(tmpdir(), 'outrigger-kubeconform-'));

beforeAll(() => {
  for (const kind of kinds) write(`schema/${kind.kind.toLowerCase()}.json`, editorSchema(kind));
  for (const kind of kinds) write(`bundle/${kind.kind.toLowerCase()}.json`, editorBundle(kinds));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, value: object): void {
  mkdirSync(join(folder, name, '..'), { recursive: true });
  writeFileSync(join(folder, name), JSON.stringify(value));
}

/** What kubeconform says of each, in their order: statusValid, statusInvalid, or why it could not tell. */
function verdictsOn(name: string, values: readonly object[], schemas: 'schema' | 'bundle'): readonly string[] {
  for (const [index, value] of values.entries()) write(`${name}/${index}.json`, value);
  const location = join(folder, schemas, '{{.ResourceKind}}.json');
  const flags = ['-strict', '-verbose', '-output', 'json', '-schema-location', location];
  const { stdout } = spawnSync(realPart('kubeconform'), [...flags, join(folder, name)], { encoding: 'utf8' });
  const report: unknown = JSON.parse(stdout);
  const found: readonly unknown[] = isRecord(report) && Array.isArray(report['resources']) ? report['resources'] : [];
  return values.map((_, index) => {
    const one = found.find((each) => isRecord(each) && String(each['filename']).endsWith(`/${index}.json`));
    if (!isRecord(one)) return 'not judged';
    const { status, msg } = one;
    return status === 'statusError' || status === 'statusSkipped' ? `${status}: ${String(msg)}` : String(status);
  });
}

const apiVersions = new Map(kinds.map(({ kind, group, versions }) => [kind, `${group}/${versions[0]}`]));
const taken = [
  ...writtenResources(new Set(apiVersions.keys())),
  ...fullResources(apiVersions).filter(({ kind }) => apiVersions.has(kind)),
].filter(({ value }) =>
  parseObject('test', value).problems.every(
    ({ severity, message }) => severity === 'warning' && !message.startsWith('unknown field'),
  ),
);

test.each(['schema', 'bundle'] as const)('takes what the readers take, by each %s', (schemas) => {
  const verdicts = verdictsOn(
    `taken-${schemas}`,
    taken.map(({ value }) => value),
    schemas,
  );
  expect(
    taken.map(({ file }, index) => `${file}: ${verdicts[index]}`).filter((line) => !line.endsWith('statusValid')),
  ).toEqual([]);
});

test.each(['schema', 'bundle'] as const)('refuses what is broken, by each %s', (schemas) => {
  const broken = brokenResources();
  const verdicts = verdictsOn(
    `broken-${schemas}`,
    broken.map(({ value }) => value),
    schemas,
  );
  const wanted = broken.map(({ isByRule }) => (isByRule ? 'statusValid' : 'statusInvalid'));
  expect(broken.map(({ kind, title }, index) => `${kind}, ${title}: ${verdicts[index]}`)).toEqual(
    broken.map(({ kind, title }, index) => `${kind}, ${title}: ${wanted[index]}`),
  );
});
