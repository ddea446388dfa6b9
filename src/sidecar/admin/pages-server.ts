// The admin pages that show something and change nothing, for the control service on another machine: over mutual TLS under the
// workload's own certificate, and for nobody else, whoever signed them. Without a certificate nobody is let in. Off the
// request path: plain node:https.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Log } from '../../base/log.ts';
import { alternativeNamesOf } from '../../tls/alternative-names.ts';
import { controlIdFor } from '../../tls/control-id.ts';
import { svidFault } from '../../tls/svid.ts';
import type { Identity } from '../identity.ts';
import { certs } from './certs.ts';
import { clusters } from './clusters.ts';
import { configDump } from './config-dump.ts';
import { explain } from './explain.ts';
import { listeners } from './listeners.ts';
import { plans } from './plans.ts';
import { ready } from './ready.ts';
import { memory, serverInfo } from './server-info.ts';
import { adminHandler, listen, type AdminAddress, type RunningServer } from './server.ts';
import type { AdminSource } from './source.ts';
import { prometheus, stats } from './stats.ts';

/** As the gateway of the control service passes them on. */
const PAGES = [certs, clusters, configDump, explain, listeners, memory, plans, ready, serverInfo, stats, prometheus];
const CONNECTIONS_MAX = 32;
/** For the handshake, and for the head of a request: who dawdles keeps nobody out. */
const HEAD_MS = 5000;
/** A renewed certificate is shown by then. */
const LOOK_MS = 1000;

export interface PagesOptions {
  readonly source: AdminSource;
  readonly identity: Identity;
  readonly log: Log;
}

/** Rejects when the address cannot be bound. */
export async function startPagesServer(
  { source, identity, log }: PagesOptions,
  at: Required<AdminAddress>,
): Promise<RunningServer> {
  const answer = adminHandler(source, PAGES);
  const options = {
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HEAD_MS,
    headersTimeout: HEAD_MS,
    requestTimeout: HEAD_MS,
  } as const;
  const server: Server = process.getBuiltinModule('node:https').createServer(options, (request, response) => {
    const why = request.method === 'GET' ? refusalOf(request, identity) : 'only GET';
    if (why === '') return answer(request, response);
    log.warning('pages refused', { address: request.socket.remoteAddress ?? '', reason: why });
    refuse(response, why);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('tlsClientError', (cause: Error) => log.debug('a handshake for pages failed', { cause: cause.message }));
  const show = shower(server, identity);
  const timer = setInterval(show, LOOK_MS).unref();
  server.once('close', () => clearInterval(timer));
  show();
  void identity.first.then(show);
  return await listen(server, at);
}

/** Shows the newest certificate, and asks for one of the newest roots. */
function shower(server: Server, identity: Identity): () => void {
  let shown = '';
  return () => {
    const { own } = identity.access;
    const ca = identity.rootsPem;
    if (own === null || ca === '' || shown === `${own.chainPem}${ca}`) return;
    shown = `${own.chainPem}${ca}`;
    server.setSecureContext({ cert: own.chainPem, key: own.keyPem, ca, minVersion: 'TLSv1.2' });
  };
}

/** Empty: it is the control service of our own mesh. */
function refusalOf({ socket }: IncomingMessage, { issued, isExpired }: Identity): string {
  if (!isTls(socket) || !socket.authorized) return 'no certificate of the mesh';
  if (issued === null || isExpired) return 'this workload has no valid certificate itself';
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined || svidFault(leaf, true) !== null) return 'the certificate is no SVID';
  const [uri] = alternativeNamesOf(leaf).uri;
  return uri === controlIdFor(issued.uri) ? '' : `${uri ?? ''} is not the control service`;
}

function isTls(socket: object): socket is TLSSocket {
  return 'getPeerX509Certificate' in socket;
}

function refuse(response: ServerResponse, why: string): void {
  response.writeHead(why === 'only GET' ? 405 : 403, { 'content-type': 'text/plain', connection: 'close' });
  response.end(why === 'only GET' ? 'only GET\n' : 'refused\n');
}
