// @hot
// What the connection manager does to every request before routing and to every response before it
// is written, as Envoy's does: path normalisation, forwarded address and scheme, request id, internal
// fields that outsiders may not set, Server, Date and Via.
// Source: Envoy HttpConnectionManager and its header handling documentation.
import { newUniqueId } from '../base/unique-id.ts';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { HeaderId } from '../base/brand.ts';
import { hasEscapedNul, hasEscapedSlash, mergeSlashes, normalizePath, unescapeSlashes } from '../http/path.ts';
import { H, internHeader } from '../http/header-name.ts';
import { httpDate } from '../http/status.ts';
import type { Head } from '../http/head.ts';
import type { Exchange } from '../plan/exchange.ts';
import { ATTEMPT } from '../resilience/chain-mark.ts';
import { prepareClientCert } from './client-cert-header.ts';
import type { HttpManager } from './http-manager.ts';

/** Results of prepareRequest. */
export const PREPARED = 0;
export const REFUSED = 400;
/** The path was unescaped: answer 307 with the new path as Location. */
export const REDIRECTED = 307;
/** A header name has an underscore and the manager takes none: answer 400 and close. */
export const UNDERSCORED = 1;

/** Control fields that only the mesh itself may set (Envoy cleanInternalHeaders). */
const INTERNAL: readonly HeaderId[] = [
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-internal',
  'x-outrigger-attempt',
].map((name) => internHeader(name));

const EDGE: readonly HeaderId[] = [
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-original-path',
].map((name) => internHeader(name));

const INTERNAL_SET: ReadonlySet<number> = new Set<number>(INTERNAL);
const EDGE_SET: ReadonlySet<number> = new Set<number>(EDGE);
const VIA = internHeader('via');
const ENVOY_INTERNAL = internHeader('x-envoy-internal');
const EXTERNAL_ADDRESS = internHeader('x-envoy-external-address');
const DOWNSTREAM_CLUSTER = internHeader('x-envoy-downstream-service-cluster');

/** Prepares the request of `x` for routing; PREPARED, or the status that must answer it. */
export function prepareRequest(x: Exchange, manager: HttpManager): number {
  const { request } = x;
  if (manager.underscoredHeaders !== 'allow' && !dealsWithUnderscores(request, manager)) return UNDERSCORED;
  const code = preparePath(request, manager);
  if (code !== PREPARED) return code;
  prepareHost(x, manager);
  const isEdge = manager.useRemoteAddress;
  const forwardedFor = request.getJoined(H.forwardedFor);
  const client = clientOf(x, manager, forwardedFor ?? '');
  // Whoever is internal is trusted with the fields by which the mesh controls itself.
  const isInternal = x.isInternal;
  if (manager.isMesh && !x.connection.isInbound) x.isInternal = true;
  if (!x.isInternal) removeInternal(request, isEdge, manager.isMesh);
  prepareClientCert(request, x.connection, manager);
  if (forwardedFor !== null) request.set(H.forwardedFor, forwardedFor);
  if (isInternal) request.set(ENVOY_INTERNAL, 'true');
  else if (isEdge) request.set(EXTERNAL_ADDRESS, client);
  else if (x.isInternal) request.remove(ENVOY_INTERNAL);
  if (isEdge) appendForwardedFor(x, manager, forwardedFor ?? '');
  if (manager.addedUserAgent !== null) markAgent(request, manager.addedUserAgent);
  if ((isEdge && manager.xffTrustedHops === 0) || !request.has(H.forwardedProto)) {
    request.set(H.forwardedProto, x.connection.isTls ? 'https' : 'http');
  }
  // An absolute target brought its own scheme; any other has the one that the client is known to have used.
  if (isOriginForm(request) && request.get(H.forwardedProto) === 'https') request.scheme = 'https';
  if (manager.schemeToOverwrite !== '') request.scheme = manager.schemeToOverwrite;
  if (manager.generatesRequestId) {
    const mustRenew = isEdge && !manager.preservesExternalRequestId;
    if (mustRenew || (request.get(H.requestId) ?? '') === '') request.set(H.requestId, newUniqueId());
  }
  if (manager.via !== '') appendVia(request, manager.via);
  return PREPARED;
}

function isOriginForm(request: Head): boolean {
  return request.text.charCodeAt(request.method.length + 1) === 0x2f;
}

/** Drops header lines with an underscore in their name, or is false when the request must be refused. */
function dealsWithUnderscores(request: Head, manager: HttpManager): boolean {
  const { count } = request;
  for (let i = 0; i < count; i++) {
    if (request.isRemovedAt(i) || request.nameAt(i).indexOf('_') === -1) continue;
    if (manager.underscoredHeaders === 'reject') {
      manager.tally.underscoresRejected++;
      return false;
    }
    manager.tally.underscoresDropped++;
    request.removeAt(i);
  }
  return true;
}

