// One sidecar as the control service sees it: what its node metadata says (docs/INTERFACES.md).
// A node of another kind, a real Envoy for one, has no OUTRIGGER struct: it gets the outbound half.
import type { WorkloadId } from '../tls/spiffe-id.ts';
import type { NodeInfo } from './flow.ts';
import { localityOfLabels, takesMtls, type Locality } from './mesh-service.ts';

export interface MeshApp {
  /** Where the app listens on 127.0.0.1. */
  readonly port: number;
  readonly protocol: 'http' | 'http2' | 'grpc' | 'tcp';
  /** Where others reach it: a port of its sidecar, or the app's own when its traffic is captured. */
  readonly inboundPort: number;
}

/** What our own sidecar does not do yet is left out of what it gets: it would refuse the whole resource. */
export interface Abilities {
  readonly upgrades: boolean;
  readonly http2: boolean;
  readonly tls: boolean;
  /** Listeners with more than one address. */
  readonly addresses: boolean;
  /** Retries have a budget where no limit of them is written. */
  readonly budgetsRetries: boolean;
  /** The filters that only our own sidecar has: `outrigger.mesh`, `outrigger.fault`, `outrigger.shedding`. */
  readonly ownFilters: boolean;
  /** It has an identity of the mesh, and secrets to show it. */
  readonly mtls: boolean;
  /** It fetches virtual hosts when it needs them (on-demand-hosts.ts). */
  readonly onDemand: boolean;
}

export const ALL_ABILITIES: Abilities = {
  upgrades: true,
  http2: true,
  tls: true,
  addresses: true,
  budgetsRetries: false,
  ownFilters: false,
  mtls: false,
  onDemand: false,
};
export const SIDECAR_ABILITIES: Abilities = {
  upgrades: true,
  http2: false,
  tls: true,
  addresses: false,
  budgetsRetries: true,
  ownFilters: true,
  mtls: false,
  onDemand: false,
};

/** An Envoy that says about its app what our sidecar says: the same configuration, without what only ours understands. */
const ENVOY_ABILITIES: Abilities = { ...SIDECAR_ABILITIES, budgetsRetries: false, ownFilters: false };

export const MESH_MODES = ['explicit', 'redirect'] as const;
export type MeshMode = (typeof MESH_MODES)[number];

export interface MeshNode {
  readonly id: string;
  readonly ip: string;
  readonly namespace: string;
  readonly workload: string;
  /** The name it joins under; empty when it only wants to send. */
  readonly service: string;
  readonly version: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly apps: readonly MeshApp[];
  /** All addresses of the workload; `ip` is the first. */
  readonly addresses: readonly string[];
  /** `redirect`: the pod's traffic is captured, the app knows nothing of its sidecar. */
  readonly mode: MeshMode;
  readonly outboundPort: number;
  /** Where captured connections from others arrive. */
  readonly inboundPort: number;
  readonly abilities: Abilities;
  /** Where it says that it is, or its label `istio-locality` does; empty texts when nobody does. */
  readonly locality: Locality;
  /** Who it proved to be; null: nobody made sure, and it gets nothing that needs an identity. */
  readonly identity: WorkloadId | null;
  /** The one that was proven; without proof the one that it claims. Empty: not known. */
  readonly serviceAccount: string;
  /** It takes mutual TLS from others: its labels say so. */
  readonly isMeshed: boolean;
}

const APP_PROTOCOLS = ['http', 'http2', 'grpc', 'tcp'] as const;
const OUTBOUND_PORT = 15_001;
const INBOUND_PORT = 15_006;
const LOOPBACK = '127.0.0.1';

