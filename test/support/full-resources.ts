// Resources that have, all together, every field that the schemas of our kinds know: what users could write. Fields that
// exclude each other stand in resources of their own.
import { parseAllDocuments } from 'yaml';
import { isRecord, type WrittenResource } from './written-resources.ts';

const NETWORKING = `
kind: VirtualService
spec:
  hosts: [reviews, "*.example.com"]
  gateways: [mesh]
  exportTo: [".", "*"]
  http:
    - name: all
      match:
        - name: some
          uri: { exact: /a }
          scheme: { prefix: http }
          method: { regex: GET|HEAD }
          authority: { exact: reviews }
          headers: { x-a: { exact: b }, x-c: { prefix: d }, x-e: { regex: f.* }, "@request.auth.claims.group": { exact: a } }
          withoutHeaders: { x-a: { exact: b }, x-c: { prefix: d }, x-e: { regex: f.* } }
          queryParams: { a: { exact: b }, c: { prefix: d }, e: { regex: f.* } }
          ignoreUriCase: true
          port: 80
          sourceLabels: { app: a }
          sourceNamespace: shop
          gateways: [mesh]
          statPrefix: some
        - { uri: { prefix: /b }, scheme: { exact: http }, method: { exact: GET }, authority: { prefix: rev } }
        - { uri: { regex: /b.* }, scheme: { regex: http }, method: { prefix: G }, authority: { regex: rev.* } }
      route:
        - destination: { host: reviews, subset: v1, port: { number: 80 } }
          weight: 90
          headers: { request: { set: { a: b }, add: { c: d }, remove: [e] }, response: { set: { a: b }, add: { c: d }, remove: [e] } }
        - { destination: { host: reviews, subset: v2 }, weight: 10 }
      rewrite: { uri: /c, authority: d }
      timeout: 5s
      retries: { attempts: 2, perTryTimeout: 1s, retryOn: "5xx,503", backoff: 30ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false }
      fault:
        delay: { fixedDelay: 1s, exponentialDelay: 1s, percentage: { value: 0.5 } }
        abort: { httpStatus: 503, http2Error: a, percentage: { value: 1 } }
      mirror: { host: reviews, subset: v3, port: { number: 80 } }
      mirrorPercentage: { value: 5 }
      corsPolicy:
        allowOrigins: [{ exact: https://a.example }, { prefix: https://b }, { regex: https://c.* }]
        allowOrigin: [https://d.example]
        allowMethods: [GET]
        allowHeaders: [x-a]
        exposeHeaders: [x-b]
        maxAge: 24h
        allowCredentials: true
        unmatchedPreflights: FORWARD
      headers: { request: { set: { a: b }, add: { c: d }, remove: [e] }, response: { set: { a: b }, add: { c: d }, remove: [e] } }
    - route: [{ destination: { host: reviews } }]
      mirrors: [{ destination: { host: copies, subset: a, port: { number: 80 } }, percentage: { value: 10 } }]
      rewrite: { uriRegexRewrite: { match: "^/a/(.*)", rewrite: '/\\1' } }
      fault: { delay: { fixedDelay: 1s, percent: 5 }, abort: { grpcStatus: UNAVAILABLE } }
    - { route: [{ destination: { host: reviews } }], mirror: { host: copies }, mirrorPercent: 5 }
    - { route: [{ destination: { host: reviews } }], mirror: { host: copies }, mirror_percent: 5 }
    - { redirect: { uri: /a, prefixRewrite: /b, authority: b, port: 443, scheme: https, redirectCode: 302 } }
    - { redirect: { uri: /a, derivePort: FROM_REQUEST_PORT } }
    - { directResponse: { status: 503, body: { string: sorry } } }
    - { directResponse: { status: 503, body: { bytes: c29ycnk= } } }
  tls:
    - match:
        - { sniHosts: [a.example.com], destinationSubnets: [10.0.0.0/8], port: 443, sourceLabels: { app: a }, sourceNamespace: shop, gateways: [mesh] }
      route: [{ destination: { host: a.example.com, subset: v1, port: { number: 443 } }, weight: 100 }]
  tcp:
    - match: [{ destinationSubnets: [10.1.2.3], port: 3306, sourceLabels: { app: a }, sourceNamespace: shop, gateways: [mesh], sourceSubnet: 10.0.0.0/8 }]
      route: [{ destination: { host: db, subset: v1, port: { number: 3306 } }, weight: 1 }]
---
kind: Sidecar
spec:
  workloadSelector: { labels: { app: a } }
  ingress:
    - port: { number: 8080, protocol: HTTP, name: http, targetPort: 8081 }
      bind: 127.0.0.1
      captureMode: NONE
      defaultEndpoint: 127.0.0.1:8081
      tls: { mode: SIMPLE }
      connectionPool: &pool
        tcp: { maxConnections: 1, connectTimeout: 1s, maxConnectionDuration: 1h, idleTimeout: 1h, tcpKeepalive: { probes: 3, time: 2h, interval: 75s } }
        http: { http1MaxPendingRequests: 1, http2MaxRequests: 1, maxRequestsPerConnection: 1, maxRetries: 1, idleTimeout: 1h, h2UpgradePolicy: UPGRADE, useClientProtocol: true, maxConcurrentStreams: 1, http2KeepAlive: { interval: 1m } }
  egress: [{ hosts: ["./*", "*/db.example.com", "~/*"], port: { number: 3306, protocol: MYSQL, name: db, targetPort: 3307 }, bind: 127.0.0.1, captureMode: DEFAULT }]
  inboundConnectionPool: *pool
  outboundTrafficPolicy: { mode: REGISTRY_ONLY, egressProxy: { host: egress } }
---
kind: EnvoyFilter
spec:
  workloadSelector: { labels: { app: a } }
  priority: -10
  configPatches:
    - applyTo: HTTP_FILTER
      match: { context: SIDECAR_INBOUND, listener: { portNumber: 8080, filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } } }
      patch: { operation: INSERT_BEFORE, value: { name: a, typed_config: { "@type": type.googleapis.com/google.protobuf.Struct } } }
---
kind: ServiceEntry
spec:
  hosts: [api.example.com, "*.shop.example"]
  addresses: [10.1.2.3, 10.2.0.0/16, "fd00::/8"]
  ports: [{ number: 443, name: https, protocol: TLS, targetPort: 8443 }, { number: 80, name: http, protocol: HTTP }]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints: [{ address: 10.1.2.3, ports: { http: 8080 }, labels: { app: a }, network: n1, locality: a/b/c, weight: 2, serviceAccount: a }]
  exportTo: ["."]
  subjectAltNames: [spiffe://cluster.local/ns/a/sa/b]
---
kind: ServiceEntry
spec: { hosts: [vm.shop], ports: [{ number: 80, name: http }], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: { labels: { app: vm } } }
---
kind: WorkloadEntry
spec: { address: 10.1.2.3, ports: { http: 8080 }, labels: { app: a }, network: n1, locality: a/b/c, weight: 2, serviceAccount: a }
`;

