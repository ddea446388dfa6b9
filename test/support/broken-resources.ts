// Resources that are broken in one place each, with the path of that place as Kubernetes names it. Both the readers of
// src/config and the definitions at an API server must refuse every one of them.
import { parse } from 'yaml';

export interface BrokenResource {
  readonly kind: string;
  readonly title: string;
  /** Where the API server finds the fault. */
  readonly path: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Only a rule in CEL finds it, which editors do not know. */
  readonly isByRule: boolean;
}

/** `rule`: only a rule in CEL finds it. */
type Row = readonly [title: string, path: string, spec: string, by?: 'rule'];

const RULE = 'hosts: [a], http: [{ route: [{ destination: { host: a } }]';

const VIRTUAL_SERVICE: readonly Row[] = [
  ['no hosts', 'spec.hosts', '{ http: [{ route: [{ destination: { host: a } }] }] }'],
  ['a list of no hosts', 'spec.hosts', '{ hosts: [], http: [{ route: [{ destination: { host: a } }] }] }'],
  ['a host with a blank', 'spec.hosts[0]', '{ hosts: ["a b"], http: [{ route: [{ destination: { host: a } }] }] }'],
  ['hosts as a text', 'spec.hosts', '{ hosts: a, http: [{ route: [{ destination: { host: a } }] }] }'],
  ['no rules', 'spec', '{ hosts: [a] }'],
  ['a rule that does nothing', 'spec.http[0]', '{ hosts: [a], http: [{ timeout: 1s }] }'],
  ['a route and a redirect', 'spec.http[0]', `{ ${RULE}, redirect: { uri: / } }] }`],
  [
    'a redirect with retries',
    'spec.http[0]',
    '{ hosts: [a], http: [{ redirect: { uri: / }, retries: { attempts: 1 } }] }',
  ],
  [
    'a weight as a text',
    'spec.http[0].route[0].weight',
    '{ hosts: [a], http: [{ route: [{ destination: { host: a }, weight: "90" }] }] }',
  ],
  [
    'a weight below 0',
    'spec.http[0].route[0].weight',
    '{ hosts: [a], http: [{ route: [{ destination: { host: a }, weight: -1 }] }] }',
  ],
  [
    'a destination without a host',
    'spec.http[0].route[0].destination.host',
    '{ hosts: [a], http: [{ route: [{ destination: { subset: v1 } }] }] }',
  ],
  [
    'port 70000',
    'spec.http[0].route[0].destination.port.number',
    '{ hosts: [a], http: [{ route: [{ destination: { host: a, port: { number: 70000 } } }] }] }',
  ],
  ['a timeout without a unit', 'spec.http[0].timeout', `{ ${RULE}, timeout: "5" }] }`],
  ['a timeout as a number', 'spec.http[0].timeout', `{ ${RULE}, timeout: 0 }] }`],
  ['a timeout of less than 1ms', 'spec.http[0].timeout', `{ ${RULE}, timeout: 10us }] }`, 'rule'],
  ['a back-off of 0s', 'spec.http[0].retries.backoff', `{ ${RULE}, retries: { attempts: 1, backoff: 0s } }] }`, 'rule'],
  ['a match by two ways', 'spec.http[0].match[0].uri', `{ ${RULE}, match: [{ uri: { exact: /a, prefix: /a } }] }] }`],
  ['a match as a text', 'spec.http[0].match[0].uri', `{ ${RULE}, match: [{ uri: /a }] }] }`],
  [
    'an abort without a status',
    'spec.http[0].fault.abort',
    `{ ${RULE}, fault: { abort: { percentage: { value: 1 } } } }] }`,
  ],
  [
    'a share of 101 percent',
    'spec.http[0].mirrorPercentage.value',
    `{ ${RULE}, mirror: { host: b }, mirrorPercentage: { value: 101 } }] }`,
  ],
  [
    'a status of no redirect',
    'spec.http[0].redirect.redirectCode',
    '{ hosts: [a], http: [{ redirect: { redirectCode: 200 } }] }',
  ],
  [
    'an unknown choice',
    'spec.http[0].corsPolicy.unmatchedPreflights',
    `{ ${RULE}, corsPolicy: { unmatchedPreflights: DROP } }] }`,
  ],
  [
    'a header value as a number',
    'spec.http[0].headers.request.set.x-a',
    `{ ${RULE}, headers: { request: { set: { x-a: 1 } } } }] }`,
  ],
  [
    'a tls rule without a match',
    'spec.tls[0].match',
    '{ hosts: [a], tls: [{ route: [{ destination: { host: a } }] }] }',
  ],
];

