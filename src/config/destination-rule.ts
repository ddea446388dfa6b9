// DestinationRule (networking.istio.io): subsets and the traffic policy of a host, with the policies of
// subsets and of single ports, which replace the wider one section by section.
import type { Fields } from './fields.ts';
import { readLoadBalancer } from './load-balancer.ts';
import type { LoadBalancer } from './load-balancer.ts';

export interface ConnectionPool {
  readonly maxConnections: number | null;
  readonly connectTimeoutMs: number | null;
  readonly keepalive: {
    readonly probes: number | null;
    readonly timeMs: number | null;
    readonly intervalMs: number | null;
  } | null;
  readonly maxConnectionDurationMs: number | null;
  readonly maxPendingRequests: number | null;
  readonly maxRequests: number | null;
  readonly maxRequestsPerConnection: number | null;
  readonly maxRetries: number | null;
  readonly idleTimeoutMs: number | null;
  readonly h2Upgrade: 'DEFAULT' | 'DO_NOT_UPGRADE' | 'UPGRADE' | null;
  readonly usesClientProtocol: boolean;
  readonly maxConcurrentStreams: number | null;
}

export interface Outlier {
  readonly consecutive5xx: number | null;
  readonly consecutiveGateway: number | null;
  readonly consecutiveLocalOrigin: number | null;
  readonly splitsLocalOrigin: boolean;
  readonly intervalMs: number | null;
  readonly baseEjectionMs: number | null;
  readonly maxEjectionPercent: number | null;
  readonly minHealthPercent: number | null;
}

export interface ClientTls {
  readonly mode: 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';
  readonly clientCertificate: string;
  readonly privateKey: string;
  readonly caCertificates: string;
  readonly subjectAltNames: readonly string[];
  readonly sni: string;
  readonly skipsVerification: boolean;
}

export interface TrafficPolicy {
  readonly loadBalancer: LoadBalancer | null;
  readonly connectionPool: ConnectionPool | null;
  readonly outlier: Outlier | null;
  readonly tls: ClientTls | null;
  /** By port number. */
  readonly ports: ReadonlyMap<number, TrafficPolicy>;
}

export interface Subset {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly policy: TrafficPolicy | null;
}

export interface DestinationRuleSpec {
  readonly host: string;
  readonly policy: TrafficPolicy | null;
  readonly subsets: readonly Subset[];
  readonly exportTo: readonly string[];
  /** The workloads of its namespace that follow it; null is everybody. */
  readonly selector: ReadonlyMap<string, string> | null;
}

export function readDestinationRuleSpec(fields: Fields): DestinationRuleSpec {
  const subsets = fields.list('subsets', readSubset);
  const names = new Set<string>();
  for (const [index, subset] of subsets.entries()) {
    if (names.has(subset.name))
      fields.error(
        'subsets',
        `the subset name "${subset.name}" is used twice (entry ${index})`,
        'give each subset its own name',
      );
    names.add(subset.name);
  }
  return {
    host: fields.requiredText('host', 'add host: with the name of a service'),
    policy: fields.object('trafficPolicy', readPolicy),
    subsets,
    exportTo: fields.texts('exportTo'),
    selector: fields.object('workloadSelector', (selector) => selector.textMap('matchLabels')),
  };
}

function readSubset(fields: Fields): Subset {
  const name = fields.requiredText('name', 'add name: v1 or the like');
  if (name !== '' && !/^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name))
    fields.error('name', `"${name}" is not a subset name`, 'use letters, digits and -');
  return { name, labels: fields.textMap('labels'), policy: fields.object('trafficPolicy', readPolicy) };
}

function readPolicy(fields: Fields): TrafficPolicy {
  const ports = new Map<number, TrafficPolicy>();
  fields.list('portLevelSettings', (entry) => {
    const number = entry.object('port', (port) => port.port('number'));
    if (number === null) entry.error('port', 'port.number is missing', 'add port: { number: 80 }');
    else ports.set(number, { ...readSections(entry), ports: new Map() });
    return null;
  });
  fields.later('tunnel', 'proxyProtocol', 'retryBudget');
  return { ...readSections(fields), ports };
}

function readSections(fields: Fields): Omit<TrafficPolicy, 'ports'> {
  fields.forEnvoyOnly('outlierDetection');
  return {
    loadBalancer: fields.object('loadBalancer', readLoadBalancer),
    connectionPool: fields.object('connectionPool', readConnectionPool),
    outlier: fields.object('outlierDetection', readOutlier),
    tls: fields.object('tls', readTls),
  };
}