const SECTIONS = `
loadBalancer:
  consistentHash: { httpCookie: { name: a, path: /, ttl: 0s, attributes: [{ name: SameSite, value: Strict }, { name: Secure }] }, ringHash: { minimumRingSize: 1024 } }
  localityLbSetting: { enabled: true, failover: [{ from: a, to: b }], failoverPriority: [topology.kubernetes.io/region] }
  warmup: { duration: 30s, minimumPercent: 10, aggression: 1.5 }
  warmupDurationSecs: 10s
connectionPool:
  tcp: { maxConnections: 1, connectTimeout: 1s, maxConnectionDuration: 1h, idleTimeout: 1h, tcpKeepalive: { probes: 3, time: 2h, interval: 75s } }
  http: { http1MaxPendingRequests: 1, http2MaxRequests: 1, maxRequestsPerConnection: 1, maxRetries: 1, idleTimeout: 1h, h2UpgradePolicy: UPGRADE, useClientProtocol: true, maxConcurrentStreams: 1, http2KeepAlive: { interval: 1m } }
outlierDetection:
  { consecutive5xxErrors: 5, consecutiveErrors: 5, consecutiveGatewayErrors: 5, consecutiveLocalOriginFailures: 5, splitExternalLocalOriginErrors: true, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 10, minHealthPercent: 10, outlierDetectionHttpErrorCodes: [500] }
tls: { mode: MUTUAL, clientCertificate: /a, privateKey: /b, caCertificates: /c, caCrl: /d, subjectAltNames: [a], sni: b, insecureSkipVerify: true }
`;
const OTHER_SECTIONS = `
loadBalancer: { simple: ROUND_ROBIN, zoneAwareLbSetting: { enabled: true }, localityLbSetting: { distribute: [{ from: a/*, to: { b/*: 90, c/d: 10 } }] } }
tls: { mode: SIMPLE, credentialName: a }
`;
const HASHES = ['httpHeaderName: a', 'useSourceIp: true', 'httpQueryParameterName: a'].map(
  (key) => `loadBalancer: { consistentHash: { ${key}, maglev: { tableSize: 65537 }, minimumRingSize: 1024 } }\n`,
);

