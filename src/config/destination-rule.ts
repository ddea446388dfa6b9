// DestinationRule (networking.istio.io): subsets and the traffic policy of a host, with the policies of
// subsets and of single ports, which replace the wider one section by section.
import { readConnectionPool } from './connection-pool.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Fields } from './fields.ts';
import { limits } from './limits.ts';
import { readLoadBalancer } from './load-balancer.ts';
import type { LoadBalancer } from './load-balancer.ts';
import { readOutlier } from './outlier.ts';
import type { Outlier } from './outlier.ts';
import { readRetryBudget } from './retry-budget.ts';
import type { RetryBudget } from './retry-budget.ts';

export interface ClientTls {
  readonly mode: 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';
  readonly clientCertificate: string;
  readonly privateKey: string;
  readonly caCertificates: string;
  readonly subjectAltNames: readonly string[];
  readonly sni: string;
  readonly skipsVerification: boolean;
  /** A Secret of the client's namespace, in the place of the files; empty: none. */
  readonly credentialName: string;
  /** The path of revocation lists; empty: none. */
  readonly caCrl: string;
}

/** What a port may have for itself. */
export interface PortPolicy {
  readonly loadBalancer: LoadBalancer | null;
  readonly connectionPool: ConnectionPool | null;
  readonly outlier: Outlier | null;
  readonly tls: ClientTls | null;
}

/** What holds for one port of a host or a subset of it. */
export interface EffectivePolicy extends PortPolicy {
  readonly retryBudget: RetryBudget | null;
  /** Of the PROXY header that begins each connection. */
  readonly proxyProtocol: 'V1' | 'V2' | null;
}

export interface TrafficPolicy extends EffectivePolicy {
  /** By port number. */
  readonly ports: ReadonlyMap<number, PortPolicy>;
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

/** As a pattern that RE2 takes, too. */
export const SUBSET_NAME_PATTERN = '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$';
const SUBSET_NAME = new RegExp(SUBSET_NAME_PATTERN);

export function readDestinationRuleSpec(fields: Fields): DestinationRuleSpec {
  const subsets = fields.list('subsets', readSubset, limits.subsetsMax);
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
  if (fields.has('name') && !SUBSET_NAME.test(name))
    fields.error('name', `"${name}" is not a subset name`, 'use letters, digits and -');
  return { name, labels: fields.textMap('labels'), policy: fields.object('trafficPolicy', readPolicy) };
}

function readPolicy(fields: Fields): TrafficPolicy {
  const ports = new Map<number, PortPolicy>();
  const readPort = (entry: Fields): null => {
    const number = entry.object('port', (port) => port.port('number'));
    const sections = readSections(entry);
    if (number === null) entry.error('port', 'port.number is missing', 'add port: { number: 80 }');
    else ports.set(number, sections);
    return null;
  };
  fields.list('portLevelSettings', readPort, limits.portSettingsMax);
  fields.later('tunnel');
  return {
    ...readSections(fields),
    retryBudget: fields.object('retryBudget', readRetryBudget),
    proxyProtocol: fields.object('proxyProtocol', (proxy) => proxy.choice('version', ['V1', 'V2']) ?? 'V1'),
    ports,
  };
}

function readSections(fields: Fields): PortPolicy {
  return {
    loadBalancer: fields.object('loadBalancer', readLoadBalancer),
    connectionPool: fields.object('connectionPool', readConnectionPool),
    outlier: fields.object('outlierDetection', readOutlier),
    tls: fields.object('tls', readTls),
  };
}

function readTls(fields: Fields): ClientTls {
  const mode = fields.choice('mode', ['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']) ?? 'DISABLE';
  const isMutual = mode === 'MUTUAL';
  const credentialName = fields.text('credentialName');
  if (isMutual && credentialName === '') {
    for (const name of ['clientCertificate', 'privateKey'])
      if (!fields.has(name))
        fields.error(name, `MUTUAL needs ${name}`, 'add the path of a PEM file, or credentialName');
  }
  const files = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'].filter((name) => fields.has(name));
  if (credentialName !== '' && files.length > 0)
    fields.error('credentialName', `takes the place of ${files.join(' and ')}`, 'remove one or the others');
  if (mode === 'ISTIO_MUTUAL' && (credentialName !== '' || files.length > 0))
    fields.error('mode', 'ISTIO_MUTUAL uses the identity of the mesh', 'remove the certificates, or write MUTUAL');
  return {
    mode,
    clientCertificate: fields.text('clientCertificate'),
    privateKey: fields.text('privateKey'),
    caCertificates: fields.text('caCertificates'),
    subjectAltNames: fields.texts('subjectAltNames'),
    sni: fields.text('sni'),
    skipsVerification: fields.flag('insecureSkipVerify') ?? false,
    credentialName,
    caCrl: fields.text('caCrl'),
  };
}
