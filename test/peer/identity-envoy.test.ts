// A real Envoy that joins over the TLS port, state-of-the-world with a token and delta with a certificate, and serves
// with a user's Secret that it subscribes to by name: the bootstrap that docs/identity.md shows.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { forged, type Pair } from '../unit/control/identity/forged-certificate.ts';
import { SecureControl } from '../unit/control/identity/secure-control.ts';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { realPart } from '../support/real-parts.ts';
import { statusOf } from '../support/until.ts';

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

let control: SecureControl;
let web: Pair;
beforeAll(async () => {
  web = await forged({ isForClients: false });
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'web', namespace: 'shop' },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': web.chainPem, 'tls.key': web.keyPem },
  };
  control = await SecureControl.start(JSON.stringify(secret));
});
afterAll(async () => await control.stop());

interface Joining {
  readonly apiType: 'GRPC' | 'DELTA_GRPC';
  readonly token: string;
  readonly own: Pair | null;
  readonly ports: readonly [number, number];
  /** Empty: of the user's secret. */
  readonly secret: string;
}

const socketAddress = (address: string, value: number): unknown => ({
  socket_address: { address, port_value: value },
});

function bootstrap({ apiType, token, own, ports: [admin, port], secret }: Joining): unknown {
  const ads = { ads: {}, resource_api_version: 'V3' };
  const metadata = token === '' ? [] : [{ key: 'authorization', value: `Bearer ${token}` }];
  const [host = '', controlPort = ''] = control.addresses.secure.split(':');
  const context = {
    '@type': `${TLS}.UpstreamTlsContext`,
    sni: 'istiod.istio-system.svc',
    common_tls_context: {
      alpn_protocols: ['h2'],
      tls_certificates:
        own === null
          ? []
          : [{ certificate_chain: { inline_string: own.chainPem }, private_key: { inline_string: own.keyPem } }],
      validation_context: {
        trusted_ca: { filename: join(control.folder, '.ca', 'root-cert.pem') },
        match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'istiod.istio-system.svc' } }],
      },
    },
  };
  const downstream = {
    '@type': `${TLS}.DownstreamTlsContext`,
    common_tls_context: { tls_certificate_sds_secret_configs: [{ name: secret, sds_config: ads }] },
  };
  const echo = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo',
  };
  return {
    node: { id: 'sidecar~127.0.0.1~web.shop~shop.svc.cluster.local', cluster: 'web', metadata: { NAMESPACE: 'shop' } },
    admin: { address: socketAddress('127.0.0.1', admin) },
    dynamic_resources: {
      ads_config: {
        api_type: apiType,
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'control' }, initial_metadata: metadata }],
      },
      cds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: 'control',
          type: 'STATIC',
          typed_extension_protocol_options: {
            [OPTIONS]: {
              '@type': `type.googleapis.com/${OPTIONS}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: context },
          load_assignment: {
            cluster_name: 'control',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, Number(controlPort)) } }] }],
          },
        },
      ],
      listeners: [
        {
          name: 'web',
          address: socketAddress('127.0.0.1', port),
          filter_chains: [
            {
              transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: downstream },
              filters: [{ name: 'echo', typed_config: echo }],
            },
          ],
        },
      ],
    },
  };
}

/** PEM of the certificate that the port serves with; empty when there is none. */
async function servedOn(port: number): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.toString() ?? '');
      socket.destroy();
    });
    socket.on('error', () => resolve(''));
  });
}

async function startEnvoy(joining: Omit<Joining, 'ports'>) {
  const [admin = 0, port = 0] = await freePorts(2);
  const folder = join(control.folder, '.envoy');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${admin}.json`);
  await writeFile(file, JSON.stringify(bootstrap({ ...joining, ports: [admin, port] })));
  const flags = ['-c', file, '--concurrency', '1', '--use-dynamic-base-id', '--disable-hot-restart'];
  const child = startChild(realPart('envoy'), flags);
  await untilReady(child, async () => (await statusOf(admin, '/server_info')) === 200);
  return { child, port };
}

test.each(['GRPC', 'DELTA_GRPC'] as const)('an Envoy (%s) serves with a secret of its namespace', async (apiType) => {
  const token = await control.token('shop/web');
  const isDelta = apiType === 'DELTA_GRPC';
  const own = isDelta ? await control.certificate({ token }) : null;
  const { child, port } = await startEnvoy({ apiType, token: isDelta ? '' : token, own, secret: 'kubernetes://web' });
  await expect.poll(async () => await servedOn(port), { timeout: 10_000 }).toBe(web.chainPem);
  await child.stop();
});

test('an Envoy of another namespace is told why it may not join', async () => {
  const token = await control.token('bank/teller');
  const { child } = await startEnvoy({ apiType: 'GRPC', token, own: null, secret: 'kubernetes://web' });
  // 7 is PERMISSION_DENIED; Envoy writes the text with its blanks encoded.
  const told = "closed: 7, the%20node's%20namespace%20is%20not%20that%20of%20its%20identity";
  await expect.poll(() => child.output(), { timeout: 10_000 }).toContain(told);
  expect(await control.refused('xds')).toMatchObject({ namespace: expect.any(Number) });
  await child.stop();
});
