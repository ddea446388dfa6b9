// EnvoyFilters of a file, judged by what stands in their values, before they replace their last good versions: the reader
// of `config` does not know the messages of filters. One with a value that is wrong counts as refused, as if the reader
// had refused it, so that what was in force stays.
import type { Problem } from '../base/problem.ts';
import type { ParsedFile } from '../config/parse.ts';
import { resourceKey, type Resource } from '../config/resource.ts';
import { standInFor } from '../config/stand-in.ts';
import { compilePatches } from './envoy-filters.ts';

export function judgeFilters(parsed: ParsedFile): ParsedFile {
  if (!parsed.resources.some(isFilter) && !parsed.standIns.some(isFilter)) return parsed;
  const problems: Problem[] = [];
  const refused: Resource[] = [];
  const resources = parsed.resources.filter((resource) => {
    if (resource.kind !== 'EnvoyFilter') return true;
    const { patches, problems: found } = compilePatches(resource);
    problems.push(...found);
    if (patches === null) refused.push(resource);
    return patches !== null;
  });
  const standIns = [
    ...parsed.standIns.map((resource) => (isWrong(resource) ? insteadOf(resource) : resource)),
    ...refused.map(insteadOf),
  ];
  return {
    ...parsed,
    resources,
    problems: [...parsed.problems, ...problems],
    refused: [...parsed.refused, ...refused.map(({ kind, meta }) => resourceKey(kind, meta))],
    standIns: standIns.filter((standIn) => standIn !== null),
  };
}

function isFilter({ kind }: Resource): boolean {
  return kind === 'EnvoyFilter';
}

/** Of a file whose YAML is broken sound documents stand in, too, which nobody has judged. */
function isWrong(resource: Resource): boolean {
  return resource.kind === 'EnvoyFilter' && compilePatches(resource).patches === null;
}

function insteadOf(resource: Resource): Resource | null {
  const { kind, meta, source } = resource;
  return standInFor({ kind, resource, meta, source });
}
