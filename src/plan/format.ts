// Envoy's substitution formats: text in which `%COMMAND(ARGUMENT):LENGTH%` stands for something of the
// exchange and `%%` for a percent sign. A format is compiled once; running one concatenates strings
// and creates nothing else. The result is wire text: one character a byte, to be written as Latin-1.
// Source: Envoy, substitution formatter.
import { error, type Problem } from '../base/problem.ts';
import type { Exchange } from './exchange.ts';
import { compileOperator } from './format-operators.ts';
import { wireText } from './wire-text.ts';

export type FormatValue = string | number | null;

export interface Format {
  /** As configured. */
  readonly text: string;
  /** The result when it is always the same, else null. */
  readonly constant: string | null;
  readonly run: (x: Exchange) => string;
  /**
   * For typed JSON: a lone command gives its number, string or null (absent) as it is; any other
   * format gives the string of `run`.
   */
  readonly value: (x: Exchange) => FormatValue;
}

export type ReadValue = (x: Exchange) => FormatValue;

/** A string is literal text. */
type Part = string | ReadValue;

/** Text without any command. */
export function literalFormat(text: string): Format {
  const constant = wireText(text);
  const run = (): string => constant;
  return { text, constant, run, value: run };
}

/**
 * Null after reporting why the text is refused. `missing` stands for what is absent: `-` in an access
 * log, the empty string in a header value.
 */
export function compileFormat(text: string, problems: Problem[], path: string, missing = '-'): Format | null {
  const parts: Part[] = [];
  let literal = '';
  let isSound = true;
  for (let i = 0; i < text.length;) {
    if (text.charAt(i) !== '%') {
      literal += text.charAt(i++);
      continue;
    }
    if (text.charAt(i + 1) === '%') {
      literal += '%';
      i += 2;
      continue;
    }
    const command = COMMAND.exec(text.slice(i));
    if (command === null) {
      problems.push(
        error(path, `no valid command at position ${i}`, 'write %COMMAND(ARGUMENT):LENGTH%, and %% for a percent sign'),
      );
      return null;
    }
    if (literal !== '') parts.push(wireText(literal));
    literal = '';
    const read = compileCommand(command, problems, path);
    if (read === null) isSound = false;
    else parts.push(read);
    i += command[0].length;
  }
  if (!isSound) return null;
  if (literal !== '') parts.push(wireText(literal));
  return formatOf(text, parts, missing);
}

/** Name, argument in parentheses, length. */
const COMMAND = /^%([A-Z0-9_]+)(\([^)]*\))?(?::([0-9]+))?%/;

function compileCommand(command: RegExpExecArray, problems: Problem[], path: string): ReadValue | null {
  const [, name = '', argument, length] = command;
  const read = compileOperator(name, argument === undefined ? null : argument.slice(1, -1), problems, path);
  if (read === null || length === undefined) return read;
  const lengthMax = Number(length);
  return (x) => {
    const value = read(x);
    return typeof value === 'string' && value.length > lengthMax ? value.slice(0, lengthMax) : value;
  };
}

function formatOf(text: string, parts: readonly Part[], missing: string): Format {
  const [first] = parts;
  if (parts.length === 0 || (parts.length === 1 && typeof first === 'string')) {
    const constant = typeof first === 'string' ? first : '';
    const run = (): string => constant;
    return { text, constant, run, value: run };
  }
  if (parts.length === 1 && typeof first === 'function') {
    return { text, constant: null, run: (x) => textOf(first(x), missing), value: first };
  }
  const run = (x: Exchange): string => join(parts, x, missing);
  return { text, constant: null, run, value: run };
}

function join(parts: readonly Part[], x: Exchange, missing: string): string {
  let out = '';
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (typeof part === 'string') out += part;
    else if (part !== undefined) out += textOf(part(x), missing);
  }
  return out;
}

function textOf(value: FormatValue, missing: string): string {
  if (value === null) return missing;
  return typeof value === 'string' ? value : String(value);
}