const DESTINATION_RULE: readonly Row[] = [
  ['no host', 'spec.host', '{ subsets: [{ name: v1 }] }'],
  ['a subset without a name', 'spec.subsets[0].name', '{ host: a, subsets: [{ labels: { version: v1 } }] }'],
  ['a subset with a wrong name', 'spec.subsets[0].name', '{ host: a, subsets: [{ name: "v 1" }] }'],
  [
    'an unknown balancer',
    'spec.trafficPolicy.loadBalancer.simple',
    '{ host: a, trafficPolicy: { loadBalancer: { simple: LEAST_LOADED } } }',
  ],
  [
    'two balancers',
    'spec.trafficPolicy.loadBalancer',
    '{ host: a, trafficPolicy: { loadBalancer: { simple: RANDOM, consistentHash: { useSourceIp: true } } } }',
  ],
  [
    'a hash of nothing',
    'spec.trafficPolicy.loadBalancer.consistentHash',
    '{ host: a, trafficPolicy: { loadBalancer: { consistentHash: {} } } }',
  ],
  [
    'a cookie without a name',
    'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name',
    '{ host: a, trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { ttl: 0s } } } } }',
  ],
  [
    'a warm-up without a time',
    'spec.trafficPolicy.loadBalancer.warmup.duration',
    '{ host: a, trafficPolicy: { loadBalancer: { warmup: { aggression: 1 } } } }',
  ],
  [
    'connections below 0',
    'spec.trafficPolicy.connectionPool.tcp.maxConnections',
    '{ host: a, trafficPolicy: { connectionPool: { tcp: { maxConnections: -1 } } } }',
  ],
  [
    'a connect timeout of 0s',
    'spec.trafficPolicy.connectionPool.tcp.connectTimeout',
    '{ host: a, trafficPolicy: { connectionPool: { tcp: { connectTimeout: 0s } } } }',
    'rule',
  ],
  [
    'an interval of 0s for a port of a subset',
    'spec.subsets[0].trafficPolicy.portLevelSettings[0].outlierDetection.interval',
    '{ host: a, subsets: [{ name: v1, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, outlierDetection: { interval: 0s } }] } }] }',
    'rule',
  ],
  [
    'ejection of 101 percent',
    'spec.trafficPolicy.outlierDetection.maxEjectionPercent',
    '{ host: a, trafficPolicy: { outlierDetection: { maxEjectionPercent: 101 } } }',
  ],
  [
    'port settings without a port',
    'spec.trafficPolicy.portLevelSettings[0].port',
    '{ host: a, trafficPolicy: { portLevelSettings: [{ tls: { mode: SIMPLE } }] } }',
  ],
  ['an unknown mode of TLS', 'spec.trafficPolicy.tls.mode', '{ host: a, trafficPolicy: { tls: { mode: STRICT } } }'],
  [
    'mutual TLS without certificates',
    'spec.trafficPolicy.tls',
    '{ host: a, trafficPolicy: { tls: { mode: MUTUAL } } }',
    'rule',
  ],
  [
    'mutual TLS of the mesh with certificates',
    'spec.trafficPolicy.tls',
    '{ host: a, trafficPolicy: { tls: { mode: ISTIO_MUTUAL, privateKey: /a } } }',
    'rule',
  ],
  [
    'a Secret and a file',
    'spec.trafficPolicy.tls',
    '{ host: a, trafficPolicy: { tls: { mode: SIMPLE, credentialName: a, caCertificates: /a } } }',
    'rule',
  ],
  [
    'shares of localities and failover',
    'spec.trafficPolicy.loadBalancer.localityLbSetting',
    '{ host: a, trafficPolicy: { loadBalancer: { localityLbSetting: { distribute: [{ from: a, to: { b: 100 } }], failoverPriority: [c] } } } }',
  ],
];

