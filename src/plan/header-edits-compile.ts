// Compiles the header edits of one level of configuration. Refuses what Envoy refuses: edits of
// pseudo headers and of Host (rewrites exist for those), both `append` and `append_action`, names and
// values that cannot stand in a header.
import { error, warning, type Problem } from '../base/problem.ts';
import { internHeader } from '../http/header-name.ts';
import { compileFormat, literalFormat } from './format.ts';
import { joinsValues } from './joined-header.ts';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOption,
} from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { HeaderEdits, type EditAction, type HeaderEdit } from './header-edits.ts';

interface EditedMessage {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  readonly responseHeadersToRemove: readonly string[];
}

/** Null when the level edits nothing in that direction. */
export function compileHeaderEdits(
  config: EditedMessage,
  direction: 'request' | 'response',
  problems: Problem[],
  path: string,
): HeaderEdits | null {
  const isRequest = direction === 'request';
  const add = isRequest ? config.requestHeadersToAdd : config.responseHeadersToAdd;
  const remove = isRequest ? config.requestHeadersToRemove : config.responseHeadersToRemove;
  if (add.length === 0 && remove.length === 0) return null;
  const prefix = path === '' ? '' : `${path}.`;
  for (const [i, name] of remove.entries())
    checkName(name, 'removed', problems, `${prefix}${direction}_headers_to_remove[${i}]`);
  const edits: HeaderEdit[] = [];
  for (const [i, option] of add.entries()) {
    const edit = compileEdit(option, direction, problems, `${prefix}${direction}_headers_to_add[${i}]`);
    if (edit !== null) edits.push(edit);
  }
  const names = remove.map((name) => name.toLowerCase());
  return new HeaderEdits(names, names.map(internHeader), edits);
}

function compileEdit(
  option: HeaderValueOption,
  direction: 'request' | 'response',
  problems: Problem[],
  path: string,
): HeaderEdit | null {
  const { header } = option;
  if (header === undefined) {
    problems.push(error(`${path}.header`, 'is required'));
    return null;
  }
  if (!checkName(header.key, 'modified', problems, `${path}.header.key`)) return null;
  if (FRAMING.has(header.key.toLowerCase())) {
    problems.push(
      warning(
        `${path}.header.key`,
        `'${header.key}' frames the body and is the proxy's to write: the edit is left out`,
      ),
    );
    return null;
  }
  const action = actionOf(option, problems, path);
  const raw = header.rawValue.length > 0 ? Buffer.from(header.rawValue).toString('utf8') : '';
  if (raw !== '' && header.value !== '')
    problems.push(error(`${path}.header`, 'has both value and raw_value', 'keep one of them'));
  const text = raw === '' ? header.value : raw;
  if (/[\0\r\n]/.test(text)) {
    problems.push(error(`${path}.header.value`, 'has a line break or a NUL'));
    return null;
  }
  const format = text.includes('%') ? compileFormat(text, problems, `${path}.header.value`, '') : literalFormat(text);
  if (format === null || action === null) return null;
  const name = header.key.toLowerCase();
  return {
    name,
    id: internHeader(name),
    action,
    format,
    isConstant: !text.includes('%'),
    keepsEmpty: option.keepEmptyValue,
    joins: joinsValues(name, direction),
  };
}

function actionOf(option: HeaderValueOption, problems: Problem[], path: string): EditAction | null {
  if (option.append !== undefined) {
    if (option.appendAction === AppendAction.APPEND_IF_EXISTS_OR_ADD) return option.append ? 'append' : 'overwrite';
    problems.push(error(`${path}.append`, 'cannot stand beside append_action', 'use append_action alone'));
    return null;
  }
  switch (option.appendAction) {
    case AppendAction.APPEND_IF_EXISTS_OR_ADD:
      return 'append';
    case AppendAction.ADD_IF_ABSENT:
      return 'add-if-absent';
    case AppendAction.OVERWRITE_IF_EXISTS_OR_ADD:
      return 'overwrite';
    case AppendAction.OVERWRITE_IF_EXISTS:
      return 'overwrite-if-present';
    default:
      problems.push(error(`${path}.append_action`, `has no meaning for ${String(option.appendAction)}`));
      return null;
  }
}

/** What says where a message ends: a value of the configuration's would make one message two, or half a one. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

/** Header names are tokens (RFC 9110 section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function checkName(name: string, verb: 'modified' | 'removed', problems: Problem[], path: string): boolean {
  if (name.startsWith(':') || name.toLowerCase() === 'host') {
    problems.push(
      error(
        path,
        `pseudo headers and host may not be ${verb}: '${name}'`,
        'use host_rewrite_literal, prefix_rewrite or regex_rewrite',
      ),
    );
    return false;
  }
  if (TOKEN.test(name)) return true;
  problems.push(error(path, `'${name}' is not a header name`));
  return false;
}
