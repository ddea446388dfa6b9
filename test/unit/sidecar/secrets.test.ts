// Secrets by name: a listener waits for its first, a bad version is refused and the last good one stays, and
// what an operator is shown holds no key.
import { X509Certificate } from 'node:crypto';
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { afterEach, expect, it, test } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { redact } from '../../../src/sidecar/admin/redact.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { adminSourceOf } from '../../../src/sidecar/proxy-admin.ts';
import { dumpSections } from '../../../src/sidecar/admin/dump-sections.ts';
import { Proxy } from '../../../src/sidecar/proxy.ts';
import { ClusterSchema } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { SecretSchema } from '../../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { BootstrapSchema } from '../../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { CLUSTER_TYPE, SECRET_TYPE, type TypeUrl } from '../../../src/xds/type-url.ts';
import { formatRefusals, type Refusal, type Update } from '../../../src/xds/update.ts';
import { freePort } from '../../support/free-port.ts';
import { ask, cluster, downstream, listener, pem, portOf, upstream } from '../../support/tls-proxy.ts';

const refuseNothing = (): readonly Refusal[] => [];

const proxies: Proxy[] = [];
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop(0);
});

const HELLO: JsonObject = { direct_response: { status: 200, body: { inline_string: 'hello' } } };

function inline(name: string): JsonObject {
  return {
    certificate_chain: { inline_string: pem(`${name}.pem`) },
    private_key: { inline_string: pem(`${name}.key`) },
  };
}

test('a listener waits for its secret, and takes each good version of it', async () => {
  const config = { name: 'own', sds_config: { ads: {}, resource_api_version: 'V3' } };
  const chain = { transport_socket: downstream({ tls_certificate_sds_secret_configs: [config] }) };
  const control = { socket_address: { address: '127.0.0.1', port_value: 1 } };
  const json = {
    dynamic_resources: {
      ads_config: { api_type: 'DELTA_GRPC', grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] },
    },
    static_resources: {
      listeners: [listener('in', 0, HELLO, { chain })],
      clusters: [
        {
          name: 'xds',
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address: control } }] }] },
        },
      ],
    },
  };
  const bootstrap = fromJson(BootstrapSchema, json, { registry: extensions });
  const asked = new Map<TypeUrl, ReadonlySet<string> | '*'>();
  let push: (update: Update) => readonly Refusal[] = refuseNothing;
  const proxy = new Proxy({
    bootstrap,
    log: silentLog,
    drainSeconds: 0,
    connect: ({ onUpdate }) => {
      push = onUpdate;
      return { subscribe: (typeUrl, names) => void asked.set(typeUrl, names), close: () => {} };
    },
  });
  proxies.push(proxy);
  const send = (secret: JsonObject): string => {
    const value = toBinary(SecretSchema, fromJson(SecretSchema, { name: 'own', ...secret }));
    const changed = [{ name: 'own', version: '1', resource: create(AnySchema, { typeUrl: SECRET_TYPE, value }) }];
    return formatRefusals(push({ typeUrl: SECRET_TYPE, version: '1', changed, removed: [] }));
  };
  let isStarted = false;
  const starting = proxy.start().then(() => (isStarted = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect([Array.from(asked.get(SECRET_TYPE) ?? []), isStarted, proxy.listeners.live().length]).toEqual([
    ['own'],
    false,
    0,
  ]);

  expect(send({ tls_certificate: inline('server') })).toBe('');
  await starting;
  const port = portOf(proxy, 'in');
  expect((await ask(port)).server).toMatch(/^server/);
  const bad = { certificate_chain: inline('server')['certificate_chain'] ?? null, private_key: { inline_string: 'x' } };
  expect(send({ tls_certificate: bad })).toMatch(/private_key cannot be read/);
  expect((await ask(port)).server).toMatch(/^server/);
  expect(send({ tls_certificate: inline('renewed') })).toBe('');
  expect((await ask(port)).server).toMatch(/^renewed/);

  const source = adminSourceOf(proxy, { version: '', commandLine: {}, quit: () => {} });
  const dump = JSON.stringify(dumpSections(source, { isEdsIncluded: true, acceptsName: () => true }));
  expect([dump.includes('BEGIN CERTIFICATE'), dump.includes('PRIVATE KEY'), dump.includes('[redacted]')]).toEqual([
    true,
    false,
    true,
  ]);
});

