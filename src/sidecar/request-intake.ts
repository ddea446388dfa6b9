// @hot
// What a connection does with a request head before anything is routed: frames it, takes or refuses HTTP/1.0,
// prepares it as the connection manager says, and notes an offer to change the protocol. It answers nothing:
// it says which status must, and x.details says why.
import { NO_BODY } from '../http/body-decoder.ts';
import type { Clock } from '../base/clock.ts';
import { inspectRequest, type Framing } from '../http/framing.ts';
import { H } from '../http/header-name.ts';
import { reasonOf } from '../http/status.ts';
import type { Connection, Exchange } from '../plan/exchange.ts';
import { BAD_VERSION } from '../http/head-parser.ts';
import type { Head } from '../http/head.ts';
import { PREPARED, REDIRECTED, UNDERSCORED, prepareRequest } from './downstream-headers.ts';
import type { HttpManager } from './http-manager.ts';
import { CONNECT, offerUpgrade } from './upgrade.ts';

/** The request may go to the driver. */
export const TAKEN = 0;

/**
 * TAKEN, the status to refuse with (the connection cannot go on), or a status below zero: that answers, and
 * the connection goes on behind the body as framing.isKeptAlive says.
 */
export function takeRequest(x: Exchange, framing: Framing, manager: HttpManager): number {
  const { request } = x;
  const status = inspectRequest(request, framing, x.connection.isTls);
  if (status !== 0) return refuse(x, status, 'http1.codec_error');
  if (request.minor === 0) {
    const old = takeOld(x, manager);
    if (old !== TAKEN) return old;
  }
  const prepared = prepareRequest(x, manager);
  if (prepared !== PREPARED) return refusePrepared(x, prepared, framing, manager);
  if (request.method === 'CONNECT') {
    x.upgrade = CONNECT;
    if (framing.bodyKind !== NO_BODY) return refuse(x, 400, 'http1.body_disallowed');
  } else if (framing.upgrade !== '' && request.minor === 1) {
    offerUpgrade(x, framing.upgrade);
    // Two readers could disagree on where the tunnel begins.
    if (x.upgrade !== '' && framing.bodyKind !== NO_BODY) return refuse(x, 400, 'http1.body_disallowed');
  }
  // As Envoy does, without the option in Connection: many take that field for a sign of an attack.
  if (framing.takesTrailers && manager.forwardsTrailers) request.add(H.te, 'trailers');
  if (framing.expectsContinue && !manager.proxiesContinue) request.remove(H.expect);
  return TAKEN;
}

/** The message is well framed, but its names or its path are refused, or the client has to come again. */
function refusePrepared(x: Exchange, prepared: number, framing: Framing, manager: HttpManager): number {
  if (prepared === REDIRECTED) {
    manager.tally.pathsRedirected++;
    x.response.add(H.location, x.request.path);
    return refuse(x, -REDIRECTED, 'path_normalization_failed');
  }
  const isName = prepared === UNDERSCORED;
  const details = isName ? 'http1.unexpected_underscore' : 'path_normalization_failed';
  if (!isName) manager.tally.pathsRefused++;
  if (isName && !manager.survivesInvalidMessages) return refuse(x, 400, details);
  if (!manager.survivesInvalidMessages) framing.isKeptAlive = false;
  return refuse(x, -400, details);
}

/** HTTP/1.0: 426 unless the manager accepts it, and then it needs a host. */
function takeOld(x: Exchange, manager: HttpManager): number {
  const { request } = x;
  if (!manager.acceptsHttp10) return refuse(x, 426, 'low_version');
  if (request.authority === '' && manager.defaultHostForHttp10 !== '') {
    request.setAuthority(manager.defaultHostForHttp10);
  }
  return request.authority === '' ? refuse(x, 400, 'missing_host_header') : TAKEN;
}

function refuse(x: Exchange, status: number, details: string): number {
  x.details = details;
  return status;
}

/** True for the request line that an HTTP/2 client begins with (RFC 9113 section 3.4); `code` is the parser's. */
export function isHttp2(code: number, request: Head): boolean {
  return code === BAD_VERSION && request.method === 'PRI' && request.path === '*';
}

/** When the request came, and over which connection. */
export function stampRequest(x: Exchange, clock: Clock, connection: Connection): void {
  x.startMs = clock.now();
  x.startWallMs = clock.wall();
  x.connection = connection;
}

/** The text of a refusal, as Envoy has it where it has one. */
export function refusalBody(status: number, details: string): string {
  if (details === 'request_header_timeout') return 'request header timeout';
  if (details === 'request_overall_timeout') return 'request timeout';
  return status === 400 && !details.startsWith('http1.') ? '' : reasonOf(status);
}

/** A reply outside any exchange: the request's head has been passed on and its body turned bad. */
export function bareReply(status: number): string {
  return 'HTTP/1.1 ' + status + ' ' + reasonOf(status) + '\r\ncontent-length: 0\r\nconnection: close\r\n\r\n';
}
