// Istio's standard metrics of a request and of a TCP connection, every label; Envoy's statistics; what
// a flood of paths, hosts and peers costs (nothing), and what the step itself costs per request.
// The cost is printed, and bounded loosely in time but tightly in garbage.
import { describe, expect, test } from 'vitest';
import { renderPrometheus } from '../../../src/observe/exposition.ts';
import { NO_IDENTITY, readNodeIdentity, type NodeIdentity } from '../../../src/observe/node-identity.ts';
import { ProxyStats } from '../../../src/observe/proxy-stats.ts';
import { Registry } from '../../../src/observe/registry.ts';
import { compileMetrics } from '../../../src/observe/request-metrics.ts';
import { TcpMetrics, type Opened } from '../../../src/observe/tcp-metrics.ts';
import type { ClusterRef, Endpoint } from '../../../src/plan/cluster.ts';
import { NO_CONNECTION } from '../../../src/plan/exchange.ts';
import type { CertificateFacts, TlsFacts } from '../../../src/plan/tls-facts.ts';
import { FLAGS } from '../../../src/plan/response-flags.ts';
import { create } from '@bufbuild/protobuf';
import { NodeSchema } from '../../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { aCluster, anEndpoint, anEnv, anExchange, runPhase, type ExchangeInit } from './exchange-builder.ts';

const NODE: NodeIdentity = {
  ...NO_IDENTITY,
  workload: 'productpage-v1',
  namespace: 'default',
  app: 'productpage',
  version: 'v1',
  canonicalService: 'productpage',
  canonicalRevision: 'v1',
  clusterId: 'Kubernetes',
};
const ENDPOINT = anEndpoint(9080, {
  workload: 'reviews-v2',
  namespace: 'books',
  canonical_service: 'reviews',
  canonical_revision: 'v2',
  cluster: 'Kubernetes',
});
const CLUSTER = aCluster('outbound|9080||reviews.books.svc.cluster.local', [ENDPOINT], {
  host: 'reviews.books.svc.cluster.local',
  name: 'reviews',
  namespace: 'books',
});

function certificate(uri: string): CertificateFacts {
  return {
    subject: '',
    issuer: '',
    serial: '',
    names: { dns: [], uri: [uri], email: [], ip: [] },
    notBeforeMs: 0,
    notAfterMs: 0,
    fingerprint256: '',
    fingerprint1: '',
    pem: '',
  };
}

/** A handshake between two who have shown who they are. */
function secured(own: string, peer: string): TlsFacts {
  const session = { serverName: '', protocol: '', version: 'TLSv1.3', cipher: '', chainPem: '' };
  const ends = { certificate: certificate(peer), ownCertificate: certificate(own) };
  return { ...session, ...ends, isVerified: true, principal: peer };
}

/** The labels of the only istio_requests_total series after one request. */
function labelsAfter(reporter: 'source' | 'destination', init: ExchangeInit): Record<string, string> {
  const registry = new Registry();
  runPhase(anExchange(init), compileMetrics({ registry, node: NODE, reporter, statPrefix: 'http' }, anEnv()), 'onEnd');
  const line =
    renderPrometheus(registry)
      .split('\n')
      .find((text) => text.startsWith('istio_requests_total{')) ?? '';
  expect(line.endsWith('} 1')).toBe(true);
  return Object.fromEntries([...line.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]));
}

const SOURCE_LABELS = {
  reporter: 'source',
  source_workload: 'productpage-v1',
  source_canonical_service: 'productpage',
  source_canonical_revision: 'v1',
  source_workload_namespace: 'default',
  source_principal: 'unknown',
  source_app: 'productpage',
  source_version: 'v1',
  source_cluster: 'Kubernetes',
  destination_workload: 'reviews-v2',
  destination_workload_namespace: 'books',
  destination_principal: 'unknown',
  destination_app: 'reviews',
  destination_version: 'v2',
  destination_service: 'reviews.books.svc.cluster.local',
  destination_canonical_service: 'reviews',
  destination_canonical_revision: 'v2',
  destination_service_name: 'reviews',
  destination_service_namespace: 'books',
  destination_cluster: 'Kubernetes',
  request_protocol: 'http',
  response_flags: '-',
  connection_security_policy: 'unknown',
  response_code: '200',
  grpc_response_status: '',
};
const NOWHERE = {
  destination_workload: 'unknown',
  destination_workload_namespace: 'unknown',
  destination_app: 'unknown',
  destination_version: 'unknown',
  destination_service: 'unknown',
  destination_canonical_service: 'unknown',
  destination_canonical_revision: 'unknown',
  destination_service_name: 'unknown',
  destination_service_namespace: 'unknown',
  destination_cluster: 'unknown',
};

