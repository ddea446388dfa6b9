// The rules of docs/STYLE.md that a machine can check, over all of the project's own sources. A finding says
// where, what, and what to write instead; what cannot be met today stands in test/tidy/ratchet.ts with
// its reason.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judge, type Rule } from './tidy/finding.ts';
import { hot } from './tidy/hot.ts';
import { folders, packagesLoadedWith, packagesOf } from './tidy/imports.ts';
import { RATCHET } from './tidy/ratchet.ts';
import * as shape from './tidy/shape.ts';
import { parseSource, readSources, ROOT } from './tidy/source.ts';

const SOURCE = readSources(['src']);
const ALL = [...SOURCE, ...readSources(['test', 'tools', 'examples'])];

const RULES: readonly {
  readonly title: string;
  readonly name: string;
  readonly rule: Rule;
  readonly over: typeof ALL;
}[] = [
  { title: 'imports point downwards only', name: 'folders', rule: folders, over: SOURCE },
  { title: 'files are named after the one thing they hold', name: 'fileNames', rule: shape.fileNames, over: ALL },
  { title: 'a file has at most 400 lines', name: 'fileLengths', rule: shape.fileLengths, over: ALL },
  { title: 'a file opens with what it is for', name: 'openings', rule: shape.openings, over: ALL },
  { title: 'no file passes on the exports of another', name: 'barrels', rule: shape.barrels, over: ALL },
  { title: 'a function has at most 70 lines and 4 parameters', name: 'functions', rule: shape.functions, over: ALL },
  { title: 'no any, no !, no as', name: 'casts', rule: shape.casts, over: SOURCE },
  { title: 'only syntax that can be erased', name: 'erasable', rule: shape.erasable, over: ALL },
  { title: 'nothing is created per request in hot files', name: 'hot', rule: hot, over: SOURCE },
  { title: 'nothing is left behind and no test is skipped', name: 'leftovers', rule: shape.leftovers, over: ALL },
];

describe('tidy', () => {
  for (const { title, name, rule, over } of RULES) {
    it(title, () => {
      const findings = over.flatMap((source) => rule(source));
      expect(judge(findings, RATCHET[name] ?? [])).toEqual([]);
    });
  }

  it('runtime packages each have a line in the packages table and are pinned', () => {
    const { dependencies } = readPackage();
    const table = readFileSync(join(ROOT, 'docs/ARCHITECTURE.md'), 'utf8');
    const complaints = Object.entries(dependencies).flatMap(([name, version]) => [
      ...(table.includes(`| \`${name}\``)
        ? []
        : [`${name}: write its role into the packages table of docs/ARCHITECTURE.md`]),
      ...(/^(npm:[\w@/.-]+@)?\d+\.\d+\.\d+$/.test(version)
        ? []
        : [`${name}: pin an exact version instead of ${version}`]),
    ]);
    const undeclared = SOURCE.flatMap((source) => packagesOf(source).map(({ name }) => ({ name, path: source.path })))
      .filter(({ name }) => !(name in dependencies))
      .map(({ name, path }) => `${path} imports ${name}: add it to the dependencies, or do without`);
    expect([...complaints, ...undeclared]).toEqual([]);
  });

  it('a sidecar that starts loads nothing of tracing, of YAML or of the control service', () => {
    const loaded = packagesLoadedWith('src/cli/sidecar-run.ts', SOURCE);
    expect([...loaded].filter((name) => !name.startsWith('node:')).toSorted()).toEqual([
      '@bufbuild/protobuf',
      '@bufbuild/protobuf/reflect',
      '@bufbuild/protobuf/wire',
      '@bufbuild/protobuf/wkt',
      're2js',
    ]);
  });

  it('the compiler is at its strictest and the syntax can be erased', () => {
    const options: unknown = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'));
    expect(options).toMatchObject({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noImplicitOverride: true,
        noPropertyAccessFromIndexSignature: true,
        verbatimModuleSyntax: true,
        erasableSyntaxOnly: true,
        skipLibCheck: false,
      },
    });
  });
});

function readPackage(): { readonly dependencies: Readonly<Record<string, string>> } {
  const parsed: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  if (typeof parsed !== 'object' || parsed === null || !('dependencies' in parsed))
    throw new Error('package.json has no dependencies');
  const entries = Object.entries(Object(parsed.dependencies)).map(([name, version]): [string, string] => [
    name,
    String(version),
  ]);
  return { dependencies: Object.fromEntries(entries) };
}

