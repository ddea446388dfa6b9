// Writes what programs outside of ours read of our kinds: deploy/crds/*.yaml for `kubectl apply --server-side -f` and the
// chart, schema/*.json for editors and kubeconform (`all.json` has every kind). Neither is committed: both are made
// from src/config/schema, and only what has changed is written.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { crdOf } from '../../src/config/schema/crd.ts';
import { editorBundle, editorSchema, meshConfigSchema } from '../../src/config/schema/editor-schema.ts';
import { kindSchemas } from '../../src/config/schema/kind-schemas.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const kinds = kindSchemas();
const definitions = kinds.map((kind) => {
  const text = stringify(crdOf(kind), { lineWidth: 0, aliasDuplicateObjects: false });
  return [`${kind.group}_${kind.plural}.yaml`, text] as const;
});
const schemas = kinds.map((kind) => [`${kind.kind.toLowerCase()}.json`, json(editorSchema(kind))] as const);
write('deploy/crds', new Map(definitions));
write(
  'schema',
  new Map([...schemas, ['meshconfig.json', json(meshConfigSchema())], ['all.json', json(editorBundle(kinds))]]),
);

function json(value: object): string {
  return `${JSON.stringify(value, null, 1)}\n`;
}

function write(name: string, files: ReadonlyMap<string, string>): void {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  for (const stale of readdirSync(folder)) if (!files.has(stale)) rmSync(join(folder, stale), { recursive: true });
  for (const [file, text] of files) {
    const path = join(folder, file);
    if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
  }
}
