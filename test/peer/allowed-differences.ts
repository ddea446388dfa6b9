// Every difference between our sidecar and Envoy that is meant, with its reason. The comparison fails
// on a difference that is not listed here, and on an entry that no case needs any more.

export interface AllowedDifference {
  /** Matches `bootstrap: case name`. */
  readonly where: RegExp;
  /** Matches the field, for example `response.header.server`. */
  readonly what: RegExp;
  /** What each side must show for the entry to apply; `<none>` when the field is absent. Any, when left out. */
  readonly envoy?: RegExp;
  readonly outrigger?: RegExp;
  readonly reason: string;
}

const EVERYWHERE = /^/;
const EVERYTHING = /^/;
const ABSENT = /^<none>$/;

export const ALLOWED_DIFFERENCES: readonly AllowedDifference[] = [
  {
    where: EVERYWHERE,
    what: /^response\d*\.header\.x-outrigger-error$/,
    envoy: ABSENT,
    reason: 'A response made by the proxy itself says which flag and which resource decided (INTERFACES.md).',
  },
  {
    where: /^(malformed|manager-limits|http10): |^match-path: a fragment/,
    what: /^response\.(body|header\.content-(length|type))$/,
    reason: 'The text of a refusal is our own; Envoy has one for some refusals and none for others.',
  },
  {
    where:
      /^(redirects: of a POST|direct-responses: (the|a chunked) request body|failures: .*, with a body$|tokens: a body$)/,
    what: /^(connection|response\.header\.connection)$/,
    envoy: /^close/,
    reason: 'The rest of the request body is taken off the wire, so the connection goes on; Envoy closes it.',
  },
  {
    where: /^manager-paths: (normal|both): .*\.\.;/,
    what: /^upstream1\.line$/,
    reason: 'Matrix parameters are never stripped: a segment that has one is no dot segment (docs/http1.md).',
  },
  {
    where: /^manager-paths: both: \/+$/,
    what: /^upstream1\.line$/,
    envoy: /^GET \/\/ /,
    outrigger: /^GET \/ /,
    reason: 'A path of slashes only merges to one slash like any other; Envoy leaves two.',
  },
  {
    where: /^manager-paths: (main|forward|reject): .*%00/,
    what: EVERYTHING,
    reason: 'An escaped NUL in the path is refused whether or not paths are normalised; Envoy does so when they are.',
  },
  {
    where: /^deadlines: more is left than the route gives$/,
    what: /^upstream1\.header\.x-envoy-expected-rq-timeout-ms$/,
    envoy: /9 s/,
    outrigger: /5 s/,
    reason:
      'Of the own timeout and what the caller has left, the shorter counts; Envoy takes what the caller has left.',
  },
  {
    where: /^upgrades: /,
    what: /^(response|upstream1)\.header\.connection$/,
    envoy: /upgrade$/i,
    outrigger: /^upgrade$/,
    reason: 'Connection is a field of this hop: ours says what we mean, Envoy passes on what it got.',
  },
  {
    where: /^upgrades: CONNECT (without a route|that nobody allowed)$/,
    what: /^response\.status$/,
    envoy: /^40[34]$/,
    outrigger: /^405$/,
    reason: 'CONNECT where it is not configured is a method that is not allowed (RFC 9110 15.5.6).',
  },
  {
    where: /^framing: chunk extensions and trailers of the request$/,
    what: /^upstream1\.trailer\./,
    envoy: ABSENT,
    reason: 'Trailers go on where the next hop can take them; Envoy drops them unless enable_trailers says otherwise.',
  },
  {
    where: /^manager-limits: small: a target above/,
    what: /^response\.status$/,
    envoy: /^431$/,
    outrigger: /^414$/,
    reason: 'A target that is too long is 414 (RFC 9110 15.5.15); 431 is for header fields.',
  },
  {
    where: /^malformed: no version$/,
    what: /^response\.status$/,
    envoy: /^426$/,
    outrigger: /^400$/,
    reason: 'A request line without a version is an invalid request line (RFC 9112 3), not an older protocol.',
  },
  {
    where: /^malformed: version 2\.0$/,
    what: /^response\.status$/,
    envoy: /^426$/,
    outrigger: /^505$/,
    reason: 'A major version that is not ours is 505 (RFC 9110 15.6.6).',
  },
  {
    where: /^malformed: version 1\.2$/,
    what: EVERYTHING,
    reason: 'A higher minor version is handled as HTTP/1.1 (RFC 9110 2.5); Envoy refuses it.',
  },
  {
    where: /^malformed: a folded header line$/,
    what: EVERYTHING,
    reason: 'Obsolete line folding is refused (RFC 9112 5.2 allows 400); Envoy joins the lines.',
  },
  {
    where: /^malformed: a lone CR in a value$/,
    what: EVERYTHING,
    reason: 'A bare CR is refused (RFC 9112 2.2); Envoy takes it out, which smuggles.',
  },
  {
    where: /^http10: old: keeps alive when asked$/,
    what: /^(connection|response\.header\.connection)$/,
    outrigger: /^close/,
    reason: 'Keep-alive of HTTP/1.0 was an experiment that intermediaries break (RFC 9112 C.2.2): we close.',
  },
  {
    where: /^framing: 10[023] before 200/,
    what: /^response\.interim1(\.header\.link)?$/,
    envoy: ABSENT,
    reason: 'Interim responses are forwarded, as a proxy must (RFC 9110 15.2); Envoy drops them.',
  },
  {
    where: /^(framing|redirects): (of a )?HEAD/,
    what: /^response\.header\.(transfer-encoding|content-length)$/,
    reason: 'An answer to HEAD has no body, so that its framing is optional (RFC 9112 6.1); ours claims no chunks.',
  },
  {
    where: /^framing: .*trailers of the (request|response)$/,
    what: /\.header\.trailer$/,
    outrigger: ABSENT,
    reason: 'Both drop trailers; we also drop the header that announces them (RFC 9110 6.6.2).',
  },
  {
    where: /^http10: main: absolute form of https$/,
    what: EVERYTHING,
    reason: 'Who asks for https without TLS is refused (RFC 9110 7.4): the connection is not what it is taken for.',
  },
  {
    where: /^manager-marks: main: hop by hop headers of the response$/,
    what: /^response\.header\.x-hop$/,
    outrigger: ABSENT,
    reason: 'What Connection names is for one hop, in responses too (RFC 9110 7.6.1).',
  },
  {
    where: /^(mirrors: |newer-fields: \/mirror$)/,
    what: /^upstream[23]\.header\.(x-envoy-internal|x-forwarded-for)$/,
    outrigger: ABSENT,
    reason: "Envoy stamps its own machine's address on a mirrored request; ours is the request as it was sent.",
  },
  {
    where: /^header-formatters: on (a direct response|an answer made)/,
    what: /^response\.header\.x-code$/,
    envoy: /^0$/,
    outrigger: /^(202|503)$/,
    reason: 'The status of an answer made by the proxy is known to us when its headers are edited.',
  },
  {
    where: /^edited-framing: .*expect: 100-continue$/,
    what: /^response\.interim1$/,
    outrigger: ABSENT,
    reason: 'A request without a body needs no 100 (RFC 9110 10.1.1 lets a server leave it out).',
  },
  {
    where: /^ext-authz-http: /,
    what: /^upstream\d\.header\.(connection|content-length)$/,
    envoy: /^(<none>|0)$/,
    outrigger: /^(<none>|keep-alive|close)$/,
    reason: 'undici asks the service: it says what becomes of its connection, and no length where there is no body.',
  },
  {
    where: /^ext-authz-http: /,
    what: /^response\.header\.x-envoy-upstream-service-time$/,
    outrigger: ABSENT,
    reason: "How long the authorization service took is Envoy's own field of a call, and nobody's answer.",
  },
  {
    where: /^ext-authz-http: a (chunked )?body that is too large$/,
    what: /^(connection|response\.header\.connection)$/,
    envoy: /^close/,
    reason: 'The rest of the request body is taken off the wire, so the connection goes on; Envoy closes it.',
  },
];