function preparePath(request: Head, manager: HttpManager): number {
  const before = request.path;
  if (before === '') return PREPARED; // CONNECT has none.
  if (hasEscapedNul(before)) return REFUSED;
  if (manager.escapedSlashes !== 'keep' && hasEscapedSlash(before)) {
    if (manager.escapedSlashes === 'reject') return REFUSED;
    request.path = unescapeSlashes(before);
    if (manager.escapedSlashes === 'unescape-redirect') return REDIRECTED;
  }
  if (manager.normalizesPath && request.path !== '*') request.path = normalizePath(request.path);
  if (manager.mergesSlashes) request.path = mergeSlashes(request.path);
  return PREPARED;
}

function prepareHost(x: Exchange, manager: HttpManager): void {
  const { request } = x;
  if (!manager.stripsAnyHostPort && !manager.stripsMatchingHostPort && !manager.stripsTrailingHostDot) return;
  let host = request.authority;
  const name = request.hostname();
  if (name.length !== host.length) {
    const port = Number(host.slice(name.length + 1));
    if (manager.stripsAnyHostPort || (manager.stripsMatchingHostPort && port === x.connection.localPort)) host = name;
  }
  if (manager.stripsTrailingHostDot) {
    const bare = host.length === name.length ? host : name;
    if (bare.endsWith('.')) host = bare.slice(0, -1) + host.slice(bare.length);
  }
  if (host !== request.authority) request.setAuthority(host);
}

function removeInternal(request: Head, isEdge: boolean, isMesh: boolean): void {
  const { ids, count } = request;
  for (let i = 0; i < count; i++) {
    const id = ids[i] as number;
    if (id <= 0 || (isMesh && (id === H.envoyExpectedTimeout || id === ATTEMPT))) continue;
    if (INTERNAL_SET.has(id) || (isEdge && EDGE_SET.has(id))) request.removeAt(i);
  }
}

/**
 * The address of who asked, which decides whether the request is internal; empty where nobody forwarded it and nobody
 * asks: then the client is the peer, and the kernel need not be asked who that is.
 */
function clientOf(x: Exchange, manager: HttpManager, forwardedFor: string): string {
  const { connection } = x;
  const isEdge = manager.useRemoteAddress;
  if (!isEdge && forwardedFor === '') return '';
  const hops = manager.xffTrustedHops;
  const isListed = !isEdge || hops > 0;
  const listed = isListed ? addressFromEnd(forwardedFor, isEdge ? hops - 1 : hops) : '';
  if (isIP(listed) !== 0) x.clientAddress = listed;
  const client = x.clientAddress === '' ? connection.remoteAddress : x.clientAddress;
  // An address may be believed to be internal only when nobody else could have written it.
  const isCertain = isEdge
    ? forwardedFor === ''
    : hops === 0 && x.clientAddress !== '' && forwardedFor.indexOf(',') === -1;
  x.isInternal = isCertain && manager.internalAddresses !== null && manager.internalAddresses.has(client);
  return client;
}

/** The address `back` places before the last of an X-Forwarded-For list; empty when there is none. */
function addressFromEnd(forwardedFor: string, back: number): string {
  let end = forwardedFor.length;
  for (let i = 0; i < back; i++) {
    end = forwardedFor.lastIndexOf(',', end - 1);
    if (end === -1) return '';
  }
  let start = forwardedFor.lastIndexOf(',', end - 1) + 1;
  // Blanks only: String.trim would take more than the grammar does.
  while (start < end && isBlank(forwardedFor.charCodeAt(start))) start++;
  while (end > start && isBlank(forwardedFor.charCodeAt(end - 1))) end--;
  return forwardedFor.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function markAgent(request: Head, agent: string): void {
  request.set(DOWNSTREAM_CLUSTER, agent);
  if (!request.has(H.userAgent)) request.add(H.userAgent, agent);
}

function appendForwardedFor(x: Exchange, manager: HttpManager, before: string): void {
  if (manager.skipXffAppend) return;
  const { request, connection } = x;
  const remote = isLoopback(connection.remoteAddress) ? machineAddress() : connection.remoteAddress;
  request.set(H.forwardedFor, before === '' ? remote : before + ',' + remote);
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

let machine = '';

/** The machine's own address, which stands for a client on loopback. Looked up once: config time. */
function machineAddress(): string {
  if (machine === '') {
    const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    machine = all.find((address) => address.family === 'IPv4' && !address.internal)?.address ?? '127.0.0.1';
  }
  return machine;
}

function appendVia(head: Head, via: string): void {
  const before = head.getJoined(VIA);
  head.set(VIA, before === null ? via : before + ', ' + via);
}

/** Server, Date, Via and the request id of a response, after all steps have run. */
export function finishResponse(x: Exchange, manager: HttpManager, wallMs: number): void {
  const { response } = x;
  if (!response.has(H.date)) response.add(H.date, httpDate(wallMs));
  switch (manager.serverHeader) {
    case 'overwrite':
      response.set(H.server, manager.serverName);
      break;
    case 'append-if-absent':
      if (!response.has(H.server)) response.add(H.server, manager.serverName);
      break;
    default:
  }
  if (manager.via !== '') appendVia(response, manager.via);
  if (manager.alwaysSetsRequestIdInResponse) {
    const id = x.request.get(H.requestId);
    if (id !== null) response.set(H.requestId, id);
  }
}