const REGISTRY: readonly Row[] = [
  ['no hosts', 'spec.hosts', '{ ports: [{ number: 80, name: http }] }'],
  ['every host', 'spec.hosts[0]', '{ hosts: ["*"], ports: [{ number: 80, name: http }] }'],
  ['a port without a name', 'spec.ports[0].name', '{ hosts: [a.example], ports: [{ number: 80 }] }'],
  [
    'two ports of one number',
    'spec.ports',
    '{ hosts: [a.example], ports: [{ number: 80, name: a }, { number: 80, name: b }] }',
    'rule',
  ],
  [
    'two ports of one name',
    'spec.ports[1]',
    '{ hosts: [a.example], ports: [{ number: 80, name: a }, { number: 81, name: a }] }',
    'rule',
  ],
  [
    'an unknown resolution',
    'spec.resolution',
    '{ hosts: [a.example], ports: [{ number: 80, name: a }], resolution: STATIK }',
  ],
  [
    'endpoints that nobody may use',
    'spec',
    '{ hosts: [a.example], ports: [{ number: 80, name: a }], endpoints: [{ address: 10.1.2.3 }] }',
    'rule',
  ],
  [
    'endpoints and a selector',
    'spec',
    '{ hosts: [a.example], ports: [{ number: 80, name: a }], resolution: STATIC, endpoints: [{ address: 10.1.2.3 }], workloadSelector: { labels: { app: a } } }',
  ],
  [
    'a weight below 0',
    'spec.endpoints[0].weight',
    '{ hosts: [a.example], ports: [{ number: 80, name: a }], resolution: STATIC, endpoints: [{ address: 10.1.2.3, weight: -1 }] }',
  ],
];

const SCOPE: readonly Row[] = [
  ['a host without a namespace', 'spec.egress[0].hosts[0]', '{ egress: [{ hosts: [reviews] }] }'],
  ['an unknown policy', 'spec.outboundTrafficPolicy.mode', '{ outboundTrafficPolicy: { mode: ALLOW_ALL } }'],
  ['a port of the app without a number', 'spec.ingress[0].port.number', '{ ingress: [{ port: { name: http } }] }'],
];

const AUTHORIZATION: readonly Row[] = [
  ['an unknown action', 'spec.action', '{ action: PERMIT }'],
  ['CUSTOM without a provider', 'spec', '{ action: CUSTOM, rules: [{}] }', 'rule'],
  ['a provider without CUSTOM', 'spec', '{ provider: { name: a }, rules: [{}] }', 'rule'],
  ['DENY without rules', 'spec', '{ action: DENY }', 'rule'],
  ['an empty from', 'spec.rules[0].from', '{ rules: [{ from: [] }] }'],
  ['an empty source', 'spec.rules[0].from[0].source', '{ rules: [{ from: [{ source: {} }] }] }'],
  ['no source', 'spec.rules[0].from[0].source', '{ rules: [{ from: [{}] }] }'],
  [
    'an empty list of namespaces',
    'spec.rules[0].from[0].source.namespaces',
    '{ rules: [{ from: [{ source: { namespaces: [] } }] }] }',
  ],
  [
    'an empty namespace',
    'spec.rules[0].from[0].source.namespaces[0]',
    '{ rules: [{ from: [{ source: { namespaces: [""] } }] }] }',
  ],
  [
    'accounts beside principals',
    'spec.rules[0].from[0].source',
    '{ rules: [{ from: [{ source: { principals: [a], serviceAccounts: [b] } }] }] }',
  ],
  [
    'a port as a number',
    'spec.rules[0].to[0].operation.ports[0]',
    '{ rules: [{ to: [{ operation: { ports: [80] } }] }] }',
  ],
  [
    'a port that is none',
    'spec.rules[0].to[0].operation.ports[0]',
    '{ rules: [{ to: [{ operation: { ports: [http] } }] }] }',
  ],
  ['a condition without a key', 'spec.rules[0].when[0].key', '{ rules: [{ when: [{ values: [a] }] }] }'],
  ['a condition without values', 'spec.rules[0].when[0]', '{ rules: [{ when: [{ key: source.ip }] }] }'],
  ['a wildcard in a label', 'spec.selector.matchLabels', '{ selector: { matchLabels: { app: "a*" } } }', 'rule'],
  [
    'a selector and a target',
    'spec',
    '{ selector: { matchLabels: { app: a } }, targetRefs: [{ kind: Service, name: a }] }',
  ],
  ['a target without a kind', 'spec.targetRefs[0].kind', '{ targetRefs: [{ name: a }] }'],
  ['a target elsewhere', 'spec.targetRefs[0].namespace', '{ targetRefs: [{ kind: Service, name: a, namespace: b }] }'],
];

