// The Kubernetes core kinds that the mesh reads: Service, EndpointSlice, Pod and Namespace, with the
// fields that say where requests go. The rest of them is the cluster's business and is passed over.
import type { Fields } from './fields.ts';

export interface ServicePort {
  readonly name: string;
  readonly number: number;
  readonly appProtocol: string;
  /** `TCP`, `UDP` or `SCTP`. */
  readonly transport: string;
  readonly targetPort: number | string;
}

export interface ServiceSpec {
  readonly ports: readonly ServicePort[];
  readonly selector: ReadonlyMap<string, string>;
  /** Without the word `None`. */
  readonly clusterIps: readonly string[];
  readonly isHeadless: boolean;
  readonly trafficDistribution: 'PreferClose' | 'PreferSameZone' | 'PreferSameNode' | null;
  /** Empty unless the Service is of type ExternalName. */
  readonly externalName: string;
}

export function readServiceSpec(fields: Fields): ServiceSpec {
  const ports = fields.list('ports', readServicePort);
  checkPorts(fields, ports);
  const clusterIp = fields.text('clusterIP');
  const clusterIps = [clusterIp, ...fields.texts('clusterIPs')].filter((ip) => ip !== '' && ip !== 'None');
  const type = fields.choice('type', ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']);
  fields.ignore(
    'ipFamilies',
    'ipFamilyPolicy',
    'internalTrafficPolicy',
    'externalTrafficPolicy',
    'sessionAffinity',
    'sessionAffinityConfig',
  );
  fields.ignore(
    'externalIPs',
    'loadBalancerIP',
    'loadBalancerClass',
    'loadBalancerSourceRanges',
    'allocateLoadBalancerNodePorts',
  );
  fields.ignore('publishNotReadyAddresses', 'healthCheckNodePort');
  const distribution = fields.choice('trafficDistribution', ['PreferClose', 'PreferSameZone', 'PreferSameNode']);
  return {
    ports,
    selector: fields.textMap('selector'),
    clusterIps: [...new Set(clusterIps)],
    isHeadless: clusterIp === 'None',
    trafficDistribution: distribution,
    externalName: type === 'ExternalName' ? fields.requiredText('externalName') : '',
  };
}

function readServicePort(fields: Fields): ServicePort {
  const number = fields.port('port');
  if (!fields.has('port')) fields.error('port', 'port is missing', 'add port: 80 or the like');
  fields.ignore('nodePort');
  return {
    name: fields.text('name'),
    number: number ?? 0,
    appProtocol: fields.text('appProtocol'),
    transport: fields.choice('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP',
    targetPort: fields.portOrName('targetPort') ?? number ?? 0,
  };
}

function checkPorts(fields: Fields, ports: readonly ServicePort[]): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  if (ports.length > 1 && ports.some((port) => port.name === ''))
    fields.error('ports', 'every port needs a name when there are several', 'add name: http or the like');
  for (const port of ports) {
    if (port.name !== '' && names.has(port.name))
      fields.error('ports', `the port name "${port.name}" is used twice`, 'give each port its own name');
    const number = `${port.number}/${port.transport}`;
    if (numbers.has(number)) fields.error('ports', `port ${port.number} is there twice`, 'remove one of them');
    names.add(port.name);
    numbers.add(number);
  }
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly isReady: boolean;
  readonly zone: string;
  /** The Pod it stands for; empty when it stands for none. */
  readonly podName: string;
  readonly hostname: string;
}

export interface EndpointSliceSpec {
  readonly service: string;
  readonly addressType: string;
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly { readonly name: string; readonly port: number }[];
}

/** Reads the whole document: an EndpointSlice has no `spec`. */
export function readEndpointSlice(fields: Fields, labels: ReadonlyMap<string, string>): EndpointSliceSpec {
  const service = labels.get('kubernetes.io/service-name') ?? '';
  if (service === '')
    fields.error('metadata', 'the EndpointSlice belongs to no Service', 'add the label kubernetes.io/service-name');
  const ports = fields.list('ports', (port) => {
    port.ignore('protocol', 'appProtocol');
    return { name: port.text('name'), port: port.port('port') ?? 0 };
  });
  return {
    service,
    addressType: fields.choice('addressType', ['IPv4', 'IPv6', 'FQDN']) ?? 'IPv4',
    endpoints: fields.list('endpoints', readSliceEndpoint),
    ports,
  };
}

function readSliceEndpoint(fields: Fields): SliceEndpoint {
  const addresses = fields.texts('addresses');
  if (addresses.length === 0) fields.error('addresses', 'the endpoint has no address', 'add addresses: ["10.0.0.1"]');
  const isReady = fields.object('conditions', (conditions) => {
    conditions.ignore('serving', 'terminating');
    return conditions.flag('ready');
  });
  const podName = fields.object('targetRef', (target) => {
    target.ignore('namespace', 'uid', 'resourceVersion', 'apiVersion', 'fieldPath');
    return target.text('kind') === 'Pod' ? target.text('name') : '';
  });
  fields.ignore('nodeName', 'hints', 'deprecatedTopology');
  return {
    addresses,
    isReady: isReady ?? true,
    zone: fields.text('zone'),
    podName: podName ?? '',
    hostname: fields.text('hostname'),
  };
}

export interface PodSpec {
  readonly ip: string;
  readonly isReady: boolean;
  readonly serviceAccount: string;
  readonly nodeName: string;
  /** Container ports by name. */
  readonly ports: ReadonlyMap<string, number>;
}

export function readPod(fields: Fields): PodSpec {
  const ports = new Map<string, number>();
  const spec = fields.object('spec', (pod) => {
    const containers = pod.list('containers', (container) => {
      const list = container.list('ports', (port) => {
        port.ignore('protocol', 'hostPort', 'hostIP');
        return { name: port.text('name'), port: port.port('containerPort') ?? 0 };
      });
      container.ignore(...container.names());
      return list;
    });
    for (const port of containers.flat()) if (port.name !== '') ports.set(port.name, port.port);
    const read = { serviceAccount: pod.text('serviceAccountName'), nodeName: pod.text('nodeName') };
    pod.ignore(...pod.names());
    return read;
  });
  const status = fields.object('status', (pod) => {
    const conditions = pod.list('conditions', (condition) => {
      const isNotReady = condition.text('type') === 'Ready' && condition.text('status') !== 'True';
      condition.ignore(...condition.names());
      return isNotReady;
    });
    const phase = pod.text('phase');
    const isRunning = phase === '' || phase === 'Running';
    const read = { ip: pod.text('podIP'), isReady: isRunning && !conditions.includes(true) };
    pod.ignore(...pod.names());
    return read;
  });
  return {
    ip: status?.ip ?? '',
    isReady: status?.isReady ?? false,
    serviceAccount: spec?.serviceAccount ?? '',
    nodeName: spec?.nodeName ?? '',
    ports,
  };
}