describe('request metrics', () => {
  test('an outbound request carries every standard label, from metadata', () => {
    expect(labelsAfter('source', { cluster: CLUSTER, endpoint: ENDPOINT })).toEqual(SOURCE_LABELS);
  });

  test('a request without a route names no destination, whatever its Host says', () => {
    const init = { authority: 'evil-host-1', status: 404, flags: FLAGS.NR };
    expect(labelsAfter('source', init)).toEqual({
      ...SOURCE_LABELS,
      ...NOWHERE,
      response_code: '404',
      response_flags: 'NR',
    });
  });

  test('a request that found no endpoint still names the service', () => {
    const labels = labelsAfter('source', { cluster: CLUSTER, status: 503, flags: FLAGS.UH });
    expect(labels).toMatchObject({
      destination_service: 'reviews.books.svc.cluster.local',
      destination_workload: 'unknown',
      response_code: '503',
      response_flags: 'UH',
    });
  });

  test('an inbound request is reported by the destination, with the principal of its peer', () => {
    const tls = secured('spiffe://cluster.local/ns/default/sa/productpage', 'spiffe://cluster.local/ns/a/sa/b');
    const connection = { isInbound: true, isTls: true, peerPrincipal: tls.principal, tls };
    expect(labelsAfter('destination', { connection })).toMatchObject({
      reporter: 'destination',
      source_workload: 'unknown',
      source_principal: 'spiffe://cluster.local/ns/a/sa/b',
      destination_workload: 'productpage-v1',
      destination_principal: 'spiffe://cluster.local/ns/default/sa/productpage',
      destination_app: 'productpage',
      connection_security_policy: 'mutual_tls',
    });
  });

  test('an outbound request over mutual TLS names both ends, whatever happened to it', () => {
    const upstreamTls = secured('spiffe://cluster.local/ns/a/sa/me', 'spiffe://cluster.local/ns/books/sa/reviews');
    for (const flags of [0, FLAGS.UC])
      expect(labelsAfter('source', { cluster: CLUSTER, endpoint: ENDPOINT, upstreamTls, flags })).toMatchObject({
        source_principal: 'spiffe://cluster.local/ns/a/sa/me',
        destination_principal: 'spiffe://cluster.local/ns/books/sa/reviews',
        connection_security_policy: 'unknown',
      });
  });

  test('a plaintext inbound request has security policy none', () => {
    expect(labelsAfter('destination', {})).toMatchObject({
      source_principal: 'unknown',
      connection_security_policy: 'none',
    });
  });

  test('a gRPC request says so', () => {
    const headers = [['content-type', 'application/grpc+proto']] as const;
    expect(labelsAfter('source', { headers })).toMatchObject({ request_protocol: 'grpc', grpc_response_status: '' });
  });

  test('durations and bytes, heads included, land in their buckets', () => {
    const registry = new Registry();
    const part = compileMetrics({ registry, node: NODE, reporter: 'source', statPrefix: 'http' }, anEnv());
    runPhase(anExchange({ cluster: CLUSTER, endpoint: ENDPOINT, durationMs: 7 }), part, 'onEnd');
    runPhase(anExchange({ cluster: CLUSTER, endpoint: ENDPOINT, durationMs: 700 }), part, 'onEnd');
    const lines = renderPrometheus(registry)
      .split('\n')
      .map((line) => line.replace(/\{.*?(?:,(le="[^"]*"))?\}/, '{$1}'));
    for (const expected of [
      'istio_requests_total{} 2',
      'istio_request_duration_milliseconds_bucket{le="5"} 0',
      'istio_request_duration_milliseconds_bucket{le="10"} 1',
      'istio_request_duration_milliseconds_bucket{le="1000"} 2',
      'istio_request_duration_milliseconds_bucket{le="+Inf"} 2',
      'istio_request_duration_milliseconds_sum{} 707',
      'istio_request_duration_milliseconds_count{} 2',
      'istio_request_bytes_bucket{le="10"} 0',
      'istio_request_bytes_bucket{le="100"} 2',
      'istio_request_bytes_sum{} 200',
      'istio_response_bytes_bucket{le="1000"} 0',
      'istio_response_bytes_bucket{le="10000"} 2',
      'istio_response_bytes_sum{} 2200',
    ]) {
      expect(lines).toContain(expected);
    }
  });

  test('a cluster whose metadata changed is counted under its new labels', () => {
    const registry = new Registry();
    const part = compileMetrics({ registry, node: NODE, reporter: 'source', statPrefix: 'http' }, anEnv());
    const ref = aCluster('c', [ENDPOINT], { host: 'old' });
    runPhase(anExchange({ cluster: ref, endpoint: ENDPOINT }), part, 'onEnd');
    ref.cluster = aCluster('c', [ENDPOINT], { host: 'new' }).cluster;
    runPhase(anExchange({ cluster: ref, endpoint: ENDPOINT }), part, 'onEnd');
    const services = [...renderPrometheus(registry).matchAll(/istio_requests_total\{.*destination_service="(\w+)"/g)];
    expect(services.map(([, host]) => host)).toEqual(['old', 'new']);
  });

  test('a million distinct paths and hosts make one series', () => {
    const registry = new Registry();
    const part = compileMetrics({ registry, node: NODE, reporter: 'source', statPrefix: 'http' }, anEnv());
    const x = anExchange({ cluster: CLUSTER, endpoint: ENDPOINT });
    for (let i = 0; i < 1_000_000; i++) {
      x.request.path = `/${i}`;
      x.request.authority = `host-${i}`;
      runPhase(x, part, 'onEnd');
    }
    expect(registry.families.get('istio_requests_total')?.series.size).toBe(1);
  });

  test('a hundred thousand peers stay under the cap, and so does what is remembered of them', () => {
    const registry = new Registry({ seriesMax: 500 });
    const part = compileMetrics({ registry, node: NODE, reporter: 'destination', statPrefix: 'in' }, anEnv());
    for (let i = 0; i < 100_000; i++) {
      const tls = secured('spiffe://x/me', `spiffe://x/${i}`);
      runPhase(anExchange({ connection: { isInbound: true, peerPrincipal: tls.principal, tls } }), part, 'onEnd');
    }
    expect(registry.families.get('istio_requests_total')?.series.size).toBe(501);
    const total = [...renderPrometheus(registry).matchAll(/^istio_requests_total\{.*\} (\d+)$/gm)];
    expect(total.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(100_000);
  });

  test('the counting step stays cheap and makes no garbage', () => {
    const registry = new Registry();
    const part = compileMetrics({ registry, node: NODE, reporter: 'source', statPrefix: 'http' }, anEnv());
    const endpoints = Array.from({ length: 8 }, (_, i) => anEndpoint(9000 + i, { workload: `w${i}` }));
    const ref = aCluster('c', endpoints, { host: 'h' });
    const step = part.onEnd?.[0];
    const x = anExchange({ cluster: ref, endpoint: endpoints[0] ?? null });
    const rounds = 200_000;
    const loop = (): void => {
      for (let i = 0; i < rounds; i++) {
        x.endpoint = endpoints[i & 7] ?? null;
        x.response.status = (i & 63) === 0 ? 503 : 200;
        step?.run(x, step.arg);
      }
    };
    loop();
    const heapBefore = process.memoryUsage().heapUsed;
    const begin = performance.now();
    loop();
    const ns = ((performance.now() - begin) * 1e6) / rounds;
    const bytes = (process.memoryUsage().heapUsed - heapBefore) / rounds;
    process.stdout.write(`metrics step: ${ns.toFixed(0)} ns, ${bytes.toFixed(2)} bytes per request\n`);
    expect(bytes).toBeLessThan(16);
    expect(ns).toBeLessThan(5000);
  });
});

function opened(cluster: ClusterRef, endpoint: Endpoint | null): Opened {
  return { connection: NO_CONNECTION, cluster, endpoint, upstreamTls: null };
}

describe('tcp metrics', () => {
  test('a connection counts its opening, its bytes and its closing once', () => {
    const registry = new Registry();
    const counters = new TcpMetrics(registry, NODE).open(opened(CLUSTER, ENDPOINT));
    counters.addSent(10);
    counters.addSent(5);
    counters.addReceived(3);
    counters.close();
    counters.close();
    const text = renderPrometheus(registry);
    const value = (name: string): string | undefined =>
      new RegExp(`^${name}\\{.*request_protocol="tcp".*\\} (\\d+)$`, 'm').exec(text)?.[1];
    expect(
      ['sent_bytes', 'received_bytes', 'connections_opened', 'connections_closed'].map((name) =>
        value(`istio_tcp_${name}_total`),
      ),
    ).toEqual(['15', '3', '1', '1']);
  });

  test.each([
    ['PassthroughCluster', 'PassthroughCluster'],
    ['BlackHoleCluster', 'BlackHoleCluster'],
    ['InboundPassthroughCluster', 'InboundPassthroughCluster'],
    ['another', 'unknown'],
  ])('what goes to %s has the service %s', (cluster, service) => {
    const registry = new Registry();
    new TcpMetrics(registry, NODE).open(opened(aCluster(cluster, []), null));
    expect(renderPrometheus(registry)).toContain(`destination_service_name="${service}"`);
  });

  test('a connection is closed under the flags that it ended with', () => {
    const registry = new Registry();
    new TcpMetrics(registry, NODE).open(opened(CLUSTER, ENDPOINT)).close(FLAGS.UC);
    const samples = renderPrometheus(registry).matchAll(
      /^istio_tcp_connections_(\w+)\{.*response_flags="(\w+|-)".*\} (\d+)$/gm,
    );
    expect(Array.from(samples, ([, name, flags, value]) => [name, flags, value])).toEqual([
      ['opened_total', '-', '1'],
      ['closed_total', 'UC', '1'],
    ]);
  });
});

describe('proxy stats', () => {
  test('are added up from endpoints and tallies, by Envoy names', () => {
    const live = CLUSTER.cluster === null ? [] : [CLUSTER.cluster];
    const stats = new ProxyStats(() => live);
    const registry = new Registry();
    stats.attachTo(registry);
    const part = compileMetrics({ registry, stats, node: NODE, reporter: 'source', statPrefix: 'out' }, anEnv());
    ENDPOINT.requestsTotal = 4;
    ENDPOINT.connectionsTotal = 2;
    runPhase(anExchange({ cluster: CLUSTER, endpoint: ENDPOINT }), part, 'onEnd');
    runPhase(anExchange({ cluster: CLUSTER, endpoint: ENDPOINT, status: 502 }), part, 'onEnd');
    const values = new Map(stats.list().map(({ name, value }) => [name, value]));
    const cluster = 'cluster.outbound|9080||reviews.books.svc.cluster.local';
    expect(
      ['upstream_rq_total', 'upstream_cx_total', 'upstream_rq_2xx', 'upstream_rq_5xx'].map((leaf) =>
        values.get(`${cluster}.${leaf}`),
      ),
    ).toEqual([4, 2, 1, 1]);
    expect(['downstream_rq_2xx', 'downstream_rq_5xx'].map((leaf) => values.get(`http.out.${leaf}`))).toEqual([1, 1]);
    expect(renderPrometheus(registry)).toContain(
      'envoy_cluster_upstream_rq_xx{envoy_cluster_name="outbound|9080||reviews.books.svc.cluster.local",envoy_response_code_class="5"} 1\n',
    );
  });
});

describe('node identity', () => {
  test('is read from Istio metadata, canonical names falling back to labels and workload', () => {
    const node = create(NodeSchema, {
      id: 'sidecar~10.0.0.1~reviews-v1.books~books.svc.cluster.local',
      cluster: 'reviews.books',
      metadata: {
        NAMESPACE: 'books',
        WORKLOAD_NAME: 'reviews-v1',
        CLUSTER_ID: 'k1',
        MESH_ID: 'm1',
        LABELS: { app: 'reviews', version: 'v1', 'service.istio.io/canonical-name': 'rev' },
      },
    });
    expect(readNodeIdentity(node)).toEqual({
      id: 'sidecar~10.0.0.1~reviews-v1.books~books.svc.cluster.local',
      cluster: 'reviews.books',
      workload: 'reviews-v1',
      namespace: 'books',
      app: 'reviews',
      version: 'v1',
      canonicalService: 'rev',
      canonicalRevision: 'v1',
      clusterId: 'k1',
      meshId: 'm1',
    });
  });
});
