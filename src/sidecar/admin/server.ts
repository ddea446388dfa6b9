// The admin HTTP server: Envoy's paths on a port of its own, on loopback unless told otherwise. It is
// off the request path, so it is plain node:http. Whatever an endpoint throws is answered with 500
// and logged: the admin port must never take the proxy with it.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { isLoopback, isOwnHost } from '../../base/own-host.ts';
import { descriptorOf } from '../descriptor.ts';
import { clusters } from './clusters.ts';
import { configDump } from './config-dump.ts';
import { text, type AdminAnswer, type AdminEndpoint } from './endpoint.ts';
import { explain } from './explain.ts';
import { homeEndpoints, listCommands } from './home.ts';
import { drain, drainListeners, quit } from './lifecycle.ts';
import { listeners } from './listeners.ts';
import { logging } from './logging.ts';
import { plans } from './plans.ts';
import { healthcheckFail, healthcheckOk, ready } from './ready.ts';
import { certs } from './certs.ts';
import { memory, serverInfo } from './server-info.ts';
import type { AdminSource } from './source.ts';
import { prometheus, stats } from './stats.ts';

export interface AdminAddress {
  /** An IP, or a Unix path when `port` is -1; 127.0.0.1 by default. */
  readonly address?: string;
  /** 0 lets the kernel choose; -1 listens on the Unix path. */
  readonly port: number;
  /** A socket that listens on this address already, ours from now on; null or none: one is bound. */
  readonly descriptor?: number | null;
}

export interface RunningServer {
  readonly address: string;
  readonly port: number;
  /** The listening socket; -1 when it is closed. */
  descriptor(): number;
  close(): Promise<void>;
}

const OPERATIONS: readonly AdminEndpoint[] = [
  certs,
  clusters,
  configDump,
  drain,
  drainListeners,
  explain,
  healthcheckFail,
  healthcheckOk,
  listeners,
  logging,
  memory,
  plans,
  quit,
  ready,
  serverInfo,
  stats,
  prometheus,
];

/** Every endpoint of the admin server. */
const ENDPOINTS: readonly AdminEndpoint[] = [...homeEndpoints(OPERATIONS), ...OPERATIONS];

/** Serves `endpoints` (all of them by default). Rejects when the address cannot be bound. */
export function startAdminServer(
  source: AdminSource,
  { address = '127.0.0.1', port, descriptor = null }: AdminAddress,
  endpoints: readonly AdminEndpoint[] = ENDPOINTS,
): Promise<RunningServer> {
  // Asked for by name, because an import names every export of node:http, and that loads all of undici: 65 ms.
  const server = process.getBuiltinModule('node:http').createServer(adminHandler(source, endpoints));
  return listen(server, { address, port, descriptor });
}

/** Answers requests for these pages, whoever asks: that is the business of the server. */
export function adminHandler(
  source: AdminSource,
  endpoints: readonly AdminEndpoint[],
): (request: IncomingMessage, response: ServerResponse) => void {
  const byPath = new Map(endpoints.map((endpoint) => [endpoint.path, endpoint]));
  return (request, response) => {
    // A body is never read: parameters stand in the query.
    request.resume();
    const reply = (): void => send(response, answerTo(source, byPath, request), request.method === 'HEAD');
    if (source.refresh === undefined) reply();
    else void source.refresh().then(reply, reply);
  };
}

function answerTo(
  source: AdminSource,
  byPath: ReadonlyMap<string, AdminEndpoint>,
  request: IncomingMessage,
): AdminAnswer {
  // A page whose name was turned to this machine is of our own site for its browser. Probes have nothing to hide.
  if (byPath.has(quit.path) && isLoopback(request.socket.localAddress) && !isOwnHost(request.headers.host))
    return text('Refused: asked under a name that is not of this machine. Use 127.0.0.1 or localhost.\n', 403);
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const endpoint = byPath.get(path);
  if (endpoint === undefined) return text(`invalid path. ${listCommands([...byPath.values()])}`, 404);
  const method = request.method ?? 'GET';
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') return text(`Method ${method} not allowed.`, 405);
  if (endpoint.isPostOnly && method !== 'POST') return text(`Method ${method} not allowed, POST required.`, 405);
  // A page of another site may make a browser post here; it must not stop the proxy.
  const site = request.headers['sec-fetch-site'];
  const isForeign = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (endpoint.isPostOnly && isForeign) return text('Refused: sent by a page of another site.\n', 403);
  const pairs = [...new URLSearchParams(mark === -1 ? '' : target.slice(mark + 1))];
  const query = new Map(pairs);
  try {
    return endpoint.answer({ source, query, pairs, accept: request.headers.accept ?? '' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    source.log.error('admin endpoint failed', { path, reason });
    return text(`Internal error: ${reason}\n`, 500);
  }
}

function send(response: ServerResponse, answer: AdminAnswer, isHead: boolean): void {
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-cache, max-age=0',
    'x-content-type-options': 'nosniff',
    server: 'outrigger',
    ...(answer.afterSent === undefined ? {} : { connection: 'close' }),
  });
  response.end(isHead ? undefined : answer.body, answer.afterSent);
}

/** Rejects when the address cannot be bound. */
export function listen(
  server: Server | SecureServer,
  { address, port, descriptor }: Required<AdminAddress>,
): Promise<RunningServer> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const bound = (): void => {
      server.off('error', reject);
      const at = server.address();
      const isPipe = at === null || typeof at === 'string';
      resolve({
        address: isPipe ? address : at.address,
        port: isPipe ? 0 : at.port,
        descriptor: () => descriptorOf(server),
        close: () => close(server),
      });
    };
    if (descriptor !== null) server.listen({ fd: descriptor }, bound);
    else if (port === -1) server.listen(address, bound);
    else server.listen(port, address, bound);
  });
}

function close(server: Server | SecureServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
