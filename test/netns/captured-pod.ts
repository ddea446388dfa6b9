// A pod of a captured mesh: its connections redirected by the command, and beside its app a sidecar that joined the
// control service in redirect mode: our own, or a real Envoy that says of itself what our own would.
import { toJson } from '@bufbuild/protobuf';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { nodeOf } from '../../src/sidecar/node.ts';
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { untilReady, type Child } from '../support/child.ts';
import { PROXY_UID, type Pod } from '../support/pod.ts';
import type { Agent } from '../support/pod-agent-client.ts';
import { OUTRIGGER, realPart } from '../support/real-parts.ts';
import { h2Cluster } from '../support/h2-cluster.ts';

export type SidecarKind = 'envoy' | 'outrigger';

const ADMIN_PORT = 15_000;
const XDS_PORT = 15_010;
const SECURE_PORT = 15_012;

export interface CapturedPodOptions {
  readonly kind: SidecarKind;
  /** The name of its service. */
  readonly service: string;
  /** The address of the control service. */
  readonly control: string;
  /** Where files may be written that every user can read. */
  readonly folder: string;
  /** A token by which it gets an identity; absent: it has none. */
  readonly tokenFile?: string;
}

/** Redirects the pod's connections and starts its sidecar; resolves when that is ready. */
export async function capturePod(pod: Pod, agent: Agent, options: CapturedPodOptions): Promise<Child> {
  const installed = pod.run(process.execPath, OUTRIGGER, 'redirect', 'install');
  expect(installed).toMatchObject({ status: 0 });
  const command = options.kind === 'envoy' ? await envoyCommand(pod, options) : sidecarCommand(pod, options);
  const child = pod.start(PROXY_UID, ...command);
  await untilReady(child, async () => (await agent.get('127.0.0.1', ADMIN_PORT, '/ready')).text.startsWith('200'));
  return child;
}

function sidecarCommand(pod: Pod, { service, control, tokenFile }: CapturedPodOptions): readonly string[] {
  const port = tokenFile === undefined ? XDS_PORT : SECURE_PORT;
  const flags = ['--control', `${control}:${port}`, '--service', service, '--mode', 'redirect'];
  if (tokenFile !== undefined) flags.push('--token-file', tokenFile, '--pages', '15022');
  return [
    process.execPath,
    OUTRIGGER,
    'sidecar',
    ...flags,
    '--address',
    `${pod.ipv4},${pod.ipv6}`,
    '--log-level',
    'warning',
  ];
}

async function envoyCommand(pod: Pod, { service, control, folder }: CapturedPodOptions): Promise<readonly string[]> {
  const node = nodeOf({
    service,
    namespace: 'default',
    version: '',
    labels: {},
    apps: [],
    mode: 'redirect',
    inboundPort: 15_006,
    outboundPort: 15_001,
    address: `${pod.ipv4},${pod.ipv6}`,
    instance: pod.name,
    serviceAccount: 'default',
  });
  // Envoy names itself, and is no sidecar of ours.
  node.userAgentName = '';
  if (node.metadata !== undefined) delete node.metadata['OUTRIGGER'];
  const ads = { ads: {}, resource_api_version: 'V3' };
  const bootstrap = {
    node: toJson(NodeSchema, node),
    admin: { address: socketAddress('127.0.0.1', ADMIN_PORT) },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'control' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: { clusters: [h2Cluster({ name: 'control', address: control, port: XDS_PORT })] },
  };
  const file = join(folder, `${pod.name}.json`);
  await writeFile(file, JSON.stringify(bootstrap), { mode: 0o644 });
  const quiet = ['--log-level', 'warning', '--disable-hot-restart', '--concurrency', '1'];
  return [realPart('envoy'), '-c', file, ...quiet];
}

function socketAddress(address: string, port: number): unknown {
  return { socket_address: { address, port_value: port } };
}
