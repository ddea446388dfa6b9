// The lines of an access log: text formats and JSON formats over the same commands. A value can never
// end a line or move a terminal's cursor: control characters but the tab that come out of a command
// are escaped, those that the format itself holds are kept. JSON is typed: a lone command keeps its
// number, an absent one is null; members are sorted by name (all measured on Envoy 1.40). Lines are
// wire text, one character a byte.
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { assertNever } from '../base/assert.ts';
import { error } from '../base/problem.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileFormat, type Format, type FormatValue } from '../plan/format.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { isAscii, unicodeText, wireText } from '../plan/wire-text.ts';
import type { DataSource } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { SubstitutionFormatString } from '../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';

/** One line with its end, for a finished exchange. */
export type LogLine = (x: Exchange) => string;

/** Envoy's default access log format. */
export const ENVOY_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ' +
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** Istio's default access log format. */
export const ISTIO_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

/** Null after reporting why the format is refused. */
export function compileLogFormat(config: SubstitutionFormatString, env: CompileEnv, path: string): LogLine | null {
  if (config.formatters.length > 0) {
    env.problems.push(
      error(`${path}.formatters`, 'formatter extensions are not supported', 'use the built-in commands'),
    );
    return null;
  }
  const { format, omitEmptyValues: omitsEmpty } = config;
  switch (format.case) {
    case 'textFormat':
      return compileTextLine(format.value, env, `${path}.text_format`, omitsEmpty);
    case 'textFormatSource': {
      const text = readSource(format.value, env, `${path}.text_format_source`);
      return text === null ? null : compileTextLine(text, env, `${path}.text_format_source`, omitsEmpty);
    }
    case 'jsonFormat': {
      return compileJsonLine(format.value, env, `${path}.json_format`, { omitsEmpty, isTyped: true });
    }
    case undefined:
      env.problems.push(error(path, 'no format is given', 'set text_format_source or json_format'));
      return null;
    default:
      return assertNever(format);
  }
}

function readSource(source: DataSource, env: CompileEnv, path: string): string | null {
  const { specifier } = source;
  switch (specifier.case) {
    case 'inlineString':
      return specifier.value;
    case 'inlineBytes':
      return Buffer.from(specifier.value).toString('utf8');
    case 'environmentVariable': {
      const value = process.env[specifier.value];
      if (value !== undefined) return value;
      env.problems.push(error(path, `environment variable ${specifier.value} is not set`));
      return null;
    }
    case 'filename':
      try {
        return readFileSync(specifier.value, 'utf8');
      } catch (thrown) {
        env.problems.push(error(path, `cannot read ${specifier.value}: ${String(thrown)}`));
        return null;
      }
    case undefined:
      env.problems.push(error(path, 'no source is given', 'set inline_string'));
      return null;
    default:
      return assertNever(specifier);
  }
}

// oxlint-disable-next-line no-control-regex -- Control characters are the point.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
// oxlint-disable-next-line no-control-regex -- Control characters are the point.
const LITERAL_CONTROLS = /([\x00-\x1f\x7f]+)/;
const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
]);

/** `omitsEmpty`: an absent value is nothing instead of `-`. */
export function compileTextLine(text: string, env: CompileEnv, path: string, omitsEmpty: boolean): LogLine | null {
  // Split at the control characters of the format itself: any other one comes out of a value.
  const pieces: (Format | string)[] = [];
  for (const [index, piece] of text.split(LITERAL_CONTROLS).entries()) {
    if (piece === '') continue;
    const format = index % 2 === 1 ? piece : compileFormat(piece, env.problems, path, omitsEmpty ? '' : '-');
    if (format === null) return null;
    pieces.push(format);
  }
  return (x) => {
    let line = '';
    for (const piece of pieces) line += typeof piece === 'string' ? piece : escapeControls(piece.run(x));
    return line;
  };
}

