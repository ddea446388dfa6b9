// @hot
// X-Forwarded-Client-Cert: who the client is by its certificate. What a peer claims in it counts only where
// the connection manager says so, and, short of `always-forward-only`, only when that peer showed a certificate
// of its own; from anybody else the field is taken away.
// Source: Envoy HttpConnectionManager.forward_client_cert_details and set_current_client_cert_details.
import type { Head } from '../http/head.ts';
import { internHeader } from '../http/header-name.ts';
import type { Connection } from '../plan/exchange.ts';
import type { TlsFacts } from '../plan/tls-facts.ts';
import { wireText } from '../plan/wire-text.ts';

const CONTROLS = /\p{Cc}/gu;

const CLIENT_CERT = internHeader('x-forwarded-client-cert');

/** SetCurrentClientCertDetails: what is told beside our own URI and the certificate's hash. */
export interface ClientCertDetails {
  readonly subject: boolean;
  readonly cert: boolean;
  readonly chain: boolean;
  readonly uri: boolean;
  readonly dns: boolean;
}

/** The manager's choice: Envoy's ForwardClientCertDetails, and what is told. */
export interface ClientCertPolicy {
  /** `sanitize` by default. */
  readonly clientCert: 'sanitize' | 'forward-only' | 'append-forward' | 'sanitize-set' | 'always-forward-only';
  readonly clientCertDetails: ClientCertDetails;
}

/** Removes, keeps or writes the field of `request`, which came on `connection`. */
export function prepareClientCert(request: Head, connection: Connection, policy: ClientCertPolicy): void {
  const { clientCert } = policy;
  if (clientCert === 'sanitize') {
    if (request.has(CLIENT_CERT)) request.remove(CLIENT_CERT);
    return;
  }
  if (clientCert === 'always-forward-only') return;
  const { tls } = connection;
  if (tls === null || tls.certificate === null) {
    if (request.has(CLIENT_CERT)) request.remove(CLIENT_CERT);
    return;
  }
  if (clientCert === 'forward-only') return;
  const element = elementOf(tls, policy.clientCertDetails);
  const before = clientCert === 'append-forward' ? request.getJoined(CLIENT_CERT) : null;
  request.set(CLIENT_CERT, before === null || before === '' ? element : before + ',' + element);
}

/** A connection has one manager, so its element is made once. */
const ELEMENTS = new WeakMap<TlsFacts, string>();

function elementOf(tls: TlsFacts, details: ClientCertDetails): string {
  let element = ELEMENTS.get(tls);
  if (element === undefined) {
    element = writeElement(tls, details);
    ELEMENTS.set(tls, element);
  }
  return element;
}

/** Per connection. */
function writeElement(tls: TlsFacts, details: ClientCertDetails): string {
  const { certificate, ownCertificate } = tls;
  if (certificate === null) return '';
  const own = ownCertificate === null ? [] : ownCertificate.names.uri;
  const parts = own.map((uri) => `By=${uri}`);
  parts.push(`Hash=${certificate.fingerprint256}`);
  if (details.cert) parts.push(`Cert="${encodePem(certificate.pem)}"`);
  if (details.chain) parts.push(`Chain="${encodePem(tls.chainPem)}"`);
  if (details.subject) parts.push(`Subject="${certificate.subject.replaceAll('"', '\\"')}"`);
  if (details.uri) parts.push(...(certificate.names.uri.length === 0 ? [''] : certificate.names.uri).map(asUri));
  if (details.dns) parts.push(...certificate.names.dns.map((name) => `DNS=${name}`));
  // A certificate may hold any byte in its names; a field value may not.
  return wireText(parts.join(';').replaceAll(CONTROLS, '')); // per connection
}

/** Per connection. */
function asUri(uri: string): string {
  return `URI=${uri}`;
}

/** Per connection: the characters of PEM that have a meaning in the field. */
function encodePem(pem: string): string {
  return encodeURIComponent(pem);
}