const TOKENS: readonly Row[] = [
  ['no issuer', 'spec.jwtRules[0].issuer', '{ jwtRules: [{ audiences: [a] }] }'],
  [
    'keys from two places',
    'spec.jwtRules[0]',
    `{ jwtRules: [{ issuer: a, jwksUri: "https://a/b", jwks: '{"keys":[]}' }] }`,
  ],
  ['keys from a file', 'spec.jwtRules[0].jwksUri', '{ jwtRules: [{ issuer: a, jwksUri: "file:///a" }] }'],
  [
    'a header with a blank',
    'spec.jwtRules[0].fromHeaders[0].name',
    '{ jwtRules: [{ issuer: a, fromHeaders: [{ name: "x a" }] }] }',
  ],
  ['a fetch of an hour', 'spec.jwtRules[0].timeout', '{ jwtRules: [{ issuer: a, timeout: 1h }] }', 'rule'],
  [
    'a claim without a name',
    'spec.jwtRules[0].outputClaimToHeaders[0].claim',
    '{ jwtRules: [{ issuer: a, outputClaimToHeaders: [{ header: x-a }] }] }',
  ],
];

const PEERS: readonly Row[] = [
  ['an unknown mode', 'spec.mtls.mode', '{ mtls: { mode: MUTUAL } }'],
  ['a mode as a text', 'spec.mtls', '{ mtls: STRICT }'],
  [
    'a port by name',
    'spec.portLevelMtls',
    '{ selector: { matchLabels: { app: a } }, portLevelMtls: { http: { mode: DISABLE } } }',
    'rule',
  ],
  ['ports of everybody', 'spec', '{ portLevelMtls: { "80": { mode: DISABLE } } }', 'rule'],
];

const TELEMETRY: readonly Row[] = [
  ['110 percent', 'spec.tracing[0].randomSamplingPercentage', '{ tracing: [{ randomSamplingPercentage: 110 }] }'],
  ['a provider without a name', 'spec.tracing[0].providers[0].name', '{ tracing: [{ providers: [{}] }] }'],
  ['an unknown side', 'spec.accessLogging[0].match.mode', '{ accessLogging: [{ match: { mode: INBOUND } }] }'],
  [
    'a tag of two sources',
    'spec.tracing[0].customTags.a',
    '{ tracing: [{ customTags: { a: { literal: { value: b }, header: { name: c } } } }] }',
  ],
];

const FILTERS: readonly Row[] = [
  [
    'an unknown operation',
    'spec.configPatches[0].patch.operation',
    '{ configPatches: [{ applyTo: HTTP_FILTER, patch: { operation: ADD, value: { name: a } } }] }',
  ],
  [
    'nothing to insert',
    'spec.configPatches[0].patch',
    '{ configPatches: [{ applyTo: HTTP_FILTER, patch: { operation: INSERT_FIRST } }] }',
    'rule',
  ],
  ['no patch', 'spec.configPatches[0].patch', '{ configPatches: [{ applyTo: HTTP_FILTER }] }'],
];

const RESILIENCE: readonly Row[] = [
  ['no target', 'spec.targetRefs', '{ retryBudget: { percent: 20 } }'],
  ['no section', 'spec', '{ targetRefs: [{ kind: Service, name: a }] }'],
  [
    'an unknown kind of target',
    'spec.targetRefs[0].kind',
    '{ targetRefs: [{ kind: Pod, name: a }], retryBudget: { percent: 20 } }',
  ],
  [
    'a section of routes for a service',
    'spec',
    '{ targetRefs: [{ kind: Service, name: a }], hedge: { attempts: 1 } }',
    'rule',
  ],
  [
    'a section of services for a route',
    'spec',
    '{ targetRefs: [{ kind: HTTPRoute, name: a }], retryBudget: { percent: 20 } }',
    'rule',
  ],
  [
    'a section of apps for what has none',
    'spec',
    '{ targetRefs: [{ kind: ServiceEntry, name: a }], admissionControl: {} }',
    'rule',
  ],
  ['no fallback', 'spec.fallback.hosts', '{ targetRefs: [{ kind: Service, name: a }], fallback: { hosts: [] } }'],
  [
    'a check by two ways',
    'spec.healthCheck',
    '{ targetRefs: [{ kind: Service, name: a }], healthCheck: { http: { path: / }, tcp: {} } }',
  ],
  [
    'a check of no path',
    'spec.healthCheck.http.path',
    '{ targetRefs: [{ kind: Service, name: a }], healthCheck: { http: { port: 80 } } }',
  ],
  [
    'an interval of 0s',
    'spec.healthCheck.interval',
    '{ targetRefs: [{ kind: Service, name: a }], healthCheck: { tcp: {}, interval: 0s } }',
    'rule',
  ],
  [
    'two classes of one name',
    'spec.shedding.classes[1]',
    '{ targetRefs: [{ kind: Service, name: a }], shedding: { classes: [{ name: a }, { name: a }], adaptive: true } }',
    'rule',
  ],
  [
    'two limits',
    'spec.shedding',
    '{ targetRefs: [{ kind: Service, name: a }], shedding: { classes: [{ name: a }], adaptive: true, requests: 1 } }',
    'rule',
  ],
  [
    'status 500',
    'spec.adaptiveConcurrency.status',
    '{ targetRefs: [{ kind: Service, name: a }], adaptiveConcurrency: { status: 500 } }',
  ],
  [
    'a window of less than 1s',
    'spec.admissionControl.samplingWindow',
    '{ targetRefs: [{ kind: Service, name: a }], admissionControl: { samplingWindow: 10ms } }',
    'rule',
  ],
  [
    'a port of 0',
    'spec.targetRefs[0].sectionName',
    '{ targetRefs: [{ kind: Service, name: a, sectionName: 0 }], retryBudget: { percent: 20 } }',
  ],
];

