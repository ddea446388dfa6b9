// What `outrigger schema` does: finds the kind by any of its names and prints it.
import { stringify } from 'yaml';
import { nearest } from '../config/spelling.ts';
import { crdOf } from '../config/schema/crd.ts';
import { editorBundle, editorSchema, meshConfigSchema } from '../config/schema/editor-schema.ts';
import { kindSchemas } from '../config/schema/kind-schemas.ts';
import type { SchemaFlags } from './schema.ts';

const EXIT_USAGE = 64;

/** `name` is empty for all kinds; the result is the exit code. */
export function runSchema(name: string, { crds }: SchemaFlags): number {
  const kinds = kindSchemas();
  const chosen = kinds.filter(({ kind, plural, shortNames }) =>
    [kind, plural, ...shortNames].some((known) => name === '' || known.toLowerCase() === name.toLowerCase()),
  );
  if (name.toLowerCase() === 'meshconfig' && !crds) {
    print(meshConfigSchema());
    return 0;
  }
  const [first] = chosen;
  if (first === undefined) {
    const names = [...kinds.map(({ kind }) => kind), ...(crds ? [] : ['MeshConfig'])];
    const guess = nearest(name, names);
    const remedy = guess === null ? `write one of ${names.join(', ')}` : `did you mean ${guess}?`;
    process.stderr.write(`outrigger: the kind ${name} is not known; ${remedy}\n`);
    return EXIT_USAGE;
  }
  const options = { lineWidth: 0, aliasDuplicateObjects: false };
  if (crds) process.stdout.write(chosen.map((kind) => `---\n${stringify(crdOf(kind), options)}`).join(''));
  else print(name === '' ? editorBundle(kinds) : editorSchema(first));
  return 0;
}

function print(schema: object): void {
  process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
}
