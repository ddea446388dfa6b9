// Rule 1: imports point downwards only, by the table of docs/ARCHITECTURE.md, and every package that is
// imported at run time has a line in the packages table.
import { posix } from 'node:path';
import { finding, type Finding, type Rule } from './finding.ts';
import { childrenOf, fieldOf, importsOf, textOf, type Source } from './source.ts';

const LEVELS: Readonly<Record<string, number>> = {
  base: 0,
  http: 1,
  xds: 1,
  config: 1,
  plan: 2,
  tls: 2,
  kube: 2,
  routing: 3,
  policy: 3,
  resilience: 3,
  observe: 3,
  sidecar: 4,
  control: 4,
  cli: 5,
};

export const folders: Rule = (source) => {
  const [top, folder = ''] = source.path.split('/');
  if (top !== 'src') return [];
  const level = LEVELS[folder];
  if (level === undefined) {
    return [
      finding(
        source,
        0,
        `src/${folder} is no folder of the architecture: move the file, or add a line to the table of docs/ARCHITECTURE.md and to LEVELS`,
      ),
    ];
  }
  return importsOf(source)
    .filter(({ from }) => from.startsWith('.'))
    .flatMap(({ from, at }) => judgeImport(source, { from, at, folder, level }));
};

interface Import {
  readonly from: string;
  readonly at: number;
  readonly folder: string;
  readonly level: number;
}

function judgeImport(source: Source, { from, at, folder, level }: Import): Finding[] {
  const target = posix.normalize(posix.join(posix.dirname(source.path), from));
  const [top, targetFolder = ''] = target.split('/');
  if (top !== 'src') return [finding(source, at, `imports ${target}: src stands alone; move what it needs into src`)];
  if (!/\.(ts|js)$/.test(target))
    return [finding(source, at, `imports ${from}: write the file name to its end, with .ts`)];
  const targetLevel = LEVELS[targetFolder] ?? 99;
  if (targetFolder === folder || targetLevel < level) return [];
  const remedy =
    targetLevel === level
      ? 'folders of one level never import each other: move what both need one level down'
      : 'imports point downwards only: pass it in from above, or move it down';
  return [
    finding(source, at, `src/${folder} (level ${level}) imports src/${targetFolder} (level ${targetLevel}); ${remedy}`),
  ];
}

/** Names of the packages that a source imports: `@scope/name` or `name`, without a path below it. */
export function packagesOf(source: Source): { readonly name: string; readonly at: number }[] {
  return importsOf(source)
    .filter(({ from }) => !from.startsWith('.') && !from.startsWith('node:'))
    .map(({ from, at }) => ({
      name: from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/'),
      at,
    }));
}

/** Packages that are loaded with the source of this path: by it, and by all that it loads; `import()` comes later. */
export function packagesLoadedWith(entry: string, sources: readonly Source[]): ReadonlySet<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const packages = new Set<string>();
  const seen = new Set([entry]);
  for (const path of seen) {
    const source = byPath.get(path);
    if (source === undefined) continue;
    for (const node of childrenOf(source.program)) {
      const target = fieldOf(node, 'source');
      if (target === null || node['importKind'] === 'type' || node['exportKind'] === 'type') continue;
      const from = textOf(target, 'value');
      if (from.startsWith('.')) seen.add(posix.join(posix.dirname(path), from));
      else packages.add(from);
    }
  }
  return packages;
}
