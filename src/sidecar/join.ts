// The bootstrap of a sidecar that joins a mesh: no static listener, one control service, everything by
// delta ADS. It is the same bootstrap that a file could hold, so both ways into the sidecar meet here.
import { create } from '@bufbuild/protobuf';
import { connect, isIP } from 'node:net';
import { BootstrapSchema, type Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import {
  ClusterSchema,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_DnsLookupFamily as DnsLookupFamily,
  type Cluster,
} from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { AddressSchema, type Address } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import { ApiConfigSource_ApiType as ApiType, ApiVersion } from '../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { Http2ProtocolOptionsSchema } from '../xds/gen/envoy/config/core/v3/protocol_pb.js';
import type { ControlAddress } from './discovery.ts';
import { nodeOf, type WorkloadIdentity } from './node.ts';

export interface JoinOptions {
  readonly control: ControlAddress;
  readonly workload: WorkloadIdentity;
  /** Loopback only; 0 takes a free one. */
  readonly adminPort: number;
  /** Of the pages for the control service; 0: none. */
  readonly pagesPort?: number;
}

const CONTROL_CLUSTER = 'outrigger-control';

export function joinBootstrap({ control, workload, adminPort, pagesPort = 0 }: JoinOptions): Bootstrap {
  const ads = { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: ApiVersion.V3 } as const;
  return create(BootstrapSchema, {
    node: nodeOf({ ...workload, adminPort, pagesPort }),
    admin: { address: socketAddress('127.0.0.1', adminPort) },
    staticResources: { clusters: [controlCluster(control, workload.address)] },
    dynamicResources: {
      adsConfig: {
        apiType: ApiType.DELTA_GRPC,
        transportApiVersion: ApiVersion.V3,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: CONTROL_CLUSTER } } }],
      },
      cdsConfig: ads,
      ldsConfig: ads,
    },
  });
}

function controlCluster({ host, port }: ControlAddress, ownAddresses: string): Cluster {
  // Start-up waits for the name: whoever has IPv4 does not ask for IPv6 addresses first, which some name servers leave
  // unanswered for seconds.
  const isIpv6 = isIP(ownAddresses.split(',')[0] ?? '') === 6;
  const type = isIP(host) === 0 ? DiscoveryType.STRICT_DNS : DiscoveryType.STATIC;
  const endpoint = { address: socketAddress(host, port) };
  return create(ClusterSchema, {
    name: CONTROL_CLUSTER,
    clusterDiscoveryType: { case: 'type', value: type },
    dnsLookupFamily: isIpv6 ? DnsLookupFamily.AUTO : DnsLookupFamily.V4_PREFERRED,
    http2ProtocolOptions: create(Http2ProtocolOptionsSchema),
    loadAssignment: {
      clusterName: CONTROL_CLUSTER,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: endpoint } }] }],
    },
  });
}

function socketAddress(address: string, port: number): Address {
  const value = { address, portSpecifier: { case: 'portValue', value: port } } as const;
  return create(AddressSchema, { address: { case: 'socketAddress', value } });
}

const PROBE_TIMEOUT_MS = 2000;

/**
 * The address of the interface that reaches the control service; 127.0.0.1 when that is on this host,
 * or when it cannot be reached now.
 */
export function ownAddress({ host, port }: ControlAddress): Promise<string> {
  const fallback = '127.0.0.1';
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return Promise.resolve(fallback);
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_TIMEOUT_MS });
    const settle = (address: string | undefined): void => {
      socket.destroy();
      resolve(address ?? fallback);
    };
    socket.once('connect', () => settle(socket.localAddress));
    socket.once('error', () => settle(undefined));
    socket.once('timeout', () => settle(undefined));
  });
}
