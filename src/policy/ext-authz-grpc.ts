// Asks an authorization service over gRPC (envoy.service.auth.v3.Authorization/Check), with what is known of the
// request, its connection and its route, and reads the decision. An answer that cannot be read is none.
// Source: Envoy service.auth.v3, and how Envoy's filter fills it in.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GRPC_CODES } from '../base/grpc-codes.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { RemoteCall, RemoteCalls, RemoteGrpcResult } from '../plan/remote-call.ts';
import { wireText } from '../plan/wire-text.ts';
import {
  CheckRequestSchema,
  CheckResponseSchema,
  type CheckResponse,
  type OkHttpResponse,
} from '../xds/gen/envoy/service/auth/v3/external_auth_pb.js';
import {
  HeaderValueOption_HeaderAppendAction as Action,
  type HeaderValueOption,
} from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { attributesOf } from './ext-authz-attributes.ts';
import { NO_REQUEST_CHANGES, NO_RESPONSE_CHANGES, type AuthzDecision, type AuthzField } from './ext-authz-decision.ts';
import type { AuthzGrpcService, AuthzSettings } from './ext-authz-settings.ts';

const METHOD = '/envoy.service.auth.v3.Authorization/Check';

export function askGrpc(
  x: Exchange,
  arg: AuthzSettings,
  service: AuthzGrpcService,
  done: (decision: AuthzDecision) => void,
): RemoteCall {
  const message = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: attributesOf(x, arg) }));
  return callGrpc(x, message, { service, remote: arg.state.remote }, done);
}

/** Sends a CheckRequest that is in bytes. */
export function callGrpc(
  x: Exchange,
  message: Uint8Array,
  { service, remote }: { readonly service: AuthzGrpcService; readonly remote: RemoteCalls },
  done: (decision: AuthzDecision) => void,
): RemoteCall {
  const metadata: Record<string, string> = {};
  for (const { name, value } of service.initialMetadata) metadata[name] = value.run(x);
  return remote.grpc(service.cluster, METHOD, message, {
    timeoutMs: service.timeoutMs,
    metadata,
    ...(service.authority === undefined ? {} : { authority: service.authority }),
    done: (result) => done(grpcDecisionOf(result)),
  });
}

export function grpcDecisionOf(result: RemoteGrpcResult): AuthzDecision {
  if (result.kind === 'failed') {
    const code = GRPC_CODES[result.status] ?? String(result.status);
    return { kind: 'failed', reason: result.reason === 'timeout' ? 'timeout' : `${code} ${result.reason}`.trim() };
  }
  const response = parse(result.message);
  if (response === null) return { kind: 'failed', reason: 'the answer is no CheckResponse' };
  return (response.status?.code ?? 0) === 0 ? allowedBy(response) : deniedBy(response);
}

function parse(message: Uint8Array): CheckResponse | null {
  try {
    return fromBinary(CheckResponseSchema, message);
  } catch {
    // Bytes from elsewhere that are no message: null says so.
    return null;
  }
}

function allowedBy(response: CheckResponse): AuthzDecision {
  const ok = response.httpResponse.case === 'okResponse' ? response.httpResponse.value : null;
  const metadata = ok?.dynamicMetadata ?? response.dynamicMetadata ?? null;
  const base = { kind: 'allowed', metadata } as const;
  if (ok === null) {
    return { ...base, request: NO_REQUEST_CHANGES, response: NO_RESPONSE_CHANGES, isMalformed: false };
  }
  const isMalformed = [...ok.headers, ...ok.responseHeadersToAdd].some((option) => !hasAction(option));
  return { ...base, request: requestChanges(ok), response: responseChanges(ok.responseHeadersToAdd), isMalformed };
}

/** `append` wins over `append_action` and is false unless it is said: then a value is replaced. */
function requestChanges(ok: OkHttpResponse): Extract<AuthzDecision, { kind: 'allowed' }>['request'] {
  return {
    ...NO_REQUEST_CHANGES,
    set: ok.headers.filter((option) => !isAppended(option)).flatMap(fieldOf),
    append: ok.headers.filter(isAppended).flatMap(fieldOf),
    remove: ok.headersToRemove.map((name) => name.toLowerCase()),
    setParameters: ok.queryParametersToSet.map(({ key, value }) => [wireText(key), wireText(value)]),
    removeParameters: ok.queryParametersToRemove.map(wireText),
  };
}

function isAppended({ append }: HeaderValueOption): boolean {
  return append === true;
}

function responseChanges(options: readonly HeaderValueOption[]): typeof NO_RESPONSE_CHANGES {
  const by = (action: Action): readonly AuthzField[] =>
    options.filter((option) => actionOf(option) === action).flatMap(fieldOf);
  return {
    add: by(Action.APPEND_IF_EXISTS_OR_ADD),
    set: by(Action.OVERWRITE_IF_EXISTS_OR_ADD),
    addIfAbsent: by(Action.ADD_IF_ABSENT),
    overwriteIfPresent: by(Action.OVERWRITE_IF_EXISTS),
  };
}

function actionOf({ append, appendAction }: HeaderValueOption): Action {
  if (append === undefined) return appendAction;
  return append ? Action.APPEND_IF_EXISTS_OR_ADD : Action.OVERWRITE_IF_EXISTS_OR_ADD;
}

function hasAction({ append, appendAction }: HeaderValueOption): boolean {
  return append !== undefined || Action[appendAction] !== undefined;
}

function deniedBy(response: CheckResponse): AuthzDecision {
  const denied = response.httpResponse.case === 'deniedResponse' ? response.httpResponse.value : null;
  const status: number = denied?.status?.code ?? 0;
  return {
    kind: 'denied',
    status: status >= 200 && status < 600 ? status : 403,
    // What is to be appended has nothing to be appended to.
    headers: (denied?.headers ?? []).filter((option) => !isAppended(option)).flatMap(fieldOf),
    body: wireText(denied?.body ?? ''),
    metadata: response.dynamicMetadata ?? null,
    isMalformed: (denied?.headers ?? []).some((option) => !hasAction(option)),
  };
}

function fieldOf({ header }: HeaderValueOption): AuthzField[] {
  if (header === undefined) return [];
  const { key, value, rawValue } = header;
  const text = rawValue.length > 0 ? Buffer.from(rawValue).toString('latin1') : wireText(value);
  return [[key.toLowerCase(), text]];
}
