// Reads what a core.v3.DataSource points to, now: a file, a variable of the environment, or what stands in the
// configuration itself. Relative paths are taken from the working directory, as Envoy does.
import { readFileSync } from 'node:fs';
import { assertNever } from '../base/assert.ts';
import { error, type Problem } from '../base/problem.ts';
import type { DataSource } from '../xds/gen/envoy/config/core/v3/base_pb.js';

/** The bytes; null after reporting why there are none. The bytes themselves never appear in a Problem. */
export function readDataSource(source: DataSource | undefined, problems: Problem[], path: string): Buffer | null {
  const specifier = source?.specifier;
  switch (specifier?.case) {
    case 'inlineString':
      return Buffer.from(specifier.value, 'utf8');
    case 'inlineBytes':
      return Buffer.from(specifier.value);
    case 'filename':
      try {
        return readFileSync(specifier.value);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        problems.push(error(`${path}.filename`, `cannot be read: ${reason}`, 'write the path of a file'));
        return null;
      }
    case 'environmentVariable': {
      const value = process.env[specifier.value];
      if (value !== undefined) return Buffer.from(value, 'utf8');
      problems.push(
        error(`${path}.environment_variable`, `${specifier.value} is not set`, 'set it, or write filename'),
      );
      return null;
    }
    case undefined:
      problems.push(
        error(path, 'has no source', 'write filename, inline_string, inline_bytes or environment_variable'),
      );
      return null;
    default:
      return assertNever(specifier);
  }
}

/** The files behind some sources, for watching. */
export function filesOf(sources: readonly (DataSource | undefined)[]): readonly string[] {
  return sources.flatMap((source) => (source?.specifier.case === 'filename' ? [source.specifier.value] : []));
}
