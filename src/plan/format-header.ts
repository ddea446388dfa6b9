// Commands that read the request's and the response's headers, path and query.
import { GRPC_CODES } from '../base/grpc-codes.ts';
import { error } from '../base/problem.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from './exchange.ts';
import type { Command } from './format-operators.ts';
import { headerSource, readHeader, type HeaderSource } from './header-source.ts';

type Read = (x: Exchange) => string | number | null;

/** Null for a command of another kind, or after reporting a refused argument. */
export function compileHeaderCommand(command: Command): Read | null {
  const { name, argument } = command;
  switch (name) {
    case 'REQ':
    case 'REQUEST_HEADER':
      return compileSources(command, (x) => x.request);
    case 'RESP':
    case 'RESPONSE_HEADER':
      return compileSources(command, (x) => x.response, 'response');
    case 'REQ_WITHOUT_QUERY': {
      const read = compileSources(command, (x) => x.request);
      return read === null ? null : (x) => withoutQuery(read(x));
    }
    case 'PATH':
      return compilePath(command);
    case 'QUERY_PARAM': {
      if (argument === null || argument === '') return refuse(command, 'needs the name of a parameter');
      return (x) => parameterOf(x.request.path, argument);
    }
    case 'QUERY_PARAMS':
      return compileQuery(command);
    case 'GRPC_STATUS':
    case 'GRPC_STATUS_NUMBER':
      return compileGrpcStatus(command);
    default:
      return null;
  }
}

function refuse(command: Command, message: string): null {
  command.problems.push(error(command.path, `%${command.name}% ${message}`));
  return null;
}

/** `X` or `X?Y`: the first value of header X, or else of header Y. */
function compileSources(
  command: Command,
  headOf: (x: Exchange) => Exchange['request'],
  direction: 'request' | 'response' = 'request',
): ((x: Exchange) => string | null) | null {
  const names = (command.argument ?? '').split('?');
  const [first = '', second] = names;
  if (first === '' || names.length > 2) return refuse(command, 'needs a header name, or two with ? between them');
  const main = headerSource(first, direction);
  const other: HeaderSource | null = second === undefined || second === '' ? null : headerSource(second, direction);
  if (other === null) return (x) => readHeader(headOf(x), main);
  return (x) => readHeader(headOf(x), main) ?? readHeader(headOf(x), other);
}

function withoutQuery(path: string | null): string | null {
  if (path === null) return null;
  const question = path.indexOf('?');
  return question === -1 ? path : path.slice(0, question);
}

function compilePath(command: Command): Read | null {
  const [query = '', source = ''] = (command.argument ?? '').split(':');
  if (!['', 'WQ', 'NQ'].includes(query)) return refuse(command, `takes WQ or NQ first, not '${query}'`);
  const read = pathReader(source);
  if (read === null) return refuse(command, `takes ORIG, PATH or ORIG_OR_PATH second, not '${source}'`);
  return query === 'NQ' ? (x) => withoutQuery(read(x)) : read;
}

function currentPath(x: Exchange): string | null {
  return x.request.path === '' ? null : x.request.path;
}

function pathReader(source: string): ((x: Exchange) => string | null) | null {
  switch (source) {
    case 'PATH':
      return currentPath;
    case 'ORIG':
      return (x) => x.request.get(H.envoyOriginalPath);
    case '':
    case 'ORIG_OR_PATH':
      return (x) => x.request.get(H.envoyOriginalPath) ?? currentPath(x);
    default:
      return null;
  }
}

function parameterOf(path: string, name: string): string | null {
  const question = path.indexOf('?');
  if (question === -1) return null;
  return new URLSearchParams(path.slice(question + 1)).get(name);
}

function compileQuery(command: Command): Read | null {
  const mode = command.argument ?? '';
  if (!['', 'ORIG', 'DECODED'].includes(mode)) return refuse(command, `takes ORIG or DECODED, not '${mode}'`);
  return (x) => {
    const question = x.request.path.indexOf('?');
    const query = question === -1 ? '' : x.request.path.slice(question + 1);
    if (query === '') return null;
    return mode === 'DECODED' ? unescapePercent(query) : query;
  };
}

function unescapePercent(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const GRPC_CAMEL = GRPC_CODES.map((name) =>
  name === 'OK'
    ? name
    : name
        .split('_')
        .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
        .join(''),
);

/** The status of a gRPC call from the response head; trailers are passed on unread. */
function compileGrpcStatus(command: Command): Read | null {
  const style = command.name === 'GRPC_STATUS_NUMBER' ? 'NUMBER' : (command.argument ?? '');
  if (!['', 'CAMEL_STRING', 'SNAKE_STRING', 'NUMBER'].includes(style)) {
    return refuse(command, `takes CAMEL_STRING, SNAKE_STRING or NUMBER, not '${style}'`);
  }
  const names = style === 'SNAKE_STRING' ? GRPC_CODES : GRPC_CAMEL;
  return (x) => {
    const type = x.request.get(H.contentType);
    if (type === null || !type.startsWith('application/grpc')) return null;
    const text = x.response.get(H.grpcStatus);
    if (text === null) return null;
    const status = Number(text);
    if (!Number.isInteger(status)) return null;
    return style === 'NUMBER' ? status : (names[status] ?? text);
  };
}
