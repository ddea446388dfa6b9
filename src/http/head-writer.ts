// @hot
// Writes a Head as one Latin-1 string. Runs of fields that nobody touched are copied as one slice of
// the head as received; a field whose blanks are not canonical, and every edited field, is written as
// `name: value`. The caller names the framing field: hop-by-hop fields have been stripped before.
// Values cannot smuggle: what steps add is checked when their configuration is compiled, and a CR, LF
// or NUL that a formatter let through is replaced here.
import { CHUNKED, NO_BODY, type BodyKind } from './body-decoder.ts';
import { H } from './header-name.ts';
import { REMOVED, type Head } from './head.ts';
import { reasonOf } from './status.ts';

const CR = 0x0d;
const SP = 0x20;

/** `METHOD path HTTP/1.1` (the authority where there is no path: CONNECT), the fields, the framing, and the empty line. */
export function writeRequestHead(head: Head, bodyKind: BodyKind): string {
  let out = head.method + ' ' + (head.path === '' ? head.authority : head.path) + ' HTTP/1.1\r\n' + writeFields(head);
  if (bodyKind === CHUNKED) out += 'transfer-encoding: chunked\r\n';
  else if (bodyKind === NO_BODY && expectsBody(head.method) && !head.has(H.contentLength))
    out += 'content-length: 0\r\n';
  return out + '\r\n';
}

/** RFC 9110 section 8.6: without a body, say so, but for the methods that never have one (as Envoy does). */
function expectsBody(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'DELETE':
    case 'TRACE':
    case 'CONNECT':
      return false;
    default:
      return true;
  }
}

/**
 * `HTTP/1.1 status reason` (1.0 when `head.minor` is 0), the fields, the framing, and the empty line. `connection` is a field line
 * with CRLF, or empty.
 */
export function writeResponseHead(head: Head, bodyKind: BodyKind, connection: string): string {
  const reason = head.reason === '' ? reasonOf(head.status) : head.reason;
  let out =
    (head.minor === 0 ? 'HTTP/1.0 ' : 'HTTP/1.1 ') +
    head.status +
    ' ' +
    reason +
    '\r\n' +
    writeFields(head) +
    connection;
  if (bodyKind === CHUNKED) out += 'transfer-encoding: chunked\r\n';
  return out + '\r\n';
}

function writeFields(head: Head): string {
  const { ids, names, values, spans, text, count } = head;
  let out = '';
  let runStart = -1;
  let runEnd = -1;
  for (let i = 0; i < count; i++) {
    const at = i * 4;
    if (ids[i] !== REMOVED && values[i] === null && names[i] === null && isCanonical(text, spans, at)) {
      const start = spans[at] as number;
      if (start !== runEnd) {
        if (runStart !== -1) out += text.slice(runStart, runEnd);
        runStart = start;
      }
      runEnd = (spans[at + 3] as number) + 2;
      continue;
    }
    if (runStart !== -1) {
      out += text.slice(runStart, runEnd);
      runStart = -1;
      runEnd = -1;
    }
    if (ids[i] !== REMOVED) out += head.nameAt(i) + ': ' + clean(head.valueAt(i)) + '\r\n';
  }
  return runStart === -1 ? out : out + text.slice(runStart, runEnd);
}

/** `name: value␍␊` with exactly one space and nothing after the value. */
function isCanonical(text: string, spans: Int32Array, at: number): boolean {
  const nameEnd = spans[at + 1] as number;
  const valueEnd = spans[at + 3] as number;
  return spans[at + 2] === nameEnd + 2 && text.charCodeAt(nameEnd + 1) === SP && text.charCodeAt(valueEnd) === CR;
}

function clean(value: string): string {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code === 0x0d || code === 0x0a || code === 0 || code > 0xff) return replaceControls(value);
  }
  return value;
}

function replaceControls(value: string): string {
  let out = '';
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    out += code === 0x0d || code === 0x0a || code === 0 ? ' ' : code > 0xff ? '?' : value.charAt(i);
  }
  return out;
}
