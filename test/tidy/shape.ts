// Rules 2, 3, 8 and 10: what a file and a function look like, and what types may not be worked around with.
import { posix } from 'node:path';
import { finding, type Finding, type Rule } from './finding.ts';
import { childrenOf, fieldOf, isFunction, listOf, textOf, walk, type Node } from './source.ts';

const FILE_LINES_MAX = 400;
/** Tests are tables, and a table is as long as its cases. */
const TEST_FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;
const PARAMETERS_MAX = 4;
const HOT_PARAMETERS_MAX = 6;
const BANNED_NAMES = /^(utils?|helpers?|common|manager|types|index|misc|shared)\.ts$/;
const CAST_FILES = new Set(['src/base/brand.ts', 'src/plan/step.ts']);

export const fileNames: Rule = (source) => {
  const name = posix.basename(source.path);
  if (BANNED_NAMES.test(name)) return [finding(source, 0, `is called ${name}: name it after the one thing it holds`)];
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|bench|d|config))?\.ts$/.test(name)) {
    return [finding(source, 0, `is called ${name}: write lower-case words with hyphens`)];
  }
  return [];
};

export const fileLengths: Rule = (source) => {
  const count = source.lines.length - 1;
  const countMax = source.path.startsWith('test/') ? TEST_FILE_LINES_MAX : FILE_LINES_MAX;
  return count <= countMax
    ? []
    : [finding(source, 0, `has ${count} lines, more than ${countMax}: split it into two nouns`)];
};

export const openings: Rule = (source) => {
  const first = source.lines[0]?.startsWith('// @hot') === true ? source.lines[1] : source.lines[0];
  const isComment = first !== undefined && /^(\/\/|\/\*|#!)/.test(first);
  return isComment
    ? []
    : [finding(source, 0, 'opens without a comment: say in 3 to 10 lines what it owns, promises and refuses')];
};

export const barrels: Rule = (source) => {
  const findings: Finding[] = [];
  for (const node of childrenOf(source.program)) {
    if (node.type === 'ExportAllDeclaration')
      findings.push(finding(source, node.start, 'exports all of another file: import from where it is'));
    if (node.type === 'ExportNamedDeclaration' && fieldOf(node, 'source') !== null) {
      findings.push(finding(source, node.start, 'passes on an export of another file: import from where it is'));
    }
  }
  return findings;
};

export const functions: Rule = (source) => {
  const findings: Finding[] = [];
  walk(source.program, (node, parents) => {
    if (!isFunction(node)) return true;
    // Suites of tests are lists, not functions with a flow: only what they call is measured.
    const isSuite = source.path.startsWith('test/') && parents[0]?.type === 'CallExpression';
    const lines = source.lineAt(node.end) - source.lineAt(node.start) + 1;
    if (lines > FUNCTION_LINES_MAX && !isSuite) {
      findings.push(
        finding(
          source,
          node.start,
          `function of ${lines} lines, more than ${FUNCTION_LINES_MAX}: keep the branches here, move a leaf out`,
        ),
      );
    }
    const parameters = listOf(node, 'params').length;
    // In hot files an options object would be made for each call.
    const parametersMax = source.isHot ? HOT_PARAMETERS_MAX : PARAMETERS_MAX;
    if (parameters > parametersMax) {
      findings.push(
        finding(
          source,
          node.start,
          `function with ${parameters} positional parameters, more than ${parametersMax}: take one options object`,
        ),
      );
    }
    return true;
  });
  return findings;
};

export const casts: Rule = (source) => {
  const findings: Finding[] = [];
  walk(source.program, (node) => {
    if (node.type === 'TSAnyKeyword') findings.push(finding(source, node.start, 'any: take unknown and parse it'));
    if (node.type === 'TSNonNullExpression')
      findings.push(finding(source, node.start, '!: test for null, or return a value that cannot be null'));
    if (node.type === 'TSTypeAssertion')
      findings.push(finding(source, node.start, '<T>value: parse the value, or declare the type where it is made'));
    if (node.type === 'TSAsExpression' && !isAllowedCast(node, source.path, source.isHot)) {
      findings.push(
        finding(
          source,
          node.start,
          'as: parse the value, or declare the type where it is made (only `as const`, and bounded array reads in hot files)',
        ),
      );
    }
    return true;
  });
  return findings;
};

function isAllowedCast(node: Node, path: string, isHot: boolean): boolean {
  if (CAST_FILES.has(path)) return true;
  const type = fieldOf(node, 'typeAnnotation');
  const typeName = type === null ? null : fieldOf(type, 'typeName');
  if (typeName !== null && textOf(typeName, 'name') === 'const') return true;
  const read = fieldOf(node, 'expression');
  return isHot && read !== null && read.type === 'MemberExpression' && read['computed'] === true;
}

const NOT_ERASABLE = new Map([
  ['TSEnumDeclaration', 'enum: use a union of literals, or an object `as const`'],
  ['TSModuleDeclaration', 'namespace: use a file'],
  ['TSParameterProperty', 'parameter property: declare the field and assign it'],
  ['Decorator', 'decorator: call a function'],
]);

export const erasable: Rule = (source) => {
  const findings: Finding[] = [];
  walk(source.program, (node) => {
    const remedy = NOT_ERASABLE.get(node.type);
    if (remedy !== undefined) findings.push(finding(source, node.start, remedy));
    return true;
  });
  return findings;
};

/** Words written in two halves, so that this file does not find itself. */
export function join(...halves: readonly string[]): string {
  return halves.join('');
}

const LEFTOVER = new RegExp(`\\b(${join('TO', 'DO')}|${join('FIX', 'ME')}|${join('XX', 'X')})\\b`);
const MACHINE_PATH = new RegExp(`/${join('wo', 'rk')}/(main|shared|cache)\\b`);
const SKIPS = [join('on', 'ly'), join('sk', 'ip'), 'skipIf', 'runIf', join('to', 'do')].join('|');
const SKIPPED_TEST = new RegExp(`\\b(it|test|describe)\\.(${SKIPS})\\b`);

export const leftovers: Rule = (source) => {
  const findings: Finding[] = [];
  let offset = 0;
  for (const line of source.lines) {
    const mark = LEFTOVER.exec(line);
    if (mark !== null)
      findings.push(
        finding(source, offset, `${mark[0]} left behind: do it now, or open an issue and say why it may wait`),
      );
    if (MACHINE_PATH.test(line))
      findings.push(
        finding(source, offset, 'names a folder of one machine: the project keeps its own copy of what it needs'),
      );
    if (SKIPPED_TEST.test(line))
      findings.push(
        finding(source, offset, 'a test that does not always run: run it, or delete it and say why in the commit'),
      );
    offset += line.length + 1;
  }
  return findings;
};
