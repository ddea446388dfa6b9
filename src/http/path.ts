// @hot
// Path normalisation before anything matches on the path: what routes, what policies judge and what
// goes upstream is one and the same string. Works on the path only; the query is never touched.
// Source: Envoy HttpConnectionManager normalize_path, merge_slashes, path_with_escaped_slashes_action;
// RFC 3986 sections 5.2.4 and 6.2.2.
import { HEX } from './byte-class.ts';

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const PERCENT = 0x25;

/** 1 for a character that normalisation leaves alone, wherever it stands (a dot may yet be a dot segment). */
const PLAIN = new Uint8Array(256).fill(1);
for (const mark of '%\\"<>^`{|}') PLAIN[mark.charCodeAt(0)] = 0;

/** True when the path has nothing that normalisation could change; most paths. */
export function isNormal(path: string, end: number): boolean {
  for (let i = 0; i < end; i++) {
    const code = path.charCodeAt(i);
    if (PLAIN[code] !== 1) return false;
    if (code === DOT && path.charCodeAt(i - 1) === SLASH) return false;
  }
  return true;
}

/**
 * Decodes percent-encoded unreserved characters, encodes those that no path may hold (`"<>^\`{|}`), turns
 * backslashes into slashes, removes dot segments. Matrix parameters stay: `..;` is no dot segment.
 */
export function normalizePath(target: string): string {
  const question = target.indexOf('?');
  const end = question === -1 ? target.length : question;
  if (isNormal(target, end)) return target;
  const path = removeDotSegments(decodeUnreserved(target, end));
  return question === -1 ? path : path + target.slice(question);
}

function decodeUnreserved(target: string, end: number): string {
  let out = '';
  for (let i = 0; i < end; i++) {
    const code = target.charCodeAt(i);
    if (code === BACKSLASH) {
      out += '/';
      continue;
    }
    const byte = code === PERCENT ? escapedByte(target, i, end) : -1;
    if (byte !== -1 && isUnreserved(byte)) {
      out += String.fromCharCode(byte);
      i += 2;
    } else if (code !== PERCENT && PLAIN[code] !== 1) {
      out += '%' + code.toString(16).toUpperCase();
    } else {
      out += target.charAt(i);
    }
  }
  return out;
}

/** The byte of `%XX` at `at`, or -1. */
function escapedByte(target: string, at: number, end: number): number {
  if (at + 2 >= end) return -1;
  const high = HEX[target.charCodeAt(at + 1)] ?? 255;
  const low = HEX[target.charCodeAt(at + 2)] ?? 255;
  return high === 255 || low === 255 ? -1 : high * 16 + low;
}

function isUnreserved(byte: number): boolean {
  if ((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x30 && byte <= 0x39)) return true;
  return byte === 0x2d || byte === DOT || byte === 0x5f || byte === 0x7e;
}

/** True when a dot segment has a parameter (`..;x`), which some servers cut off: they take another path than was sent. */
export function hasDotParameter(path: string): boolean {
  return path.indexOf(';') !== -1 && (path.indexOf('/..;') !== -1 || path.indexOf('/.;') !== -1);
}

/** A path without query as those servers take it: dot segments are removed that have parameters. */
export function removeDotParameters(path: string): string {
  return removeDotSegments(path, true);
}

function removeDotSegments(path: string, ignoresParameters = false): string {
  const kept: string[] = [];
  let start = 1;
  for (;;) {
    const slash = path.indexOf('/', start);
    const isLast = slash === -1;
    let segment = isLast ? path.slice(start) : path.slice(start, slash);
    if (ignoresParameters && (segment.startsWith('.;') || segment.startsWith('..;')))
      segment = segment.slice(0, segment.indexOf(';'));
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (isLast) {
      if (segment === '.' || segment === '..') kept.push('');
      return '/' + kept.join('/');
    }
    start = slash + 1;
  }
}

/** `//` and longer runs in the path become `/`. */
export function mergeSlashes(target: string): string {
  const question = target.indexOf('?');
  const end = question === -1 ? target.length : question;
  const first = target.indexOf('//');
  if (first === -1 || first >= end) return target;
  let out = '';
  for (let i = 0; i < end; i++) {
    if (target.charCodeAt(i) === SLASH && i > 0 && target.charCodeAt(i - 1) === SLASH) continue;
    out += target.charAt(i);
  }
  return question === -1 ? out : out + target.slice(question);
}

/** True when the path holds an escaped slash or backslash (`%2f`, `%5c`, any case). */
export function hasEscapedSlash(target: string): boolean {
  const question = target.indexOf('?');
  const end = question === -1 ? target.length : question;
  for (let i = target.indexOf('%'); i !== -1 && i < end; i = target.indexOf('%', i + 1)) {
    const byte = escapedByte(target, i, end);
    if (byte === SLASH || byte === BACKSLASH) return true;
  }
  return false;
}

/** Escaped slashes and backslashes of the path, unescaped. */
export function unescapeSlashes(target: string): string {
  const question = target.indexOf('?');
  const end = question === -1 ? target.length : question;
  let out = '';
  for (let i = 0; i < end; i++) {
    const byte = target.charCodeAt(i) === PERCENT ? escapedByte(target, i, end) : -1;
    if (byte === SLASH || byte === BACKSLASH) {
      out += String.fromCharCode(byte);
      i += 2;
    } else {
      out += target.charAt(i);
    }
  }
  return question === -1 ? out : out + target.slice(question);
}

/** True when the path holds an escaped NUL (`%00`): what reads it may take it for the end of the path. */
export function hasEscapedNul(target: string): boolean {
  const nul = target.indexOf('%00');
  if (nul === -1) return false;
  const question = target.indexOf('?');
  return question === -1 || nul < question;
}
