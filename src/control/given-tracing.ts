// A trace collector given on the command line as `name=host:port`: it becomes a provider of that name and
// a service that its spans are sent to, without a line of YAML.
import { bare } from './instances.ts';
import { isIP } from 'node:net';
import type { ExtensionProvider } from '../config/mesh-config.ts';
import type { MeshService } from './mesh-service.ts';

export interface GivenTracing {
  readonly provider: ExtensionProvider;
  readonly service: MeshService;
}

/** Null when `text` is not `name=host:port`. */
export function parseTracing(text: string): GivenTracing | null {
  const parts = /^([-a-z0-9]+)=\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text);
  const [, name = '', address = '', portText = ''] = parts ?? [];
  const port = Number(portText);
  if (parts === null || port < 1 || port > 65_535) return null;
  const host = `${name}.tracing.outrigger`;
  const endpoint = bare(address, port);
  const service: MeshService = {
    host,
    name,
    namespace: '',
    kind: 'entry',
    resolution: isIP(address) === 0 ? 'dns' : 'eds',
    ports: [{ number: port, name: 'grpc', protocol: 'grpc', isTls: false, isGuessed: false }],
    endpoints: new Map([[port, [endpoint]]]),
    clusterIps: [],
    ranges: [],
    keepsDestination: false,
    isHeadless: false,
    nearness: null,
    exportTo: [],
    selector: new Map(),
    subjectAltNames: [],
    meta: { name, namespace: '', labels: new Map(), annotations: new Map(), createdAtMs: 0, generation: 1 },
    source: null,
  };
  return { provider: { kind: 'opentelemetry', name, service: host, port, maxTagLength: null }, service };
}