const SECURITY = `
kind: AuthorizationPolicy
spec:
  selector: { matchLabels: { app: a } }
  action: DENY
  rules:
    - from:
        - source:
            { principals: [a], notPrincipals: [b], requestPrincipals: ["*"], notRequestPrincipals: [a/b], namespaces: [a], notNamespaces: [b], trustDomains: [a], notTrustDomains: [b], ipBlocks: [10.0.0.0/8], notIpBlocks: [10.1.2.3], remoteIpBlocks: ["fd00::/8"], notRemoteIpBlocks: [10.1.2.3] }
        - source: { serviceAccounts: [a/b], notServiceAccounts: [c] }
      to: [{ operation: { hosts: [a], notHosts: [b], ports: ["80"], notPorts: ["81"], methods: [GET], notMethods: [PUT], paths: ["/a/{*}/b"], notPaths: [/c] } }]
      when: [{ key: "request.headers[x-a]", values: [a] }, { key: source.ip, notValues: [10.0.0.0/8] }]
    - {}
---
kind: AuthorizationPolicy
spec: { targetRef: { group: "", kind: Service, name: a, namespace: "" }, action: CUSTOM, provider: { name: a }, rules: [{}] }
---
kind: AuthorizationPolicy
spec: { targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: a, namespace: "" }] }
---
kind: RequestAuthentication
spec:
  selector: { matchLabels: { app: a } }
  jwtRules:
    - issuer: https://a.example
      audiences: [shop]
      jwksUri: https://a.example/keys
      fromHeaders: [{ name: x-token, prefix: "Bearer " }]
      fromParams: [token]
      fromCookies: [token]
      outputPayloadToHeader: x-claims
      outputClaimToHeaders: [{ header: x-group, claim: a.group }]
      forwardOriginalToken: true
      timeout: 5s
      spaceDelimitedClaims: [groups]
    - { issuer: b, jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}' }
---
kind: RequestAuthentication
spec: { targetRef: { group: "", kind: Service, name: a, namespace: "" } }
---
kind: RequestAuthentication
spec: { targetRefs: [{ group: "", kind: Service, name: a, namespace: "" }] }
---
kind: PeerAuthentication
spec: { selector: { matchLabels: { app: a } }, mtls: { mode: STRICT }, portLevelMtls: { "8080": { mode: DISABLE } } }
---
kind: Telemetry
spec:
  selector: { matchLabels: { app: a } }
  targetRef: { kind: Service, name: a }
  targetRefs: [{ kind: Service, name: a }]
  tracing:
    - match: { mode: CLIENT }
      providers: [{ name: a }]
      randomSamplingPercentage: 12.5
      disableSpanReporting: false
      customTags: { a: { literal: { value: b } }, c: { environment: { name: D, defaultValue: e } }, f: { header: { name: x-f, defaultValue: g } }, h: { formatter: { value: "%REQ(a)%" } } }
      disableContextPropagation: true
      enableIstioTags: true
      useRequestIdForTraceSampling: true
  metrics: [{ providers: [{ name: prometheus }] }]
  accessLogging: [{ match: { mode: SERVER }, providers: [{ name: a }], disabled: true, filter: { expression: response.code >= 400 } }]
`;

