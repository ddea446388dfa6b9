// ServiceEntry and WorkloadEntry (networking.istio.io): services and instances that Kubernetes does
// not know. Field names, defaults and exclusions are Istio's (networking/v1alpha3/service_entry.proto).
import { isIP } from 'node:net';
import { readRange } from './address-range.ts';
import type { Fields } from './fields.ts';
import { limits } from './limits.ts';

export interface WorkloadSpec {
  /** An IP address, a DNS name, or `unix:///path`. Empty only where the owner's host stands in. */
  readonly address: string;
  /** By port name of the service. */
  readonly ports: ReadonlyMap<string, number>;
  readonly labels: ReadonlyMap<string, string>;
  /** `region/zone/subzone`. */
  readonly locality: string;
  readonly weight: number;
  readonly serviceAccount: string;
}

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  /** As written: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS. */
  readonly protocol: string;
  readonly targetPort: number;
}

export interface ServiceEntrySpec {
  readonly hosts: readonly string[];
  /** Addresses, and ranges as `ADDRESS/BITS`. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServiceEntryPort[];
  readonly isExternal: boolean;
  readonly resolution: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';
  readonly endpoints: readonly WorkloadSpec[];
  /** Null when the entry selects no workloads. */
  readonly workloadLabels: ReadonlyMap<string, string> | null;
  readonly exportTo: readonly string[];
  readonly subjectAltNames: readonly string[];
}

const RESOLUTIONS = ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'] as const;

export function readServiceEntrySpec(fields: Fields): ServiceEntrySpec {
  const hosts = fields.texts('hosts');
  if (hosts.length === 0) fields.error('hosts', 'the ServiceEntry names no host', 'add hosts: ["api.example.com"]');
  for (const host of hosts)
    if (host === '*')
      fields.error('hosts', 'the host "*" is not allowed', 'name a host or a domain like *.example.com');
  const resolution = fields.choice('resolution', RESOLUTIONS) ?? 'NONE';
  const endpoints = fields.list('endpoints', readWorkloadSpec);
  const workloadLabels = fields.object('workloadSelector', (selector) => selector.textMap('labels'));
  fields.exclusive('endpoints', 'workloadSelector');
  const ports = fields.list('ports', readPort, limits.servicePortsMax);
  refuseTwice(fields, ports);
  if (ports.length === 0)
    fields.warning(
      'ports',
      'without ports no request can be routed to the host',
      'add ports: [{ number: 443, name: https, protocol: TLS }]',
    );
  if (resolution === 'NONE' && endpoints.length > 0)
    fields.error('resolution', 'resolution NONE allows no endpoints', 'write resolution: STATIC or DNS');
  for (const [index, endpoint] of endpoints.entries()) {
    if (resolution === 'STATIC' && isIP(endpoint.address) === 0 && !endpoint.address.startsWith('unix://'))
      fields.error(
        'endpoints',
        `endpoint ${index}: "${endpoint.address}" is not an IP address`,
        'write an IP address, or resolution: DNS',
      );
  }
  const isWild = hosts.some((host) => host.includes('*'));
  if (isWild && endpoints.length === 0 && resolution.startsWith('DNS'))
    fields.error('hosts', 'a wildcard host cannot be resolved by DNS', 'name the host, or add endpoints');
  if (resolution === 'DYNAMIC_DNS')
    fields.warning(
      'resolution',
      'DYNAMIC_DNS is not supported yet and the host is not routed',
      'write resolution: DNS with a full host name',
    );
  const addresses = fields.texts('addresses').flatMap((text) => {
    const range = readRange(text);
    if (range !== null) return [text.includes('/') ? range : text];
    fields.error('addresses', `"${text}" is not an address`, 'write one like 10.1.2.3 or 10.1.0.0/16');
    return [];
  });
  return {
    hosts,
    addresses,
    ports,
    isExternal: (fields.choice('location', ['MESH_EXTERNAL', 'MESH_INTERNAL']) ?? 'MESH_EXTERNAL') === 'MESH_EXTERNAL',
    resolution,
    endpoints,
    workloadLabels,
    exportTo: fields.texts('exportTo'),
    subjectAltNames: fields.texts('subjectAltNames'),
  };
}

/** Names and numbers are what destinations point to; ports that were refused have neither. */
function refuseTwice(fields: Fields, ports: readonly ServiceEntryPort[]): void {
  const seen = new Set<string>();
  for (const { number, name } of ports) {
    for (const key of [String(number), name]) {
      if (seen.has(key)) fields.error('ports', `there are two ports ${key}`, 'give each its own name and number');
      if (key !== '' && key !== '0') seen.add(key);
    }
  }
}

function readPort(fields: Fields): ServiceEntryPort {
  const number = fields.port('number');
  if (!fields.has('number')) fields.error('number', 'number is missing', 'add number: 443 or the like');
  const protocol = fields.text('protocol');
  const known = [
    '',
    'HTTP',
    'HTTPS',
    'GRPC',
    'GRPC-WEB',
    'HTTP2',
    'MONGO',
    'TCP',
    'TLS',
    'REDIS',
    'MYSQL',
    'UDP',
    'HTTP_PROXY',
  ];
  if (!known.includes(protocol.toUpperCase()))
    fields.error('protocol', `"${protocol}" is not a protocol`, 'write HTTP, HTTPS, GRPC, HTTP2, TCP or TLS');
  return {
    number: number ?? 0,
    name: fields.requiredText('name', 'add name: http or the like'),
    protocol,
    targetPort: fields.port('targetPort') ?? number ?? 0,
  };
}

export function readWorkloadSpec(fields: Fields): WorkloadSpec {
  const ports = new Map<string, number>();
  fields.object('ports', (map) => {
    for (const name of map.names()) ports.set(name, map.port(name) ?? 0);
    return null;
  });
  fields.later('network');
  return {
    address: fields.text('address'),
    ports,
    labels: fields.textMap('labels'),
    locality: fields.text('locality'),
    weight: fields.integer('weight', { min: 0, max: 1_000_000 }) ?? 1,
    serviceAccount: fields.text('serviceAccount'),
  };
}
