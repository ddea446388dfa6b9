// @hot
// What listener filters find, for all listeners together and under Envoy's names.

export class ArrivalTally {
  tlsFound = 0;
  tlsNotFound = 0;
  helloTooLarge = 0;
  serverNameFound = 0;
  serverNameNotFound = 0;
  protocolFound = 0;
  protocolNotFound = 0;
  http10Found = 0;
  http11Found = 0;
  http2Found = 0;
  httpNotFound = 0;
  /** PROXY headers by version (1 and 2): found, not allowed, malformed. */
  readonly proxyFound: [number, number] = [0, 0];
  readonly proxyRefused: [number, number] = [0, 0];
  readonly proxyErrors: [number, number] = [0, 0];
  proxyAbsentAllowed = 0;
  proxyAbsentRefused = 0;
  /** Connections that were settled on TCP because the server spoke first. */
  serverFirst = 0;
  /** HTTP/2 connections that were told to use HTTP/1.1. */
  http2Refused = 0;

  // scrape time
  numbers(): readonly (readonly [name: string, kind: 'counter', value: number])[] {
    return [
      ['tls_inspector.tls_found', 'counter', this.tlsFound],
      ['tls_inspector.tls_not_found', 'counter', this.tlsNotFound],
      ['tls_inspector.client_hello_too_large', 'counter', this.helloTooLarge],
      ['tls_inspector.sni_found', 'counter', this.serverNameFound],
      ['tls_inspector.sni_not_found', 'counter', this.serverNameNotFound],
      ['tls_inspector.alpn_found', 'counter', this.protocolFound],
      ['tls_inspector.alpn_not_found', 'counter', this.protocolNotFound],
      ['http_inspector.http10_found', 'counter', this.http10Found],
      ['http_inspector.http11_found', 'counter', this.http11Found],
      ['http_inspector.http2_found', 'counter', this.http2Found],
      ['http_inspector.http_not_found', 'counter', this.httpNotFound],
      ['proxy_proto.versions.v1.found', 'counter', this.proxyFound[0]],
      ['proxy_proto.versions.v2.found', 'counter', this.proxyFound[1]],
      ['proxy_proto.versions.v1.disallowed', 'counter', this.proxyRefused[0]],
      ['proxy_proto.versions.v2.disallowed', 'counter', this.proxyRefused[1]],
      ['proxy_proto.versions.v1.error', 'counter', this.proxyErrors[0]],
      ['proxy_proto.versions.v2.error', 'counter', this.proxyErrors[1]],
      ['proxy_proto.not_found_allowed', 'counter', this.proxyAbsentAllowed],
      ['proxy_proto.not_found_disallowed', 'counter', this.proxyAbsentRefused],
      ['protocol_detection.server_first', 'counter', this.serverFirst],
      ['protocol_detection.http2_refused', 'counter', this.http2Refused],
    ];
  }
}