const OWN = `
kind: ResiliencePolicy
spec:
  targetRefs: [{ group: "", kind: Service, name: a, sectionName: 80 }, { kind: Service, name: b, sectionName: http }]
  concurrencyLimit: { requests: 100 }
  outlierDetection:
    maxEjectionTime: 5m
    ejectionJitter: 1s
    alwaysEjectOne: true
    healthCheckEndsEjection: true
    failurePercentage: { threshold: 50, minimumHosts: 3, requestVolume: 10 }
    successRate: { minimumHosts: 3, requestVolume: 10, deviations: 1.9 }
  retryBudget: { percent: 20, minRetryConcurrency: 3, budgetInterval: 10s }
  fallback: { hosts: [{ host: a, port: 80, subset: v1 }] }
  healthCheck:
    http: { path: /healthz, port: 80, method: HEAD, host: a.example, headers: { x-a: b }, expectedStatuses: [204], expectedStatusRanges: [{ from: 200, to: 299 }] }
    interval: 3s
    idleInterval: 1m
    timeout: 1s
    unhealthyThreshold: 3
    healthyThreshold: 1
    jitter: 1s
  loadBalancer: { consistentHash: { pathRegex: "^/users/([^/]+)", ringHash: { minimumRingSize: 1024 }, boundPercent: 125 } }
  shedding: { header: x-class, classes: [{ name: critical, share: 1 }, { name: batch, share: 0.5 }], default: batch, requests: 100 }
  adaptiveConcurrency: { percentile: 50, maxConcurrency: 100, updateInterval: 100ms, status: 503, restTime: { interval: 60s, requests: 50, minConcurrency: 3, jitter: 15, buffer: 25 } }
  admissionControl: { samplingWindow: 30s, aggression: 1, successThreshold: 95, minimumRate: 0, maxRejection: 80, successStatuses: [{ from: 100, to: 499 }], grpcSuccessStatuses: [0] }
---
kind: ResiliencePolicy
spec:
  targetRefs: [{ kind: Service, name: a }]
  healthCheck: { tcp: { port: 80, send: a, receive: b } }
  loadBalancer: { peakEwma: { decay: 10s, defaultLatency: 30ms, failurePenalty: 5s } }
  shedding: { classes: [{ name: a }], adaptive: true }
  adaptiveConcurrency: { restTime: { fixed: 5ms } }
---
kind: ResiliencePolicy
spec:
  targetRefs: [{ kind: Service, name: a }]
  loadBalancer: { consistentHash: { httpCookie: { name: a, path: /, ttl: 1h, attributes: [{ name: SameSite, value: Lax }] }, maglev: { tableSize: 65537 } } }
---
kind: ResiliencePolicy
spec: { targetRefs: [{ kind: Service, name: a }], loadBalancer: { consistentHash: { httpHeaderName: x-user, minimumRingSize: 1024 } } }
---
kind: ResiliencePolicy
spec: { targetRefs: [{ kind: Service, name: a }], loadBalancer: { consistentHash: { useSourceIp: true } } }
---
kind: ResiliencePolicy
spec: { targetRefs: [{ kind: Service, name: a }], loadBalancer: { consistentHash: { httpQueryParameterName: user } } }
---
kind: ResiliencePolicy
spec:
  targetRefs: [{ kind: VirtualService, name: a, sectionName: rule }, { group: gateway.networking.k8s.io, kind: HTTPRoute, name: b }]
  hedge: { after: 200ms, attempts: 1 }
  retryBackOff: { base: 25ms, max: 250ms, jitter: Full, rateLimited: { resetHeaders: [{ name: Retry-After, format: Seconds }], max: 60s } }
  stickySplit: { cookie: { name: visitor, path: /, ttl: 720h } }
---
kind: ResiliencePolicy
spec: { targetRefs: [{ kind: VirtualService, name: a }], stickySplit: { header: x-user } }
---
kind: ResiliencePolicy
spec: { targetRefs: [{ kind: VirtualService, name: a }], stickySplit: { identity: true } }
---
kind: RateLimitPolicy
spec:
  targetRefs: [{ group: "", kind: Service, name: a, sectionName: 80 }, { kind: VirtualService, name: a, sectionName: rule }]
  limits:
    - name: callers
      requests: 100
      per: 1s
      burst: 200
      by: Caller
      overrides: [{ serviceAccounts: [shop/cart], requests: 1000, per: 1m, burst: 1000 }]
      match: { methods: [GET], paths: [/a/*], headers: [{ name: x-a, value: b }, { name: x-c }] }
      mode: Shadow
    - { name: tenants, requests: 10, byHeader: x-tenant, scope: Instance }
  response: { status: 429, headers: { x-a: b }, limitHeaders: RateLimit }
---
kind: RateLimitPolicy
spec: { selector: { matchLabels: { app: a } }, limits: [{ requests: 10 }] }
---
kind: Extension
spec: { selector: { matchLabels: { app: a } }, module: mine, digest: "sha256:${'0'.repeat(64)}", config: { a: [1, { b: c }] }, direction: Both, failurePolicy: FailOpen, timeBudget: 20ms, priority: -5 }
---
kind: Extension
spec: { targetRef: { group: "", kind: Service, name: a, namespace: "" }, module: outrigger/cors }
---
kind: Extension
spec: { targetRefs: [{ group: "", kind: Service, name: a, namespace: "" }], module: outrigger/cors }
`;

