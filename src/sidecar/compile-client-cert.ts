// Compiles how a connection manager treats X-Forwarded-Client-Cert (sidecar/client-cert-header.ts).
import {
  HttpConnectionManager_ForwardClientCertDetails as ClientCert,
  type HttpConnectionManager_SetCurrentClientCertDetails as Details,
} from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { ClientCertDetails, ClientCertPolicy } from './client-cert-header.ts';

export function clientCertOf(value: ClientCert): ClientCertPolicy['clientCert'] {
  switch (value) {
    case ClientCert.FORWARD_ONLY:
      return 'forward-only';
    case ClientCert.APPEND_FORWARD:
      return 'append-forward';
    case ClientCert.SANITIZE_SET:
      return 'sanitize-set';
    case ClientCert.ALWAYS_FORWARD_ONLY:
      return 'always-forward-only';
    default:
      return 'sanitize';
  }
}

export function clientCertDetailsOf(details: Details | undefined): ClientCertDetails {
  const { subject = false, cert = false, chain = false, uri = false, dns = false } = details ?? {};
  return { subject, cert, chain, uri, dns };
}
