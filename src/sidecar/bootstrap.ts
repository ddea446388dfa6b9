// Reads an Envoy v3 bootstrap file (YAML or JSON, as `envoy -c` takes it) into a Bootstrap message.
// Every mistake in the file is found in one pass and reported with its field path and its
// file:line:column; the message is handed out only when nothing refuses it. Nothing here asks
// whether we support a setting: that is unsupported.ts.
//
//   text ─► JSON, else YAML ─► check-json (all mistakes) ─► fromJson ─► Bootstrap
//                 └─ positions, when something is wrong
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { error, refuses, type Place, type Problem } from '../base/problem.ts';
import { BootstrapSchema, type Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { checkJson } from './bootstrap-check.ts';
import { extensions } from './bootstrap-registry.ts';
import { BootstrapText } from './bootstrap-text.ts';
import { readJson } from './plain-json.ts';

export interface BootstrapFile {
  /** Null when the file has errors. */
  readonly bootstrap: Bootstrap | null;
  /** What could be read in spite of errors, to look for more of them; null when nothing could. */
  readonly partial: Bootstrap | null;
  readonly problems: readonly Problem[];
  /** Where the field at this path (`static_resources.listeners[0].name`) stands; the nearest parent when it is not written. */
  readonly locate: (path: string) => Place | null;
}

export function parseBootstrap(text: string, file: string): BootstrapFile {
  let read: BootstrapText | null = null;
  const source = (): BootstrapText => (read ??= new BootstrapText(text, file));
  const locate = (path: string): Place | null => source().placeAt(path);
  let json = readJson(text);
  if (json === undefined) {
    const { mistakes } = source();
    if (mistakes.length > 0) return { bootstrap: null, partial: null, problems: mistakes, locate };
    json = source().toPlain();
  }
  if (json === null || typeof json !== 'object') {
    const problem = error('', 'the file holds no bootstrap', 'write a mapping with static_resources', locate(''));
    return { bootstrap: null, partial: null, problems: [problem], locate };
  }
  const problems: Problem[] = [];
  const checked = checkJson(BootstrapSchema, json, { registry: extensions, problems });
  const partial = decode(checked, problems);
  const bootstrap = refuses(problems) ? null : partial;
  return { bootstrap, partial, problems: problems.map((problem) => withPlace(problem, locate)), locate };
}

/** What has been checked decodes, unless something was refused: then the mistakes are known already. */
function decode(checked: JsonValue, problems: Problem[]): Bootstrap | null {
  try {
    return fromJson(BootstrapSchema, checked, { registry: extensions });
  } catch (cause) {
    if (!refuses(problems)) problems.push(error('', cause instanceof Error ? cause.message : String(cause)));
    return null;
  }
}

/** The Problem with its place in the file, unless it has one. */
export function withPlace(problem: Problem, locate: (path: string) => Place | null): Problem {
  return problem.place === null ? { ...problem, place: locate(problem.path) } : problem;
}