const MESH = `
kind: MeshConfig
spec:
  rootNamespace: istio-system
  trustDomain: cluster.local
  trustDomainAliases: [old.example]
  extensionProviders:
    - { name: a, opentelemetry: { service: otel.example, port: 4317, maxTagLength: 100 } }
    - { name: b, envoyFileAccessLog: { path: /dev/stdout, logFormat: { text: "%PROTOCOL%" } } }
    - { name: c, envoyFileAccessLog: { logFormat: { labels: { a: "%PROTOCOL%" } } } }
    - name: d
      envoyExtAuthzHttp:
        service: checker.example
        port: 80
        timeout: 1s
        failOpen: true
        statusOnError: "503"
        clearRouteCache: true
        includeRequestBodyInCheck: { maxRequestBytes: 100, allowPartialMessage: true, packAsBytes: true }
        pathPrefix: /check
        includeRequestHeadersInCheck: [x-a]
        includeAdditionalHeadersInCheck: { x-b: c }
        headersToUpstreamOnAllow: [x-a*]
        headersToDownstreamOnAllow: [x-a]
        headersToDownstreamOnDeny: [x-a]
    - { name: e, envoyExtAuthzHttp: { service: checker.example, port: 80, includeHeadersInCheck: [x-a] } }
    - { name: f, envoyExtAuthzGrpc: { service: checker.example, port: 80, timeout: 1s, failOpen: false, statusOnError: "503", clearRouteCache: true, includeRequestBodyInCheck: { maxRequestBytes: 100, allowPartialMessage: true, packAsBytes: true } } }
  defaultProviders: { tracing: [a], accessLogging: [b], metrics: [c] }
  accessLogFile: /dev/stdout
  accessLogFormat: "%PROTOCOL%"
  accessLogEncoding: JSON
  enableTracing: true
  defaultConfig: { tracing: { sampling: 10, customTags: { a: { literal: { value: b } }, c: { environment: { name: D, defaultValue: e } }, f: { header: { name: x-f, defaultValue: g } }, h: { formatter: { value: "%REQ(a)%" } } } } }
  outboundTrafficPolicy: { mode: REGISTRY_ONLY, egressProxy: { host: egress } }
  protocolDetectionTimeout: 1s
  connectTimeout: 1s
  defaultTrafficPolicy:
    connectionPool:
      tcp: { maxConnections: 1, connectTimeout: 1s, maxConnectionDuration: 1h, idleTimeout: 1h, tcpKeepalive: { probes: 3, time: 2h, interval: 75s } }
      http: { http1MaxPendingRequests: 1, http2MaxRequests: 1, maxRequestsPerConnection: 1, maxRetries: 1, idleTimeout: 1h, h2UpgradePolicy: UPGRADE, useClientProtocol: true, maxConcurrentStreams: 1, http2KeepAlive: { interval: 1m } }
    outlierDetection:
      { consecutive5xxErrors: 5, consecutiveErrors: 5, consecutiveGatewayErrors: 5, consecutiveLocalOriginFailures: 5, splitExternalLocalOriginErrors: true, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 10, minHealthPercent: 10, outlierDetectionHttpErrorCodes: [500] }
  defaultHttpRetryPolicy: { attempts: 2, perTryTimeout: 1s, retryOn: "5xx,503", backoff: 30ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false }
  defaultInboundHttpRetryPolicy: { attempts: 2, perTryTimeout: 1s, retryOn: "5xx,503", backoff: 30ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false }
  localityLbSetting: { enabled: true, failover: [{ from: a, to: b }], failoverPriority: [topology.kubernetes.io/region] }
  enableAutoMtls: true
  meshMTLS: { minProtocolVersion: TLSV1_3, ecdhCurves: [P-256], cipherSuites: [a] }
  pathNormalization: { normalization: MERGE_SLASHES }
  discoverySelectors: [{ matchLabels: { a: b } }]
  defaultServiceExportTo: ["*"]
---
kind: MeshConfig
spec: { localityLbSetting: { distribute: [{ from: a/*, to: { b/*: 90, c/d: 10 } }] } }
`;