const RATES: readonly Row[] = [
  ['no limits', 'spec.limits', '{ limits: [] }'],
  ['no number', 'spec.limits[0].requests', '{ limits: [{ per: 1s }] }'],
  ['0 requests', 'spec.limits[0].requests', '{ limits: [{ requests: 0 }] }'],
  ['a time of 1ms', 'spec.limits[0].per', '{ limits: [{ requests: 1, per: 1ms }] }', 'rule'],
  ['a caller by two ways', 'spec.limits[0]', '{ limits: [{ requests: 1, by: Caller, byHeader: x-a }] }'],
  [
    'overrides of nobody',
    'spec.limits[0]',
    '{ limits: [{ requests: 1, overrides: [{ requests: 2, serviceAccounts: [a/b] }] }] }',
    'rule',
  ],
  ['callers divided', 'spec.limits[0]', '{ limits: [{ requests: 1, by: Caller, scope: Service }] }', 'rule'],
  [
    'an account without a namespace',
    'spec.limits[0].overrides[0].serviceAccounts[0]',
    '{ limits: [{ requests: 1, by: Caller, overrides: [{ requests: 2, serviceAccounts: [a] }] }] }',
  ],
  ['a path with a query', 'spec.limits[0].match.paths[0]', '{ limits: [{ requests: 1, match: { paths: ["/a?b"] } }] }'],
  [
    'a rule by number',
    'spec.targetRefs[0]',
    '{ targetRefs: [{ kind: VirtualService, name: a, sectionName: 1 }], limits: [{ requests: 1 }] }',
    'rule',
  ],
];

const EXTENSIONS: readonly Row[] = [
  ['no module', 'spec.module', '{ config: { a: b } }'],
  ['no digest', 'spec', '{ module: mine }', 'rule'],
  ['a digest that is none', 'spec.digest', '{ module: mine, digest: "sha256:abc" }'],
  ['a configuration as a text', 'spec.config', '{ module: outrigger/cors, config: a }'],
  ['a budget of a minute', 'spec.timeBudget', '{ module: outrigger/cors, timeBudget: 1m }', 'rule'],
];

const TABLES: readonly (readonly [kind: string, apiVersion: string, rows: readonly Row[]])[] = [
  ['VirtualService', 'networking.istio.io/v1', VIRTUAL_SERVICE],
  ['DestinationRule', 'networking.istio.io/v1', DESTINATION_RULE],
  ['ServiceEntry', 'networking.istio.io/v1', REGISTRY],
  ['Sidecar', 'networking.istio.io/v1', SCOPE],
  ['EnvoyFilter', 'networking.istio.io/v1alpha3', FILTERS],
  ['AuthorizationPolicy', 'security.istio.io/v1', AUTHORIZATION],
  ['RequestAuthentication', 'security.istio.io/v1', TOKENS],
  ['PeerAuthentication', 'security.istio.io/v1', PEERS],
  ['Telemetry', 'telemetry.istio.io/v1', TELEMETRY],
  ['ResiliencePolicy', 'outrigger.dev/v1alpha1', RESILIENCE],
  ['RateLimitPolicy', 'outrigger.dev/v1alpha1', RATES],
  ['Extension', 'outrigger.dev/v1alpha1', EXTENSIONS],
];

export function brokenResources(): readonly BrokenResource[] {
  return TABLES.flatMap(([kind, apiVersion, rows]) =>
    rows.map(([title, path, text, by]) => {
      const spec: unknown = parse(text);
      return {
        kind,
        title,
        path,
        value: { apiVersion, kind, metadata: { name: 'broken' }, spec },
        isByRule: by === 'rule',
      };
    }),
  );
}
