// Compiles an HttpHealthCheck: the request that asks, and what the answer must be. The request's headers may hold
// Envoy's formats; whatever of an exchange they name is absent in a check.
// Source: Envoy core.v3.HealthCheck.HttpHealthCheck and its validation rules.
import { error, warning } from '../base/problem.ts';
import { compileFormat } from '../plan/format.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  RequestMethod,
  type HeaderValueOption,
} from '../xds/gen/envoy/config/core/v3/base_pb.js';
import type { HealthCheck_HttpHealthCheck as HttpHealthCheck } from '../xds/gen/envoy/config/core/v3/health_check_pb.js';
import { CodecClientType } from '../xds/gen/envoy/type/v3/http_pb.js';
import type { Int64Range } from '../xds/gen/envoy/type/v3/range_pb.js';
import type { HttpProbeSettings, ProbeHeader, ProbeMethod, StatusRange } from './health-check-settings.ts';
import { compilePayload } from './payload.ts';

const BODY_BYTES_MAX = 1024;
const ONLY_200: readonly StatusRange[] = [{ start: 200, end: 201 }];
const CONTROL = /[\0\r\n]/;
const PATH = /^\/[^\0-\x20]*$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Null when there is nothing to ask for. */
export function compileHttpProbe(config: HttpHealthCheck, env: CompileEnv, path: string): HttpProbeSettings | null {
  const { problems } = env;
  if (config.path === '') problems.push(error(`${path}.path`, 'must be set', 'write path: /'));
  for (const field of ['host', 'path'] as const) {
    if (CONTROL.test(config[field])) problems.push(error(`${path}.${field}`, 'may not hold control characters'));
  }
  if (config.path !== '' && !PATH.test(config.path)) {
    problems.push(error(`${path}.path`, 'is no path of a request', 'begin with / and encode spaces as %20'));
  }
  checkCodec(config, env, path);
  const method = METHODS.get(config.method) ?? null;
  if (method === null) problems.push(error(`${path}.method`, 'is no method of a check', 'write GET or HEAD'));
  const send = config.send === undefined ? null : compilePayload(config.send, problems, `${path}.send`);
  if (send !== null && method !== null && !WITH_BODY.has(method)) {
    const remedy = 'write method POST, PUT, PATCH or OPTIONS';
    problems.push(error(`${path}.send`, `a request of method ${method} has no payload`, remedy));
  }
  const receive = config.receive.flatMap((payload, index) => {
    const block = compilePayload(payload, problems, `${path}.receive[${index}]`);
    return block === null ? [] : [block];
  });
  const expected = compileRanges(config.expectedStatuses, 'expected', env, `${path}.expected_statuses`);
  const { serviceNameMatcher: matcher } = config;
  return {
    kind: 'http',
    host: config.host,
    path: config.path,
    method: method ?? 'GET',
    send: send === null || send.length === 0 ? null : send,
    receive,
    bodyBytesMax: config.responseBufferSize === undefined ? BODY_BYTES_MAX : Number(config.responseBufferSize),
    headersToAdd: config.requestHeadersToAdd.flatMap((option, index) => {
      const header = compileHeader(option, env, `${path}.request_headers_to_add[${index}]`);
      return header === null ? [] : [header];
    }),
    headersToRemove: config.requestHeadersToRemove.map((name, index) => {
      checkName(name, 'removed', env, `${path}.request_headers_to_remove[${index}]`);
      return name.toLowerCase();
    }),
    expected: expected.length === 0 ? ONLY_200 : expected,
    retriable: compileRanges(config.retriableStatuses, 'retriable', env, `${path}.retriable_statuses`),
    serviceName: matcher === undefined ? null : compileStringMatch(matcher, problems, `${path}.service_name_matcher`),
  };
}

/** CONNECT is no way to ask how somebody is. */
const METHODS: ReadonlyMap<RequestMethod, ProbeMethod> = new Map([
  [RequestMethod.METHOD_UNSPECIFIED, 'GET'],
  [RequestMethod.GET, 'GET'],
  [RequestMethod.HEAD, 'HEAD'],
  [RequestMethod.POST, 'POST'],
  [RequestMethod.PUT, 'PUT'],
  [RequestMethod.DELETE, 'DELETE'],
  [RequestMethod.OPTIONS, 'OPTIONS'],
  [RequestMethod.TRACE, 'TRACE'],
  [RequestMethod.PATCH, 'PATCH'],
]);

