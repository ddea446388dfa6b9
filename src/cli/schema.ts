// `outrigger schema`: prints what is written in our kinds as JSON Schema, for editors and checkers, or as
// CustomResourceDefinitions for an API server. Exit codes: 0 printed, 64 when the kind is not known.
import type { Command } from 'commander';

export interface SchemaFlags {
  readonly crds: boolean;
}

export function register(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schema of a kind, or of all; or their CustomResourceDefinitions')
    .argument('[kind]', 'a kind, its plural or a short name of it, such as VirtualService or vs')
    .option('--crds', 'definitions in YAML, for kubectl apply --server-side -f -', false)
    .action(async (kind: string | undefined, flags: SchemaFlags) => {
      const { runSchema } = await import('./schema-run.ts');
      process.exitCode = runSchema(kind ?? '', flags);
    });
}
