// Envoy's URI templates: `/videos/{language}/*/{file}.m4s` as a matcher of whole paths, and templates
// such as `/{file}/{language}` that build a new path from the variables. A template is turned into
// one RE2 expression. Refused, as Envoy does: more than five variables, a variable twice, an operator
// behind `**`, text that cannot stand in a path.
// Source: envoy.extensions.path.{match,rewrite}.uri_template.v3.
import { assertNever } from '../base/assert.ts';
import type { RE2JS } from 're2js';
import { error, type Problem } from '../base/problem.ts';
import { compileEngine } from './regex.ts';

const VARIABLES_MAX = 5;
const NAME_LENGTH_MAX = 16;
const TEMPLATE_LENGTH_MAX = 256;
/** The characters of a path segment (RFC 3986 pchar) without `*` and `=`, for a character class. */
const SEGMENT_CLASS = "a-zA-Z0-9\\-._~%!$&'()+,;:@";
const SEGMENT = new RegExp(`^[${SEGMENT_CLASS}]+$`);
const REWRITE_LITERAL = new RegExp(`^[${SEGMENT_CLASS}/]+$`);
const NAME = /^[a-zA-Z][a-zA-Z0-9_]*$/;

export interface UriTemplate {
  readonly source: string;
  readonly engine: RE2JS;
  /** Literal text that every matching path begins with. */
  readonly literalPrefix: string;
  readonly variables: readonly string[];
  readonly matches: (pathname: string) => boolean;
}

type Piece =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'segment' }
  | { readonly kind: 'rest' }
  | { readonly kind: 'variable'; readonly name: string; readonly pieces: readonly Piece[] };

/** Null after reporting why the template is refused. */
export function compileUriTemplate(source: string, problems: Problem[], path: string): UriTemplate | null {
  const parsed = parseTemplate(source);
  if (typeof parsed === 'string') {
    problems.push(error(path, parsed, 'for example /videos/{name}/*.m4s'));
    return null;
  }
  const engine = compileEngine(`/${parsed.pieces.map(regexOf).join('/')}${quote(parsed.suffix)}`, problems, path);
  if (engine === null) return null;
  const leading = parsed.pieces.findIndex((piece) => piece.kind !== 'literal');
  const literals = parsed.pieces
    .slice(0, leading === -1 ? undefined : leading)
    .map((piece) => (piece.kind === 'literal' ? piece.text : ''));
  const literalPrefix = `/${literals.map((text) => `${text}/`).join('')}`.slice(0, leading === -1 ? -1 : undefined);
  const variables = parsed.pieces.flatMap((piece) => (piece.kind === 'variable' ? [piece.name] : []));
  return {
    source,
    engine,
    literalPrefix: literalPrefix === '' ? '/' : literalPrefix,
    variables,
    matches: (pathname) => engine.testExact(pathname),
  };
}

interface ParsedTemplate {
  readonly pieces: readonly Piece[];
  /** Literal text directly behind the last operator. */
  readonly suffix: string;
}

/** The pieces between slashes, or what is wrong. */
function parseTemplate(source: string): ParsedTemplate | string {
  if (source.length === 0 || source.length > TEMPLATE_LENGTH_MAX)
    return `must have 1 to ${TEMPLATE_LENGTH_MAX} characters`;
  if (!/^\/[\x21-\x7e]*$/.test(source)) return 'must begin with / and hold printable ASCII only';
  const pieces: Piece[] = [];
  let suffix = '';
  let rest = source.slice(1);
  while (rest !== '') {
    const taken = takePiece(rest);
    if (typeof taken === 'string') return taken;
    pieces.push(taken.piece);
    rest = rest.slice(taken.length);
    if (rest === '/') {
      pieces.push({ kind: 'literal', text: '' });
      break;
    }
    if (rest.startsWith('/')) {
      rest = rest.slice(1);
    } else if (rest !== '') {
      if (!SEGMENT.test(rest))
        return rest.includes('/')
          ? 'text behind an operator must end the template'
          : `'${rest}' cannot stand in a path`;
      suffix = rest;
      break;
    }
  }
  return problemOf(pieces) ?? { pieces, suffix };
}

interface Taken {
  readonly piece: Piece;
  readonly length: number;
}

function takePiece(text: string): Taken | string {
  if (text.startsWith('**')) return { piece: { kind: 'rest' }, length: 2 };
  if (text.startsWith('*')) return { piece: { kind: 'segment' }, length: 1 };
  if (text.startsWith('{')) return takeVariable(text);
  const slash = text.indexOf('/');
  const literal = slash === -1 ? text : text.slice(0, slash);
  if (!SEGMENT.test(literal)) return `'${literal}' cannot stand in a path segment`;
  return { piece: { kind: 'literal', text: literal }, length: literal.length };
}

