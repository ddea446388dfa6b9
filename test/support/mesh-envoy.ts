// A real Envoy as a member of a mesh with identities: an agent beside it gives it its certificate by SDS, with which it
// joins the control service over TLS. It says of itself what our own sidecar would.
import { toJson } from '@bufbuild/protobuf';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeOf } from '../../src/sidecar/node.ts';
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { startChild, untilReady, type Child } from './child.ts';
import { freePorts } from './free-port.ts';
import { h2Cluster } from './h2-cluster.ts';
import { OUTRIGGER, realPart } from './real-parts.ts';
import { sdsCluster } from './sds.ts';
import type { SecureMesh } from './secure-mesh.ts';
import { statusOf, until } from './until.ts';

interface Places {
  readonly admin: number;
  readonly inbound: number;
  readonly outbound: number;
  /** The agent's socket. */
  readonly sds: string;
}

export class MeshEnvoy {
  readonly inbound: number;
  readonly outbound: number;
  readonly #agent: Child;
  readonly #envoy: Child;

  private constructor({ inbound, outbound }: Places, agent: Child, envoy: Child) {
    this.inbound = inbound;
    this.outbound = outbound;
    this.#agent = agent;
    this.#envoy = envoy;
  }

  /** `service`: NAME.NAMESPACE, whose account is NAME; `appPort`: of an app that speaks HTTP. */
  static async join(mesh: SecureMesh, service: string, appPort: number): Promise<MeshEnvoy> {
    const [name = '', namespace = 'default'] = service.split('.');
    const [admin = 0, inbound = 0, outbound = 0] = await freePorts(3);
    const places: Places = { admin, inbound, outbound, sds: join(mesh.folder, `${service}.sds`) };
    const token = mesh.token(`${namespace}/${name}`);
    const who = ['--control', mesh.secure, '--service', service, '--token-file', token, '--sds', places.sds];
    const agent = startChild(process.execPath, [OUTRIGGER, 'agent', ...who]);
    await until('the agent serves', () => agent.output().includes('secrets are served'));
    const file = join(mesh.folder, `${service}.json`);
    writeFileSync(file, JSON.stringify(bootstrap(mesh, { name, namespace, appPort }, places)));
    const quiet = ['--log-level', 'warning', '--disable-hot-restart', '--use-dynamic-base-id', '--concurrency', '1'];
    const envoy = startChild(realPart('envoy'), ['-c', file, ...quiet]);
    await untilReady(envoy, async () => (await statusOf(admin, '/ready')) === 200);
    return new MeshEnvoy(places, agent, envoy);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#envoy.stop(), this.#agent.stop()]);
  }
}

interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly appPort: number;
}

function bootstrap(mesh: SecureMesh, { name, namespace, appPort }: Workload, places: Places): unknown {
  const node = nodeOf({
    service: name,
    namespace,
    version: '',
    labels: { 'security.istio.io/tlsMode': 'istio' },
    apps: [{ port: appPort, protocol: 'http' }],
    mode: 'explicit',
    inboundPort: places.inbound,
    outboundPort: places.outbound,
    address: '127.0.0.1',
    instance: 'peer',
    serviceAccount: name,
  });
  // Envoy names itself.
  node.userAgentName = '';
  const [, port = ''] = mesh.secure.split(':');
  const transport = { name: 'tls', typed_config: controlContext() };
  const control = { ...Object(h2Cluster({ name: 'control', port: Number(port) })), transport_socket: transport };
  const ads = { ads: {}, resource_api_version: 'V3' };
  return {
    node: toJson(NodeSchema, node),
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: places.admin } } },
    dynamic_resources: { ads_config: grpcSource('DELTA_GRPC', 'control'), cds_config: ads, lds_config: ads },
    static_resources: { clusters: [control, sdsCluster(places.sds)] },
  };
}

function grpcSource(apiType: string, cluster: string) {
  const grpc = [{ envoy_grpc: { cluster_name: cluster } }];
  return { api_type: apiType, transport_api_version: 'V3', grpc_services: grpc };
}

function secret(name: string) {
  return {
    name,
    sds_config: { api_config_source: grpcSource('GRPC', 'sds-grpc'), resource_api_version: 'V3' },
  };
}

function controlContext() {
  const names = [{ san_type: 'DNS', matcher: { exact: 'outrigger-control' } }];
  return {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context: {
      alpn_protocols: ['h2'],
      tls_certificate_sds_secret_configs: [secret('default')],
      combined_validation_context: {
        default_validation_context: { match_typed_subject_alt_names: names },
        validation_context_sds_secret_config: secret('ROOTCA'),
      },
    },
  };
}