// A rule that finds nothing proves nothing until it has been seen to find something.
describe('each tidy rule finds what it is for', () => {
  const long = 'x;\n'.repeat(401);
  const table: readonly {
    readonly rule: Rule;
    readonly path: string;
    readonly text: string;
    readonly count: number;
  }[] = [
    { rule: folders, path: 'src/policy/a.ts', text: "import { x } from '../routing/b.ts';", count: 1 },
    { rule: folders, path: 'src/sidecar/a.ts', text: "import { x } from '../control/b.ts';", count: 1 },
    { rule: folders, path: 'src/base/a.ts', text: "export type { x } from '../plan/b.ts';", count: 1 },
    {
      rule: folders,
      path: 'src/sidecar/admin/a.ts',
      text: "import { x } from '../../plan/b.ts'; import y from '../c.ts';",
      count: 0,
    },
    { rule: folders, path: 'src/cli/a.ts', text: "const x = await import('../../test/b.ts');", count: 1 },
    { rule: folders, path: 'src/extras/a.ts', text: '', count: 1 },
    { rule: shape.fileNames, path: 'src/base/utils.ts', text: '', count: 1 },
    { rule: shape.fileNames, path: 'src/base/timerWheel.ts', text: '', count: 1 },
    { rule: shape.fileNames, path: 'test/unit/a-b.test.ts', text: '', count: 0 },
    { rule: shape.fileLengths, path: 'src/base/a.ts', text: long, count: 1 },
    { rule: shape.openings, path: 'src/base/a.ts', text: 'const a = 1;', count: 1 },
    { rule: shape.openings, path: 'src/base/a.ts', text: '// @hot\nconst a = 1;', count: 1 },
    {
      rule: shape.barrels,
      path: 'src/base/a.ts',
      text: "export * from './b.ts';\nexport { c } from './c.ts';",
      count: 2,
    },
    { rule: shape.functions, path: 'src/base/a.ts', text: `const f = () => {\n${'x;\n'.repeat(70)}};`, count: 1 },
    {
      rule: shape.functions,
      path: 'src/base/a.ts',
      text: 'class A { f(a, b, c, d, e) {} g(a, b, c, d) {} }',
      count: 1,
    },
    {
      rule: shape.casts,
      path: 'src/base/a.ts',
      text: 'let a: any = b!; const c = d as E; const e = [] as const;',
      count: 3,
    },
    { rule: shape.casts, path: 'src/base/a.ts', text: '// @hot\nconst a = b[i] as C; const d = e as F;', count: 1 },
    { rule: shape.casts, path: 'src/base/a.ts', text: 'const a = b[i] as C;', count: 1 },
    {
      rule: shape.erasable,
      path: 'src/base/a.ts',
      text: 'enum A { B } class C { constructor(private d: string) {} }',
      count: 2,
    },
    { rule: hot, path: 'src/base/a.ts', text: 'function f() { return () => 1; }', count: 0 },
    { rule: hot, path: 'src/base/a.ts', text: '// @hot\nfunction f(a) { return () => `${a}`; }', count: 2 },
    { rule: hot, path: 'src/base/a.ts', text: '// @hot\nasync function f() {}', count: 1 },
    {
      rule: hot,
      path: 'src/base/a.ts',
      text: '// @hot\n// Config time.\nfunction f(a) { return a.map((b) => [...b]); }',
      count: 0,
    },
    {
      rule: hot,
      path: 'src/base/a.ts',
      text: '// @hot\nclass A { x = [1].map(String); #y = () => new Date(); constructor() { this.z = () => 1; } }',
      count: 1,
    },
    {
      rule: hot,
      path: 'src/base/a.ts',
      text: '// @hot\nfunction f(a) { const [b] = a; return /x/.test(b) && new Date(...a.bind(1)); }',
      count: 5,
    },
    {
      rule: shape.leftovers,
      path: 'src/base/a.ts',
      text: `// ${shape.join('TO', 'DO')}\nit.${shape.join('sk', 'ip')}('a');\n// /${shape.join('wo', 'rk')}/main/a`,
      count: 3,
    },
  ];
  it.each(table)('%# $path', ({ rule, path, text, count }) => {
    expect(rule(parseSource(path, text))).toHaveLength(count);
  });

  it('complains of a ratchet that is looser than it needs be', () => {
    expect(judge([], [{ path: 'src/a.ts', count: 2, reason: '' }])).toEqual([
      'src/a.ts: the ratchet allows 2 and there are 0: lower it in test/tidy/ratchet.ts',
    ]);
  });
});
