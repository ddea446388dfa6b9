// An AdminSource over a bootstrap that a real Envoy 1.40 was started with: what the tests expect of
// the admin endpoints is what that Envoy answered. Clusters are live ones; calls are noted.
import { UNFIT } from '../../../src/plan/cluster.ts';
import { create } from '@bufbuild/protobuf';
import { clusterId } from '../../../src/base/brand.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { createLog, silentLog } from '../../../src/base/log.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { merge } from '../../../src/plan/plan.ts';
import { routeId } from '../../../src/base/brand.ts';
import { LiveCluster } from '../../../src/resilience/cluster.ts';
import { compileCluster } from '../../../src/resilience/compile.ts';
import { parseBootstrap } from '../../../src/sidecar/bootstrap.ts';
import type { AdminSource, ClusterStatus, ProxyState, RefusedResource } from '../../../src/sidecar/admin/source.ts';
import type { Bootstrap } from '../../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { ClusterLoadAssignmentSchema } from '../../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { RouteConfigurationSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_pb.js';

export const UPDATED_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

const BOOTSTRAP = `
node: {id: n1, cluster: c1}
static_resources:
  listeners:
  - name: l1
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  - name: l2
    address: {pipe: {path: /tmp/l2.sock}}
  clusters:
  - name: c1
    connect_timeout: 1s
    lb_policy: LEAST_REQUEST
    load_assignment:
      cluster_name: c1
      endpoints:
      - locality: {region: r, zone: z, sub_zone: s}
        lb_endpoints:
        - endpoint: {hostname: hh, address: {socket_address: {address: 127.0.0.1, port_value: 39472}}}
          load_balancing_weight: 3
        - endpoint: {address: {pipe: {path: /tmp/x.sock}}}
          health_status: DEGRADED
      - priority: 1
        lb_endpoints:
        - endpoint: {address: {socket_address: {address: "::1", port_value: 39472}}}
          health_status: UNHEALTHY
  - name: outbound|80||a.test
    type: EDS
    eds_cluster_config: {service_name: a, eds_config: {ads: {}}}
`;

export interface SourceBench {
  readonly source: AdminSource;
  /** Calls that change something, in order. */
  readonly calls: string[];
  readonly clusters: ReadonlyMap<string, LiveCluster>;
  setState(state: ProxyState): void;
}

function parsed(): Bootstrap {
  const { bootstrap, problems } = parseBootstrap(BOOTSTRAP, 'e.yaml');
  if (bootstrap === null) throw new Error(JSON.stringify(problems));
  return bootstrap;
}

function live(bootstrap: Bootstrap): readonly ClusterStatus[] {
  return (bootstrap.staticResources?.clusters ?? []).map((message, index): ClusterStatus => {
    const env = {
      problems: [],
      clusterRef: (name: string) => new ClusterRef(clusterId(name)),
      random: Math.random,
      runtimeNumber: (_key: string, fallback: number) => fallback,
    };
    const settings = compileCluster(message, env, '');
    if (settings === null) throw new Error(JSON.stringify(env.problems));
    const cluster = new LiveCluster(settings, {
      clock: systemClock,
      random: () => 0,
      resolver: { lookup: () => Promise.resolve({ kind: 'failure', cause: 'unused' }) },
      log: silentLog,
    });
    cluster.start();
    const isDynamic = index === 1;
    const assignment = create(ClusterLoadAssignmentSchema, { clusterName: 'a' });
    if (isDynamic) cluster.updateEndpoints(assignment);
    return {
      config: {
        message,
        origin: isDynamic ? 'dynamic' : 'static',
        version: isDynamic ? '7' : '',
        updatedMs: UPDATED_MS,
      },
      cluster,
      assignment: isDynamic ? { message: assignment, origin: 'dynamic', version: '8', updatedMs: UPDATED_MS } : null,
      healthOf: (endpoint) => cluster.healthOf(endpoint),
      isLingering: (endpoint) => cluster.checked.isLingering(endpoint),
      outlierOf: (endpoint) => ({
        isEjected: (endpoint.unfit & UNFIT.EJECTED) !== 0,
        successRate: -1,
        localSuccessRate: -1,
      }),
    };
  });
}

export function aSource(refused: readonly RefusedResource[] = []): SourceBench {
  const bootstrap = parsed();
  const statuses = live(bootstrap);
  const [l1, l2] = bootstrap.staticResources?.listeners ?? [];
  if (l1 === undefined || l2 === undefined) throw new Error('the bootstrap has two listeners');
  const calls: string[] = [];
  let state: ProxyState = 'LIVE';
  const plan = merge({ route: routeId('r'), origin: 'o', body: null, mirrors: [] }, []);
  const config = { origin: 'static', version: '', updatedMs: UPDATED_MS } as const;
  const source: AdminSource = {
    log: createLog('test', 'info', () => {}),
    identity: {
      version: '0.1.0',
      nodeId: 'n1',
      nodeCluster: 'c1',
      startedMs: Date.now() - 2500,
      commandLine: { concurrency: 1 },
    },
    state: () => state,
    bootstrap: () => ({ ...config, message: bootstrap }),
    versions: () => ({ clusters: '7', listeners: '' }),
    listeners: () => [
      { config: { ...config, message: l1 }, address: '127.0.0.1', port: 33261 },
      { config: { ...config, message: l2 }, address: '/tmp/l2.sock', port: 0 },
    ],
    clusters: () => statuses,
    routes: () => [{ ...config, message: create(RouteConfigurationSchema, { name: 'r1' }) }],
    certificates: () => [],
    secrets: () => [],
    refused: () => refused,
    plans: () => [
      { table: 'r1', plan },
      { table: 'r1', plan: { ...plan, route: routeId('s') } },
    ],
    explain: ({ path }) => (path === '/bad' ? null : `explained ${path}\n`),
    prometheus: (accept) => ({
      contentType: accept === 'application/openmetrics-text' ? accept : 'text/plain; version=0.0.4; charset=utf-8',
      body: '# HELP a help\n# TYPE a counter\na{x="1"} 2\na{x="2"} 0\n# TYPE b gauge\nb 0\n',
    }),
    stats: () =>
      new Map([
        ['http.in.rq', 3],
        ['cluster.c1.cx', 0],
        ['cluster.c1.rq', 5],
      ]),
    setHealthcheckFailed: (isFailed) => void calls.push(`healthcheck ${isFailed ? 'fail' : 'ok'}`),
    drainListeners: (options) => void calls.push(`drain ${JSON.stringify(options)}`),
    quit: () => void calls.push('quit'),
  };
  const clusters = new Map(
    statuses.flatMap(({ cluster }) => (cluster instanceof LiveCluster ? [[cluster.name, cluster] as const] : [])),
  );
  return {
    source,
    calls,
    clusters,
    setState: (next) => {
      state = next;
    },
  };
}
