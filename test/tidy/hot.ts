// Rule 17: in files that begin with `// @hot` nothing is created per request. Exempt are constructors, field
// initialisers and module scope, and functions whose comment says `config time` or `per connection`:
// they do not run for a request.
import { finding, type Finding, type Rule } from './finding.ts';
import { fieldOf, isFunction, textOf, walk, type Node, type Source } from './source.ts';

const CREATING_METHODS = new Set(['map', 'filter', 'bind', 'flatMap']);
const EXEMPT_COMMENT = /config time|scrape time|per connection|once per process/i;

export const hot: Rule = (source) => {
  if (!source.isHot) return [];
  const findings: Finding[] = [];
  walk(source.program, (node, parents) => {
    if (isExempt(source, node, parents)) return false;
    const isInside = parents.some((parent) => isFunction(parent));
    const remedy = remedyFor(node, isInside);
    if (remedy !== null)
      findings.push(
        finding(source, node.start, `${remedy}, or say \`config time\` or \`per connection\` above the function`),
      );
    return true;
  });
  return findings;
};

/** Functions that do not run for a request. */
function isExempt(source: Source, node: Node, parents: readonly Node[]): boolean {
  const [parent] = parents;
  if (node.type === 'MethodDefinition' && textOf(node, 'kind') === 'constructor') return true;
  if (node.type === 'PropertyDefinition') return !isFunctionValue(node) || hasExemptComment(source, node.start);
  if (!isFunction(node) && node.type !== 'MethodDefinition') return false;
  const holder = parent?.type.startsWith('Export') === true ? parent : node;
  return hasExemptComment(source, holder.start);
}

function isFunctionValue(node: Node): boolean {
  const value = fieldOf(node, 'value');
  return value !== null && isFunction(value);
}

/** The comment block that ends on the line above. */
function hasExemptComment(source: Source, start: number): boolean {
  for (let line = source.lineAt(start) - 2; line >= 0; line--) {
    const text = source.lines[line]?.trim() ?? '';
    if (!/^(\/\/|\/\*|\*)/.test(text)) return false;
    if (EXEMPT_COMMENT.test(text)) return true;
  }
  return false;
}

function remedyFor(node: Node, isInside: boolean): string | null {
  if (node['async'] === true && isFunction(node)) return 'async: return PAUSE and resume in a callback made once';
  if (node.type === 'RestElement' && isInside) return 'rest: name the parameters or fields';
  if (!isInside) return null;
  if (isFunction(node)) return 'closure: make it once, as a field or at module scope';
  if (node.type === 'AwaitExpression') return 'await: return PAUSE and resume in a callback made once';
  if (node.type === 'SpreadElement') return 'spread: copy with an indexed loop';
  if (node.type === 'TemplateLiteral') return 'template string: concatenate with +';
  if (node.type === 'ArrayPattern') return 'array destructuring: read by index';
  if (node.type === 'Literal' && 'regex' in node) return 'regex literal: compile it at config time';
  if (node.type === 'NewExpression' && calleeName(node) === 'Date') return 'Date: take x.startWallMs or the clock';
  if (node.type === 'CallExpression' && CREATING_METHODS.has(methodName(node)))
    return `.${methodName(node)}: an indexed loop`;
  return null;
}

function calleeName(node: Node): string {
  const callee = fieldOf(node, 'callee');
  return callee === null ? '' : textOf(callee, 'name');
}

function methodName(node: Node): string {
  const callee = fieldOf(node, 'callee');
  const property = callee?.type === 'MemberExpression' ? fieldOf(callee, 'property') : null;
  return property === null ? '' : textOf(property, 'name');
}
