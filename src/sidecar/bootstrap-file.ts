// Loads a bootstrap file from disk and finds all that can be found wrong with it before anything is
// compiled: mistakes of spelling and, in spite of those, settings that we do not support.
import { readFileSync } from 'node:fs';
import { error, type Problem } from '../base/problem.ts';
import { BootstrapSchema, type Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { parseBootstrap, withPlace, type BootstrapFile } from './bootstrap.ts';
import { extensions } from './bootstrap-registry.ts';
import { findUnsupported, MUST_BE_SET } from './unsupported.ts';

export function loadBootstrap(file: string): BootstrapFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const problem = error('', `cannot read ${file}: ${message}`, 'write the path of a bootstrap file');
    return { bootstrap: null, partial: null, problems: [problem], locate: () => null };
  }
  const loaded = parseBootstrap(text, file);
  const { bootstrap, partial, problems, locate } = loaded;
  if (bootstrap !== null || partial === null) return loaded;
  const more = unsupportedIn(partial).map((problem) => withPlace(problem, locate));
  return { ...loaded, problems: [...problems, ...more] };
}

/** What is missing in a file with mistakes may be a follow-up of those, and is not told. */
function unsupportedIn(partial: Bootstrap): readonly Problem[] {
  const problems: Problem[] = [];
  findUnsupported(BootstrapSchema, partial, { registry: extensions, problems, path: '' });
  return problems.filter(({ message }) => message !== MUST_BE_SET);
}