function takeVariable(text: string): Taken | string {
  const close = text.indexOf('}');
  if (close === -1) return 'a { has no }';
  const inner = text.slice(1, close);
  const equals = inner.indexOf('=');
  const name = equals === -1 ? inner : inner.slice(0, equals);
  if (!NAME.test(name) || name.length > NAME_LENGTH_MAX)
    return `'${name}' is not a variable name of 1 to ${NAME_LENGTH_MAX} letters, digits and _`;
  if (equals === -1) return { piece: { kind: 'variable', name, pieces: [{ kind: 'segment' }] }, length: close + 1 };
  const pieces: Piece[] = [];
  for (const part of inner.slice(equals + 1).split('/')) {
    const taken = part.startsWith('{') ? 'a variable cannot hold another' : takePiece(part);
    if (typeof taken === 'string') return taken;
    if (taken.length !== part.length) return `'${part}' must be *, ** or text`;
    pieces.push(taken.piece);
  }
  return { piece: { kind: 'variable', name, pieces }, length: close + 1 };
}

function problemOf(pieces: readonly Piece[]): string | null {
  const names = pieces.flatMap((piece) => (piece.kind === 'variable' ? [piece.name] : []));
  if (names.length > VARIABLES_MAX) return `has more than ${VARIABLES_MAX} variables`;
  if (new Set(names).size !== names.length) return 'names a variable twice';
  const operators = pieces
    .flatMap((piece) => (piece.kind === 'variable' ? piece.pieces : [piece]))
    .filter((piece) => piece.kind !== 'literal');
  const rest = operators.findIndex((piece) => piece.kind === 'rest');
  return rest === -1 || rest === operators.length - 1 ? null : 'has an operator behind **';
}

function regexOf(piece: Piece): string {
  switch (piece.kind) {
    case 'literal':
      return quote(piece.text);
    case 'segment':
      return `[${SEGMENT_CLASS}]+`;
    case 'rest':
      return `[${SEGMENT_CLASS}/]*`;
    case 'variable':
      return `(?P<${piece.name}>${piece.pieces.map(regexOf).join('/')})`;
    default:
      return assertNever(piece);
  }
}

const quote = (text: string): string => text.replace(/[$()+.]/g, '\\$&');

export interface UriRewrite {
  readonly source: string;
  /** The new path, or null when `pathname` does not match the template. */
  readonly rewrite: (pathname: string) => string | null;
}

/** A rewrite may name only variables of the route's own match template. */
export function compileUriRewrite(
  source: string,
  template: UriTemplate,
  problems: Problem[],
  path: string,
): UriRewrite | null {
  const parts = parseRewrite(source, template.variables);
  if (typeof parts === 'string') {
    problems.push(error(path, parts, 'for example /{file}/{language}, with variables of the match template'));
    return null;
  }
  const { engine } = template;
  const rewrite = (pathname: string): string | null => {
    const matcher = engine.matcher(pathname);
    if (!matcher.matches()) return null;
    let out = '';
    for (const part of parts) out += typeof part === 'string' ? part : (matcher.group(part.index) ?? '');
    return out;
  };
  return { source, rewrite };
}

interface VariablePart {
  readonly index: number;
}

function parseRewrite(source: string, variables: readonly string[]): readonly (string | VariablePart)[] | string {
  if (source.length > TEMPLATE_LENGTH_MAX || !source.startsWith('/'))
    return 'must begin with / and have at most 256 characters';
  if (source.includes('//')) return 'must not have // in it';
  const parts: (string | VariablePart)[] = [];
  let rest = source;
  while (rest !== '') {
    const open = rest.indexOf('{');
    const literal = open === -1 ? rest : rest.slice(0, open);
    if (literal !== '' && !REWRITE_LITERAL.test(literal)) return `'${literal}' cannot stand in a path`;
    if (literal !== '') parts.push(literal);
    if (open === -1) break;
    const close = rest.indexOf('}', open);
    if (close === -1) return 'a { has no }';
    const name = rest.slice(open + 1, close);
    const index = variables.indexOf(name);
    if (index === -1) return `'${name}' is not a variable of the match template`;
    parts.push({ index: index + 1 });
    rest = rest.slice(close + 1);
  }
  return parts;
}