/** The node, or what is wrong with it. */
export function readNode(info: NodeInfo): MeshNode | string {
  if (info.id === '') return 'the node has no id';
  const [, idAddress = '', idWorkload = ''] = info.id.split('~');
  const { metadata } = info;
  const own = recordOf(metadata['OUTRIGGER']);
  const namespace = info.peer?.id.namespace || textOf(metadata['NAMESPACE']) || idWorkload.split('.')[1] || 'default';
  const mode = modeOf(own, metadata);
  const apps: MeshApp[] = [];
  for (const [index, entry] of listOf(own?.['apps']).entries()) {
    const app = recordOf(entry);
    const port = portOf(app?.['port'], 0);
    const protocol = APP_PROTOCOLS.find((known) => known === (textOf(app?.['protocol']) || 'http'));
    if (port === 0 || protocol === undefined) return `OUTRIGGER.apps[${index}] is not a port with a protocol`;
    const inboundPort = mode === 'redirect' ? port : portOf(app?.['inboundPort'], INBOUND_PORT + index);
    apps.push({ port, protocol, inboundPort });
  }
  const labels = new Map<string, string>();
  for (const [name, value] of Object.entries(recordOf(metadata['LABELS']) ?? {})) labels.set(name, textOf(value));
  const service = textOf(own?.['service']);
  const version = textOf(own?.['version']);
  if (service !== '' && !labels.has('app')) labels.set('app', service);
  if (version !== '' && !labels.has('version')) labels.set('version', version);
  const addresses = (textOf(metadata['INSTANCE_IPS']) || idAddress || LOOPBACK).split(',').map((text) => text.trim());
  return {
    id: info.id,
    ip: addresses[0] ?? LOOPBACK,
    namespace,
    workload: textOf(metadata['WORKLOAD_NAME']) || textOf(metadata['NAME']) || idWorkload.split('.')[0] || service,
    service: service.split('.')[0] ?? service,
    version,
    labels,
    apps,
    addresses,
    mode,
    outboundPort: portOf(own?.['outboundPort'], OUTBOUND_PORT),
    inboundPort: portOf(own?.['inboundPort'], INBOUND_PORT),
    locality: whereIs(info, labels),
    identity: info.peer?.id ?? null,
    serviceAccount: info.peer?.id.serviceAccount ?? textOf(metadata['SERVICE_ACCOUNT']),
    isMeshed: takesMtls(labels),
    abilities: {
      ...abilitiesOf(info, own !== null),
      mtls: takesMtls(labels),
      onDemand: own?.['onDemand'] === true,
    },
  };
}

/** Where a sidecar says that its pages are; 0: it does not say. */
export interface PagePorts {
  /** Of its admin server, on its own loopback. */
  readonly adminPort: number;
  /** For us, over mutual TLS. */
  readonly pagesPort: number;
}

export function pagePortsOf(metadata: NodeInfo['metadata']): PagePorts {
  const said = recordOf(metadata['OUTRIGGER']);
  return { adminPort: portOf(said?.['adminPort'], 0), pagesPort: portOf(said?.['pagesPort'], 0) };
}

/** Nodes of one sort are translated alike but for their addresses. */
export function sortOf({ namespace, labels, abilities, apps }: MeshNode): string {
  const pairs = [...labels].map(([name, value]) => `${name}=${value}`).toSorted();
  return JSON.stringify([namespace, pairs, abilities, apps.map(({ protocol }) => protocol)]);
}

function abilitiesOf({ userAgent }: NodeInfo, isOurs: boolean): Abilities {
  if (!isOurs) return ALL_ABILITIES;
  return userAgent === 'envoy' ? ENVOY_ABILITIES : SIDECAR_ABILITIES;
}

function whereIs({ locality }: NodeInfo, labels: ReadonlyMap<string, string>): Locality {
  const { region = '', zone = '', subZone = '' } = locality ?? {};
  return region === '' && zone === '' ? localityOfLabels(labels) : { region, zone, subZone };
}

/** Ours says so itself; any other says it the way of Istio's agent. */
function modeOf(own: Readonly<Record<string, unknown>> | null, metadata: NodeInfo['metadata']): MeshMode {
  const istio = textOf(metadata['INTERCEPTION_MODE']);
  const isCaptured = own === null ? istio === 'REDIRECT' || istio === 'TPROXY' : own['mode'] === 'redirect';
  return isCaptured ? 'redirect' : 'explicit';
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return Object.fromEntries(Object.entries(value));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function portOf(value: unknown, fallback: number): number {
  const port = typeof value === 'string' ? Number(value) : value;
  return typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536 ? port : fallback;
}
