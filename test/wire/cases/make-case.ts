// Builders for the tables of wire cases: a line says what is sent, and everything else follows from the table.
import type { Expectation, WireCase } from './wire-case.ts';

export type Rest = Partial<Expectation> & Pick<WireCase, 'context' | 'eof'>;

/** Keeps names short and unique: what is not a letter or digit is written in hexadecimal. */
export function byteName(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`;
}

function aCase(
  side: WireCase['side'],
  name: string,
  bytes: string,
  rest: Rest & Pick<Expectation, 'action'>,
): WireCase {
  const { context, eof, ...expect } = rest;
  return {
    name,
    side,
    bytes,
    ...(context === undefined ? {} : { context }),
    ...(eof === undefined ? {} : { eof }),
    expect: { level: 'MUST', note: name.replaceAll('-', ' '), source: 'RFC9112', ...expect },
  };
}

export function refused(name: string, bytes: string, rest: Rest = {}): WireCase {
  return aCase('request', name, bytes, { action: 'reject', status: 400, requests: 0, close: true, ...rest });
}

export function passed(name: string, bytes: string, rest: Rest = {}): WireCase {
  return aCase('request', name, bytes, { action: 'forward', requests: 1, ...rest });
}

export function broken(name: string, bytes: string, rest: Rest = {}): WireCase {
  return aCase('response', name, bytes, { action: 'reject', status: 502, close: true, ...rest });
}

export function answered(name: string, bytes: string, rest: Rest = {}): WireCase {
  return aCase('response', name, bytes, { action: 'forward', status: 200, ...rest });
}

/** A GET of `target` with Host and the lines given. */
export function get(target: string, ...lines: readonly string[]): string {
  return message(`GET ${target} HTTP/1.1`, ['Host: a.test', ...lines], '');
}

/** A POST to /x with Host, the lines and the body given. */
export function post(lines: readonly string[], body: string): string {
  return message('POST /x HTTP/1.1', ['Host: a.test', ...lines], body);
}

/** A POST in chunks, which are given with all their syntax. */
export function chunks(text: string, ...lines: readonly string[]): string {
  return post(['Transfer-Encoding: chunked', ...lines], text);
}

export function message(startLine: string, lines: readonly string[], body: string): string {
  return `${[startLine, ...lines].join('\r\n')}\r\n\r\n${body}`;
}

/** A 200 with the lines and the body given. */
export function ok(lines: readonly string[], body: string): string {
  return message('HTTP/1.1 200 OK', lines, body);
}