function escapeControls(text: string): string {
  if (!CONTROL.test(text)) return text;
  let escaped = '';
  for (const character of text) {
    if (CONTROL.test(character)) {
      escaped += SHORT_ESCAPES.get(character) ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
    } else {
      escaped += character;
    }
  }
  return escaped;
}

export interface JsonLineOptions {
  /** Leaves out what is absent, and objects that are left empty, instead of writing null or `-`. */
  readonly omitsEmpty: boolean;
  /** False: every value is a string (the deprecated `json_format` of file loggers). */
  readonly isTyped: boolean;
}

/** JSON text, or null for a value that is left out. */
type JsonNode = (x: Exchange) => string | null;

export function compileJsonLine(
  config: JsonObject,
  env: CompileEnv,
  path: string,
  options: JsonLineOptions,
): LogLine | null {
  const node = compileObject(config, env, path, options);
  if (node === null) return null;
  return (x) => `${node(x) ?? '{}'}\n`;
}

function compileValue(value: JsonValue, env: CompileEnv, path: string, options: JsonLineOptions): JsonNode | null {
  if (typeof value === 'string') return compileText(value, env, path, options);
  if (Array.isArray(value)) return compileList(value, env, path, options);
  if (typeof value === 'object' && value !== null) return compileObject(value, env, path, options);
  const literal = JSON.stringify(value);
  return () => literal;
}

function compileText(text: string, env: CompileEnv, path: string, options: JsonLineOptions): JsonNode | null {
  const format = compileFormat(text, env.problems, path, options.omitsEmpty ? '' : '-');
  if (format === null) return null;
  if (format.constant !== null) {
    const literal = quote(format.constant);
    return () => literal;
  }
  if (!options.isTyped) return (x) => quote(format.run(x));
  return (x) => {
    const value = format.value(x);
    return value === null && options.omitsEmpty ? null : valueText(value);
  };
}

function compileObject(config: JsonObject, env: CompileEnv, path: string, options: JsonLineOptions): JsonNode | null {
  const entries = Object.entries(config).toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));
  const members: (readonly [string, JsonNode])[] = [];
  let isSound = true;
  for (const [key, value] of entries) {
    const node = compileValue(value, env, `${path}.${key}`, options);
    if (node === null) isSound = false;
    else members.push([`${quote(wireText(key))}:`, node]);
  }
  if (!isSound) return null;
  return (x) => {
    let text = '';
    for (const [name, node] of members) {
      const value = node(x);
      if (value !== null) text += (text === '' ? '' : ',') + name + value;
    }
    return text === '' && options.omitsEmpty ? null : `{${text}}`;
  };
}

function compileList(
  config: readonly JsonValue[],
  env: CompileEnv,
  path: string,
  options: JsonLineOptions,
): JsonNode | null {
  const nodes: JsonNode[] = [];
  for (const [index, value] of config.entries()) {
    const node = compileValue(value, env, `${path}[${index}]`, options);
    if (node !== null) nodes.push(node);
  }
  if (nodes.length !== config.length) return null;
  return (x) => {
    let text = '';
    for (const node of nodes) {
      const value = node(x);
      if (value !== null) text += (text === '' ? '' : ',') + value;
    }
    return `[${text}]`;
  };
}

function valueText(value: FormatValue): string {
  if (value === null) return 'null';
  return typeof value === 'number' ? String(value) : quote(value);
}

/** `wire` as a JSON string, in wire text again. Bytes that are not UTF-8 are named as Latin-1, as Envoy does. */
function quote(wire: string): string {
  if (isAscii(wire)) return JSON.stringify(wire);
  if (isUtf8(Buffer.from(wire, 'latin1'))) return wireText(JSON.stringify(unicodeText(wire)));
  let text = '';
  for (const character of JSON.stringify(wire)) {
    text += character < '\x80' ? character : `\\u00${character.charCodeAt(0).toString(16)}`;
  }
  return text;
}
