// Who a sidecar that joins a mesh says it is: the Node of its discovery requests, by the convention of
// docs/INTERFACES.md (Istio's ids and metadata keys, and our own struct OUTRIGGER that has the
// control service register the workload for as long as the stream lives).
import { create, type JsonObject } from '@bufbuild/protobuf';
import { LocalitySchema, NodeSchema, type Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';

export const APP_PROTOCOLS = ['http', 'http2', 'grpc', 'tcp'] as const;
export type AppProtocol = (typeof APP_PROTOCOLS)[number];

/** A port on which the application listens, and how it is reached through the sidecar. */
export interface AppPort {
  readonly port: number;
  readonly protocol: AppProtocol;
}

export const MESH_MODES = ['explicit', 'redirect'] as const;
export type MeshMode = (typeof MESH_MODES)[number];

export interface WorkloadIdentity {
  readonly service: string;
  readonly namespace: string;
  /** Empty when there is none. */
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly apps: readonly AppPort[];
  /** `redirect`: connections from and to the app are captured and sent to the sidecar. */
  readonly mode: MeshMode;
  /** App number i is reached at this port + i; in redirect mode all connections from others arrive at it. */
  readonly inboundPort: number;
  readonly outboundPort: number;
  /** The address under which others reach this workload. */
  readonly address: string;
  /** Makes ids of several instances of one service differ. */
  readonly instance: string;
  readonly serviceAccount: string;
  /** It has an identity, and speaks mutual TLS with others that have one; absent: it does not. */
  readonly isMeshed?: boolean;
  /** `REGION/ZONE/SUBZONE`, from the left; empty or absent: not known. */
  readonly locality?: string;
  /** Where its admin pages are on loopback; 0 or absent: not told. */
  readonly adminPort?: number;
  /** Where the control service finds its pages over mutual TLS; 0 or absent: nowhere. */
  readonly pagesPort?: number;
}

/** Istio's label of a workload that takes mutual TLS. */
const TLS_MODE = 'security.istio.io/tlsMode';

export function nodeOf(workload: WorkloadIdentity): Node {
  const {
    service,
    namespace,
    version,
    address,
    inboundPort,
    outboundPort,
    mode,
    locality = '',
    adminPort = 0,
    pagesPort = 0,
  } = workload;
  const isCaptured = mode === 'redirect';
  const workloadName = version === '' ? service : `${service}-${version}`;
  const name = `${workloadName}-${workload.instance}`;
  const labels: JsonObject = {
    app: service,
    ...(version === '' ? {} : { version }),
    ...(workload.isMeshed === true ? { [TLS_MODE]: 'istio' } : {}),
    ...workload.labels,
  };
  const outrigger: JsonObject = {
    service,
    version,
    apps: workload.apps.map(({ port, protocol }, index) => ({
      port,
      protocol,
      inboundPort: isCaptured ? port : inboundPort + index,
    })),
    outboundPort,
    ...(isCaptured ? { inboundPort } : {}),
    mode,
    // Virtual hosts of a large mesh are fetched when they are needed.
    onDemand: true,
    // The control service shows the pages of a sidecar on its own machine.
    ...(adminPort === 0 ? {} : { adminPort }),
    ...(pagesPort === 0 ? {} : { pagesPort }),
  };
  return create(NodeSchema, {
    id: `sidecar~${address.split(',')[0]}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${service}.${namespace}`,
    userAgentName: 'outrigger',
    ...(locality === '' ? {} : { locality: localityOf(locality) }),
    metadata: {
      NAMESPACE: namespace,
      NAME: name,
      WORKLOAD_NAME: workloadName,
      SERVICE_ACCOUNT: workload.serviceAccount,
      LABELS: labels,
      INSTANCE_IPS: address,
      ...(isCaptured ? { INTERCEPTION_MODE: 'REDIRECT' } : {}),
      OUTRIGGER: outrigger,
    },
  });
}

export interface AgentWorkload {
  readonly service: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly instance: string;
}

/** Of an agent beside a data plane that is not ours: nothing is registered for it. */
export function agentNodeOf({ service, namespace, address, serviceAccount, instance }: AgentWorkload): Node {
  const name = `${service}-${instance}`;
  return create(NodeSchema, {
    id: `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${service}.${namespace}`,
    userAgentName: 'outrigger-agent',
    metadata: { NAMESPACE: namespace, NAME: name, SERVICE_ACCOUNT: serviceAccount, INSTANCE_IPS: address },
  });
}

function localityOf(text: string) {
  const [region = '', zone = '', subZone = ''] = text.split('/');
  return create(LocalitySchema, { region, zone, subZone });
}