it('hides what is secret, and says what kind of source it was', () => {
  const shown = redact({
    tls_certificates: [
      { certificate_chain: { filename: 'a' }, private_key: { inline_bytes: 'eA==' }, password: { filename: 'b' } },
    ],
    session_ticket_keys: { keys: [{ inline_string: 'k' }] },
    other: { keys: ['k'] },
  });
  expect(shown).toEqual({
    tls_certificates: [
      {
        certificate_chain: { filename: 'a' },
        private_key: { inline_bytes: 'W3JlZGFjdGVkXQ==' },
        password: { filename: '[redacted]' },
      },
    ],
    session_ticket_keys: { keys: [{ inline_string: '[redacted]' }] },
    other: { keys: ['k'] },
  });
});

function serialOf(name: string): string {
  return new X509Certificate(pem(`${name}.pem`)).serialNumber.toLowerCase();
}

/** No connection is used twice, so that each request dials. */
const ONE_REQUEST: JsonObject = { common_http_protocol_options: { max_requests_per_connection: 1 } };

test('a cluster that wants another secret is served by its version before until the secret comes', async () => {
  const port = await freePort();
  const who: JsonObject = {
    direct_response: {
      status: 200,
      body_format: { text_format_source: { inline_string: '%DOWNSTREAM_PEER_SERIAL%' } },
    },
  };
  const server = downstream({ tls_certificates: [inline('server')] }, { require_client_certificate: true });
  const control = { socket_address: { address: '127.0.0.1', port_value: 1 } };
  const json = {
    dynamic_resources: {
      ads_config: { api_type: 'DELTA_GRPC', grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] },
      cds_config: { ads: {} },
    },
    static_resources: {
      listeners: [
        listener('in', port, who, { chain: { transport_socket: server }, manager: ONE_REQUEST }),
        listener('out', 0, { route: { cluster: 'app' } }),
      ],
      clusters: [
        {
          name: 'xds',
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address: control } }] }] },
        },
      ],
    },
  };
  let push: (update: Update) => readonly Refusal[] = refuseNothing;
  const proxy = new Proxy({
    bootstrap: fromJson(BootstrapSchema, json, { registry: extensions }),
    log: silentLog,
    drainSeconds: 0,
    connect: ({ onUpdate }) => {
      push = onUpdate;
      return { subscribe: () => {}, close: () => {} };
    },
  });
  proxies.push(proxy);
  const started = proxy.start();
  const put = (common: JsonObject): void => {
    const message = fromJson(ClusterSchema, cluster('app', port, { transport_socket: upstream(common) }), {
      registry: extensions,
    });
    const resource = create(AnySchema, { typeUrl: CLUSTER_TYPE, value: toBinary(ClusterSchema, message) });
    push({ typeUrl: CLUSTER_TYPE, version: '1', changed: [{ name: 'app', version: '1', resource }], removed: [] });
  };
  const get = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${portOf(proxy, 'out')}/`);
    return `${response.status} ${await response.text()}`;
  };
  put({ tls_certificates: [inline('client')] });
  await started;
  expect(await get()).toBe(`200 ${serialOf('client')}`);
  put({ tls_certificate_sds_secret_configs: [{ name: 'late', sds_config: { ads: {} } }] });
  expect([await get(), await get()]).toEqual([`200 ${serialOf('client')}`, `200 ${serialOf('client')}`]);
  const secret = fromJson(SecretSchema, { name: 'late', tls_certificate: inline('renewed') });
  const resource = create(AnySchema, { typeUrl: SECRET_TYPE, value: toBinary(SecretSchema, secret) });
  push({ typeUrl: SECRET_TYPE, version: '1', changed: [{ name: 'late', version: '1', resource }], removed: [] });
  expect(await get()).toBe(`200 ${serialOf('renewed')}`);
});