export function readConnectionPool(fields: Fields): ConnectionPool {
  const count = { min: 0, max: 2_147_483_647 };
  const tcp = fields.object('tcp', (tcp) => {
    tcp.forEnvoyOnly('tcpKeepalive');
    return {
      maxConnections: tcp.integer('maxConnections', count),
      connectTimeoutMs: tcp.durationMs('connectTimeout'),
      maxConnectionDurationMs: tcp.durationMs('maxConnectionDuration'),
      idleTimeoutMs: tcp.durationMs('idleTimeout'),
      keepalive: tcp.object('tcpKeepalive', (alive) => ({
        probes: alive.integer('probes', count),
        timeMs: alive.durationMs('time'),
        intervalMs: alive.durationMs('interval'),
      })),
    };
  });
  const http = fields.object('http', (http) => {
    return {
      maxPendingRequests: http.integer('http1MaxPendingRequests', count),
      maxRequests: http.integer('http2MaxRequests', count),
      maxRequestsPerConnection: http.integer('maxRequestsPerConnection', count),
      maxRetries: http.integer('maxRetries', count),
      idleTimeoutMs: http.durationMs('idleTimeout'),
      h2Upgrade: http.choice('h2UpgradePolicy', ['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']),
      usesClientProtocol: http.flag('useClientProtocol') ?? false,
      maxConcurrentStreams: http.integer('maxConcurrentStreams', count),
    };
  });
  return {
    maxConnections: tcp?.maxConnections ?? null,
    connectTimeoutMs: tcp?.connectTimeoutMs ?? null,
    keepalive: tcp?.keepalive ?? null,
    maxConnectionDurationMs: tcp?.maxConnectionDurationMs ?? null,
    maxPendingRequests: http?.maxPendingRequests ?? null,
    maxRequests: http?.maxRequests ?? null,
    maxRequestsPerConnection: http?.maxRequestsPerConnection ?? null,
    maxRetries: http?.maxRetries ?? null,
    idleTimeoutMs: http?.idleTimeoutMs ?? null,
    h2Upgrade: http?.h2Upgrade ?? null,
    usesClientProtocol: http?.usesClientProtocol ?? false,
    maxConcurrentStreams: http?.maxConcurrentStreams ?? null,
  };
}

function readOutlier(fields: Fields): Outlier {
  const percent = { min: 0, max: 100 };
  return {
    consecutive5xx:
      fields.integer('consecutive5xxErrors', { min: 0 }) ?? fields.integer('consecutiveErrors', { min: 0 }),
    consecutiveGateway: fields.integer('consecutiveGatewayErrors', { min: 0 }),
    consecutiveLocalOrigin: fields.integer('consecutiveLocalOriginFailures', { min: 0 }),
    splitsLocalOrigin: fields.flag('splitExternalLocalOriginErrors') ?? false,
    intervalMs: fields.durationMs('interval'),
    baseEjectionMs: fields.durationMs('baseEjectionTime'),
    maxEjectionPercent: fields.integer('maxEjectionPercent', percent),
    minHealthPercent: fields.integer('minHealthPercent', percent),
  };
}

function readTls(fields: Fields): ClientTls {
  const mode = fields.choice('mode', ['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']) ?? 'DISABLE';
  if (mode !== 'DISABLE')
    fields.warning(
      'mode',
      `${mode} is not supported yet: the connection is plain`,
      'remove it, or wait for the version that does TLS',
    );
  const isMutual = mode === 'MUTUAL';
  if (isMutual && !fields.has('clientCertificate'))
    fields.error('clientCertificate', 'MUTUAL needs clientCertificate', 'add the path of a PEM file');
  if (isMutual && !fields.has('privateKey'))
    fields.error('privateKey', 'MUTUAL needs privateKey', 'add the path of a PEM file');
  fields.later('credentialName', 'caCrl');
  return {
    mode,
    clientCertificate: fields.text('clientCertificate'),
    privateKey: fields.text('privateKey'),
    caCertificates: fields.text('caCertificates'),
    subjectAltNames: fields.texts('subjectAltNames'),
    sni: fields.text('sni'),
    skipsVerification: fields.flag('insecureSkipVerify') ?? false,
  };
}
