// @hot
// X-Forwarded-Client-Cert: who the client is by its certificate. What a peer claims in it counts only where
// the connection manager says so, and, short of `always-forward-only`, only when that peer has proved an
// identity of its own by mutual TLS; from anybody else the field is taken away.
// Source: Envoy HttpConnectionManager.forward_client_cert_details and set_current_client_cert_details.
import type { Head } from '../http/head.ts';
import { internHeader } from '../http/header-name.ts';
import type { Connection } from '../plan/exchange.ts';

const CLIENT_CERT = internHeader('x-forwarded-client-cert');

/** The manager's choice: Envoy's ForwardClientCertDetails, and whether the peer's URI is told. */
export interface ClientCertPolicy {
  /** `sanitize` by default. */
  readonly clientCert: 'sanitize' | 'forward-only' | 'append-forward' | 'sanitize-set' | 'always-forward-only';
  readonly setsClientCertUri: boolean;
}

/** Removes, keeps or writes the field of `request`, which came on `connection`. */
export function prepareClientCert(request: Head, connection: Connection, policy: ClientCertPolicy): void {
  const { clientCert } = policy;
  if (clientCert === 'sanitize') {
    if (request.has(CLIENT_CERT)) request.remove(CLIENT_CERT);
    return;
  }
  if (clientCert === 'always-forward-only') return;
  const principal = connection.isTls ? connection.peerPrincipal : '';
  if (principal === '') {
    if (request.has(CLIENT_CERT)) request.remove(CLIENT_CERT);
    return;
  }
  if (clientCert === 'forward-only') return;
  const element = policy.setsClientCertUri ? 'URI=' + principal : '';
  const before = clientCert === 'append-forward' ? request.getJoined(CLIENT_CERT) : null;
  if (element === '') {
    if (before === null) request.remove(CLIENT_CERT);
    return;
  }
  request.set(CLIENT_CERT, before === null || before === '' ? element : before + ',' + element);
}
