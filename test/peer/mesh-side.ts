// The two sides of a mesh comparison: a real Envoy connected by ADS, and our sidecar started with --control. Both
// say that they are the same workload (the frontend of the bookshop), so the control service gives both the same.
import { toJson } from '@bufbuild/protobuf';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeOf } from '../../src/sidecar/node.ts';
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import type { RawUpstream } from '../support/raw-upstream.ts';
import { OUTRIGGER, PROJECT_ROOT, realPart } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';
import type { MeshControl } from './mesh-control.ts';
import type { Side, SideName } from './side.ts';
import { h2Cluster } from '../support/h2-cluster.ts';

export const PROTOCOLS = { delta: 'DELTA_GRPC', sotw: 'GRPC' } as const;
export type Protocol = keyof typeof PROTOCOLS;

export interface MeshSideOptions {
  readonly control: MeshControl;
  readonly upstream: RawUpstream;
  /** How Envoy asks; our sidecar always asks by delta. */
  readonly protocol: Protocol;
}

interface MeshPorts {
  readonly app: number;
  readonly admin: number;
  readonly inbound: number;
  readonly outbound: number;
}

/** Resolves when it is ready. Its listeners are `outbound` and `inbound`; the app behind it is the upstream `app`. */
export async function startMeshSide(name: SideName, options: MeshSideOptions): Promise<Side> {
  const { control, upstream } = options;
  const [admin = 0, inbound = 0, outbound = 0] = await freePorts(3);
  const own: MeshPorts = { app: upstream.ports.get('app') ?? 0, admin, inbound, outbound };
  const child = startChild(...(name === 'envoy' ? await envoyCommand(options, own) : sidecarCommand(control, own)));
  const ports = new Map([
    ['admin', admin],
    ['listen.outbound', outbound],
    ['listen.inbound', inbound],
  ]);
  for (const [upstreamName, port] of upstream.ports) ports.set(`upstream.${upstreamName}`, port);
  try {
    await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  } catch (cause) {
    await child.stop();
    throw cause;
  }
  return { name, upstream, child, ports, stop: () => child.stop() };
}

function sidecarCommand(control: MeshControl, ports: MeshPorts): readonly [string, readonly string[]] {
  const flags = {
    control: `127.0.0.1:${control.xdsPort}`,
    service: 'frontend',
    version: 'v1',
    app: `${ports.app}/http`,
    inbound: ports.inbound,
    outbound: ports.outbound,
    admin: ports.admin,
    address: '127.0.0.1',
    'log-level': 'warning',
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  return [process.execPath, [OUTRIGGER, 'sidecar', ...args]];
}

async function envoyCommand(
  { control, protocol }: MeshSideOptions,
  ports: MeshPorts,
): Promise<readonly [string, readonly string[]]> {
  const folder = join(PROJECT_ROOT, '.cache/peer');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `mesh.${ports.admin}.json`);
  await writeFile(file, JSON.stringify(bootstrap(control, protocol, ports)));
  const quiet = ['--log-level', 'warning', '--disable-hot-restart', '--use-dynamic-base-id', '--concurrency', '1'];
  return [realPart('envoy'), ['-c', file, ...quiet]];
}

/** The metadata is what our sidecar sends for the same workload. */
function bootstrap(control: MeshControl, protocol: Protocol, ports: MeshPorts): unknown {
  const node = nodeOf({
    service: 'frontend',
    namespace: 'default',
    version: 'v1',
    labels: {},
    apps: [{ port: ports.app, protocol: 'http' }],
    mode: 'explicit',
    inboundPort: ports.inbound,
    outboundPort: ports.outbound,
    address: '127.0.0.1',
    instance: `envoy-${ports.admin}`,
    serviceAccount: 'default',
  });
  // Envoy names itself.
  node.userAgentName = '';
  const ads = { ads: {}, resource_api_version: 'V3' };
  return {
    node: toJson(NodeSchema, node),
    admin: { address: socketAddress(ports.admin) },
    dynamic_resources: {
      ads_config: {
        api_type: PROTOCOLS[protocol],
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'control' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: { clusters: [h2Cluster({ name: 'control', port: control.xdsPort })] },
  };
}

const socketAddress = (port: number): unknown => ({ socket_address: { address: '127.0.0.1', port_value: port } });
