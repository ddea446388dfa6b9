// Writes what programs outside of ours read of our kinds: deploy/crds/*.yaml for `kubectl apply --server-side -f`,
// schema/*.json for editors and kubeconform (`all.json` has every kind), what the chart cannot know by itself, and the
// manifests of an installation. Nothing of it is committed: all is made from src/config/schema and src/cli/install, and
// only what has changed is written.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { releaseSchema } from '../../src/cli/install/release-schema.ts';
import { chartFiles, releaseObjects } from '../../src/cli/install/release-objects.ts';
import { CLI_MANAGER, DEFAULT_NAMESPACE } from '../../src/cli/install/release.ts';
import { defaultValues } from '../../src/cli/install/release-values.ts';
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
const made = [...chartFiles()];
const top = made.filter(([name]) => !name.includes('/'));
const inner = made.filter(([name]) => name.includes('/')).map(([name, text]) => [basename(name), text] as const);
write('deploy/chart/files/definitions', new Map(inner));
write('deploy/chart/files', new Map(top), 'definitions');
writeFile(join(root, 'deploy/chart/values.schema.json'), json(releaseSchema()));
const release = { namespace: DEFAULT_NAMESPACE, instance: 'outrigger', managedBy: CLI_MANAGER };
const objects = releaseObjects({ ...release, values: defaultValues() });
const options = { lineWidth: 0, aliasDuplicateObjects: false };
const manifest = objects.map((object) => `---\n${stringify(object, options)}`).join('');
write('deploy/manifests', new Map([['outrigger.yaml', manifest]]));

function json(value: object): string {
  return `${JSON.stringify(value, null, 1)}\n`;
}

/** `kept` is a folder inside that is written by itself. */
function write(name: string, files: ReadonlyMap<string, string>, kept = ''): void {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  for (const stale of readdirSync(folder))
    if (!files.has(stale) && stale !== kept) rmSync(join(folder, stale), { recursive: true });
  for (const [file, text] of files) writeFile(join(folder, file), text);
}

function writeFile(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}
