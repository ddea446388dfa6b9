// Asks an authorization service over HTTP: the request's own method, path and chosen fields go there, and the status
// decides. 200 allows, 5xx is no decision, anything else denies and is the client's answer with the fields that
// may pass. Source: Envoy ext_authz HttpService.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Exchange } from '../plan/exchange.ts';
import type { RemoteCall, RemoteHttpRequest, RemoteHttpResponse, RemoteHttpResult } from '../plan/remote-call.ts';
import { unicodeText } from '../plan/wire-text.ts';
import { NO_REQUEST_CHANGES, NO_RESPONSE_CHANGES, type AuthzDecision, type AuthzField } from './ext-authz-decision.ts';
import { fieldsFor, PARTIAL_BODY } from './ext-authz-fields.ts';
import type { AuthzHttpService, AuthzSettings, NamePredicate } from './ext-authz-settings.ts';

const TIMEOUT = 'x-envoy-expected-rq-timeout-ms';
/** Of the call itself, whatever the client said. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['content-length', 'x-envoy-internal', TIMEOUT]);
const TO_REMOVE = 'x-envoy-auth-headers-to-remove';

export function askHttp(
  x: Exchange,
  arg: AuthzSettings,
  service: AuthzHttpService,
  done: (decision: AuthzDecision) => void,
): RemoteCall {
  return arg.state.remote.http(service.cluster, requestFor(x, arg, service), {
    timeoutMs: service.timeoutMs,
    done: (result) => done(decisionOf(result, service)),
  });
}

export function requestFor(x: Exchange, arg: AuthzSettings, service: AuthzHttpService): RemoteHttpRequest {
  const headers: AuthzField[] = [];
  let path = service.pathPrefix;
  let authority = '';
  let method = 'GET';
  for (const field of fieldsFor(x, arg)) {
    const [name, value] = field;
    if (name === ':path') path += value;
    else if (name === ':authority') authority = value;
    else if (name === ':method') method = value;
    else if (!name.startsWith(':') && !OWN_FIELDS.has(name)) headers.push(field);
  }
  const body = arg.body === null ? null : x.heldBody;
  // As every request of Envoy's own has it.
  headers.push(['x-envoy-internal', 'true'], [TIMEOUT, String(service.timeoutMs)]);
  if (body !== null) headers.push([PARTIAL_BODY, String(x.isHeldPartial)]);
  for (const { name, value } of service.headersToAdd) {
    const text = value.run(x);
    const place = headers.findIndex(([other]) => other === name);
    if (name === ':path') path = text;
    else if (name === 'host' || name === ':authority') authority = text;
    else if (place === -1) headers.push([name, text]);
    else headers[place] = [name, text];
  }
  return { method, path, authority, headers, body: body === null || body.length === 0 ? null : body };
}

export function decisionOf(result: RemoteHttpResult, service: AuthzHttpService): AuthzDecision {
  if (result.kind === 'failed') return { kind: 'failed', reason: result.reason };
  const { response } = result;
  if (response.status >= 500) return { kind: 'failed', reason: `status ${response.status}` };
  return response.status === 200 ? allowedBy(response, service) : deniedBy(response, service);
}

function allowedBy({ headers }: RemoteHttpResponse, service: AuthzHttpService): AuthzDecision {
  const remove = headers
    .filter(([name]) => name === TO_REMOVE)
    .flatMap(([, value]) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const told = headers.filter(([name]) => name !== TO_REMOVE);
  const set = chosen(told, service.upstreamSet);
  const add = chosen(told, service.upstreamAppend);
  const response = { ...NO_RESPONSE_CHANGES, add: chosen(told, service.clientOnAllow) };
  const request = { ...NO_REQUEST_CHANGES, set, add, remove };
  return { kind: 'allowed', request, response, metadata: metadataOf(told, service), isMalformed: false };
}

function deniedBy({ status, headers, body }: RemoteHttpResponse, service: AuthzHttpService): AuthzDecision {
  const told = headers.filter(([name]) => name !== TO_REMOVE);
  return {
    kind: 'denied',
    status,
    headers: chosen(told, service.clientOnDeny),
    body: body.toString('latin1'),
    metadata: metadataOf(told, service),
    isMalformed: false,
  };
}

function chosen(headers: readonly AuthzField[], isChosen: NamePredicate): readonly AuthzField[] {
  return headers.filter(([name]) => isChosen(name));
}

function metadataOf(headers: readonly AuthzField[], { metadata }: AuthzHttpService): JsonObject | null {
  const fields = chosen(headers, metadata);
  return fields.length === 0 ? null : Object.fromEntries(fields.map(([name, value]) => [name, unicodeText(value)]));
}