const indented = (text: string, by: number): string => text.trim().replaceAll(/^/gm, ' '.repeat(by));

const DESTINATION_RULES = [SECTIONS, OTHER_SECTIONS, ...HASHES]
  .map(
    (sections) => `
kind: DestinationRule
spec:
  host: reviews
  trafficPolicy:
${indented(sections, 4)}
    portLevelSettings:
      - port: { number: 80 }
${indented(sections, 8)}
    retryBudget: { percent: 20, minRetryConcurrency: 3, budgetInterval: 10s }
    proxyProtocol: { version: V2 }
    tunnel: { protocol: CONNECT, targetHost: a, targetPort: 443 }
  subsets:
    - name: v1
      labels: { version: v1 }
      trafficPolicy:
${indented(sections, 8)}
        portLevelSettings:
          - port: { number: 80 }
${indented(sections, 12)}
        retryBudget: { percent: 20, minRetryConcurrency: 3, budgetInterval: 10s }
        proxyProtocol: { version: V2 }
        tunnel: { protocol: CONNECT, targetHost: a, targetPort: 443 }
  exportTo: ["*"]
  workloadSelector: { matchLabels: { app: a } }
`,
  )
  .join('---\n');

/** `groups` are the API versions by kind. */
export function fullResources(apiVersions: ReadonlyMap<string, string>): readonly WrittenResource[] {
  const documents = [NETWORKING, DESTINATION_RULES, SECURITY, OWN, MESH].flatMap((text) => parseAllDocuments(text));
  return documents.map((document, index) => {
    if (document.errors.length > 0) throw new Error(`${index}: ${document.errors.join('; ')}`);
    const root: unknown = document.toJS();
    const kind = isRecord(root) && typeof root['kind'] === 'string' ? root['kind'] : '';
    const spec: unknown = isRecord(root) ? root['spec'] : null;
    const value = { apiVersion: apiVersions.get(kind), kind, metadata: { name: `full-${index}` }, spec };
    return { file: `full-resources ${kind} ${index}`, kind, value };
  });
}
