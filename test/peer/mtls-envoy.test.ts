// A real Envoy as a member of the mesh: it joins the control service over TLS with its certificate, which an agent beside it
// gives it by SDS, calls servers of every mode and is called, by our sidecar and by curl.
import { toJson } from '@bufbuild/protobuf';
import { createServer, request, type Server } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeOf } from '../../src/sidecar/node.ts';
import { NodeSchema } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { OUTRIGGER, realPart } from '../support/real-parts.ts';
import { sdsCluster } from '../support/sds.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { statusOf, until } from '../support/until.ts';
import { h2Cluster } from '../support/h2-cluster.ts';

const MODES = ['disable', 'permissive', 'strict'] as const;

let mesh: SecureMesh;
let app: Server;
let appPort = 0;
let agent: Child;
let envoy: Child;
let envoyInbound = 0;
let envoyOutbound = 0;

function policies(): string {
  return [...MODES, 'envoy']
    .map((name) => {
      const mode = name === 'envoy' ? 'STRICT' : name.toUpperCase();
      const spec = `{ selector: { matchLabels: { app: ${name} } }, mtls: { mode: ${mode} } }`;
      return `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
    })
    .join('---\n');
}

const RULES = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: plain, namespace: plain }
spec: { host: "*.default.svc.cluster.local", trafficPolicy: { tls: { mode: DISABLE } } }
`;

beforeAll(async () => {
  app = createServer((message, response) => response.end(message.headers['x-forwarded-client-cert'] ?? 'nobody'));
  appPort = await listen(app);
  mesh = await SecureMesh.start(policies() + RULES);
  await Promise.all(MODES.map((service) => mesh.join({ service, app: `${appPort}/http` })));
  await mesh.join({ service: 'caller' });
  await mesh.join({ service: 'caller.plain' });
  await startEnvoy();
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  await envoy.stop();
  await agent.stop();
  await mesh[Symbol.asyncDispose]();
});

async function startEnvoy(): Promise<void> {
  const [admin = 0, inbound = 0, outbound = 0] = await freePorts(3);
  envoyInbound = inbound;
  envoyOutbound = outbound;
  const path = join(mesh.folder, 'sds');
  const token = mesh.token('default/envoy');
  const who = ['--control', mesh.secure, '--service', 'envoy', '--token-file', token, '--sds', path];
  agent = startChild(process.execPath, [OUTRIGGER, 'agent', ...who]);
  await until('the agent serves', () => agent.output().includes('secrets are served'));
  const file = join(mesh.folder, 'envoy.json');
  writeFileSync(file, JSON.stringify(bootstrap(admin, path)));
  const quiet = ['--log-level', 'warning', '--disable-hot-restart', '--use-dynamic-base-id', '--concurrency', '1'];
  envoy = startChild(realPart('envoy'), ['-c', file, ...quiet]);
  await untilReady(envoy, async () => (await statusOf(admin, '/ready')) === 200);
}

function bootstrap(admin: number, sds: string): unknown {
  const node = nodeOf({
    service: 'envoy',
    namespace: 'default',
    version: '',
    labels: { 'security.istio.io/tlsMode': 'istio' },
    apps: [{ port: appPort, protocol: 'http' }],
    mode: 'explicit',
    inboundPort: envoyInbound,
    outboundPort: envoyOutbound,
    address: '127.0.0.1',
    instance: 'peer',
    serviceAccount: 'envoy',
  });
  // Envoy names itself.
  node.userAgentName = '';
  const [, port = ''] = mesh.secure.split(':');
  const context = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context: {
      alpn_protocols: ['h2'],
      tls_certificate_sds_secret_configs: [secret('default')],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'outrigger-control' } }],
        },
        validation_context_sds_secret_config: secret('ROOTCA'),
      },
    },
  };
  const control = {
    ...Object(h2Cluster({ name: 'control', port: Number(port) })),
    transport_socket: { name: 'tls', typed_config: context },
  };
  const ads = { ads: {}, resource_api_version: 'V3' };
  return {
    node: toJson(NodeSchema, node),
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'control' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: { clusters: [control, sdsCluster(sds)] },
  };
}

function secret(name: string) {
  return { name, sds_config: identity() };
}

function identity() {
  const grpc = [{ envoy_grpc: { cluster_name: 'sds-grpc' } }];
  return {
    api_config_source: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: grpc },
    resource_api_version: 'V3',
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(port: number, host: string): Promise<Answer> {
  return new Promise((resolve) => {
    const asking = request({ port, host: '127.0.0.1', headers: { host, connection: 'close' } }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asking.on('error', () => resolve({ status: 0, body: '' }));
    asking.end();
  });
}

const caller = (service: string): string => `URI=spiffe://cluster.local/ns/default/sa/${service}`;

describe('an Envoy with an identity of the mesh', () => {
  test.each([
    ['disable', 'nobody'],
    ['permissive', caller('envoy')],
    ['strict', caller('envoy')],
  ])('calls a sidecar in mode %s, which knows %s', async (server, known) => {
    const answer = await ask(envoyOutbound, `${server}:${appPort}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toContain(known);
  });

  test('is called by a sidecar, and knows it', async () => {
    const outbound = mesh.members.get('caller')?.outbound ?? 0;
    const answer = await ask(outbound, `envoy:${appPort}`);
    expect([answer.status, answer.body.includes(caller('caller'))]).toEqual([200, true]);
  });

  test('takes no plaintext where it is STRICT', async () => {
    expect((await ask(envoyInbound, 'envoy')).status).toBe(0);
    const outbound = mesh.members.get('caller.plain')?.outbound ?? 0;
    expect((await ask(outbound, `envoy.default.svc.cluster.local:${appPort}`)).status).toBe(503);
  });
});