/** Those of a real Envoy and our sidecar in one mesh (mesh-envoy.test.ts). */
export const MESH_ALLOWED_DIFFERENCES: readonly AllowedDifference[] = [
  {
    where: EVERYWHERE,
    what: /^response\.header\.x-outrigger-error$/,
    envoy: ABSENT,
    reason: 'A response made by the proxy itself says which flag and which resource decided (INTERFACES.md).',
  },
  {
    where: EVERYWHERE,
    what: /^upstream\d\.header\.x-request-id$/,
    envoy: /^[0-9a-f]{8}-[0-9a-f]{4}-[9ab][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/,
    outrigger: /^<uuid>$/,
    reason: 'Envoy writes its sampling decision into the id it makes; ours is in traceparent alone, where it belongs.',
  },
  {
    where: EVERYWHERE,
    what: /^(upstream\d|response)\.header\.x-envoy-decorator-operation$/,
    outrigger: ABSENT,
    reason: 'The name of the next span is for the next sidecar to say, which has the same rules.',
  },
  {
    where: EVERYWHERE,
    what: /^upstream\d\.header\.tracestate$/,
    envoy: /^$/,
    outrigger: ABSENT,
    reason: 'An empty tracestate says nothing (W3C Trace Context 3.3.1): it is not sent.',
  },
  {
    where: /: .*mirrors?( of a .*)?$/,
    what: /^upstream\d\.header\.(x-envoy-internal|x-forwarded-for|x-envoy-attempt-count)$/,
    outrigger: ABSENT,
    reason: "Envoy stamps its own machine's address and an attempt on a copy; ours is the request as it was sent.",
  },
  {
    where: /: .*mirrors?( of a .*)?$/,
    what: /^upstream\d\.header\.traceparent$/,
    envoy: /^<trace>-00$/,
    outrigger: /^<trace>-01$/,
    reason: 'trace_sampled of a mirror has no effect yet: a copy has the trace of its request.',
  },
  {
    where: /^mesh-bookshop: (a request id of the caller|from outside with a trace)$/,
    what: /^upstream1\.header\.traceparent$/,
    envoy: /-00$/,
    outrigger: /-01$/,
    reason: "Envoy samples by the request id and nothing whose id is no UUID; ours follows the parent's decision.",
  },
  {
    where: /^mesh-virtual-service: an answer of its own to a POST$/,
    what: /^(connection|response\.header\.connection)$/,
    envoy: /^close/,
    reason: 'The rest of the request body is taken off the wire, so the connection goes on; Envoy closes it.',
  },
];