const WITH_BODY: ReadonlySet<ProbeMethod> = new Set(['POST', 'PUT', 'PATCH', 'OPTIONS']);

function checkCodec({ codecClientType, useAlpnProtocol }: HttpHealthCheck, env: CompileEnv, path: string): void {
  if (codecClientType === CodecClientType.HTTP2) {
    const remedy = 'it comes with HTTP/2; write HTTP1 until then';
    env.problems.push(error(`${path}.codec_client_type`, 'checks over HTTP/2 are not supported yet', remedy));
  } else if (codecClientType === CodecClientType.HTTP3) {
    env.problems.push(error(`${path}.codec_client_type`, 'HTTP/3 is not supported', 'write HTTP1'));
  }
  if (useAlpnProtocol) {
    env.problems.push(warning(`${path}.use_alpn_protocol`, 'has no effect: checks speak HTTP/1.1'));
  }
}

function compileRanges(ranges: readonly Int64Range[], what: string, env: CompileEnv, path: string): StatusRange[] {
  return ranges.flatMap((range, index) => {
    const start = Number(range.start);
    const end = Number(range.end);
    const refuse = (message: string): StatusRange[] => {
      env.problems.push(error(`${path}[${index}]`, `invalid ${what} status range: ${message}`, 'write start and end'));
      return [];
    };
    if (start >= end) return refuse(`expecting start < end, but found start=${start} and end=${end}`);
    if (start < 100) return refuse(`expecting start >= 100, but found start=${start}`);
    if (end > 600) return refuse(`expecting end <= 600, but found end=${end}`);
    return [{ start, end }];
  });
}

function compileHeader(option: HeaderValueOption, env: CompileEnv, path: string): ProbeHeader | null {
  const { header } = option;
  if (header === undefined) {
    env.problems.push(error(`${path}.header`, 'is required'));
    return null;
  }
  if (!checkName(header.key, 'modified', env, `${path}.header.key`)) return null;
  if (FRAMING.has(header.key.toLowerCase())) {
    env.problems.push(warning(`${path}.header.key`, `'${header.key}' is the proxy's to write: it is left out`));
    return null;
  }
  const text = header.rawValue.length > 0 ? Buffer.from(header.rawValue).toString() : header.value;
  if (CONTROL.test(text)) {
    env.problems.push(error(`${path}.header.value`, 'may not hold control characters'));
    return null;
  }
  if (option.append !== undefined && option.appendAction !== AppendAction.APPEND_IF_EXISTS_OR_ADD) {
    env.problems.push(error(path, 'has both append and append_action', 'write append_action alone'));
  }
  const value = compileFormat(text, env.problems, `${path}.header.value`, '');
  if (value === null) return null;
  const action = option.append === false ? 'overwrite' : ACTIONS.get(option.appendAction);
  return { name: header.key, value, action: action ?? 'append', keepsEmpty: option.keepEmptyValue };
}

const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

const ACTIONS: ReadonlyMap<AppendAction, ProbeHeader['action']> = new Map([
  [AppendAction.APPEND_IF_EXISTS_OR_ADD, 'append'],
  [AppendAction.ADD_IF_ABSENT, 'add-if-absent'],
  [AppendAction.OVERWRITE_IF_EXISTS_OR_ADD, 'overwrite'],
  [AppendAction.OVERWRITE_IF_EXISTS, 'overwrite-if-exists'],
]);

/** False when it is refused. */
function checkName(name: string, verb: string, env: CompileEnv, path: string): boolean {
  if (name.startsWith(':') || name.toLowerCase() === 'host') {
    env.problems.push(error(path, `:-prefixed or host headers may not be ${verb}`, 'write host for the Host header'));
    return false;
  }
  if (HEADER_NAME.test(name)) return true;
  env.problems.push(error(path, `'${name}' is not a header name`));
  return false;
}
