// Builds a finished Exchange and the things around it, as the engine leaves them for onEnd.
import { clusterId } from '../../../src/base/brand.ts';
import type { Problem } from '../../../src/base/problem.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef, Endpoint, type Cluster } from '../../../src/plan/cluster.ts';
import { Exchange, NO_CONNECTION, type Connection } from '../../../src/plan/exchange.ts';
import type { CompileEnv, PlanPart } from '../../../src/plan/plan.ts';
import type { TlsFacts } from '../../../src/plan/tls-facts.ts';
import { run } from '../../../src/plan/run.ts';

export interface TestEnv extends CompileEnv {
  readonly problems: Problem[];
  readonly refs: Map<string, ClusterRef>;
}

export function anEnv(random: () => number = () => 0.5): TestEnv {
  const refs = new Map<string, ClusterRef>();
  return {
    problems: [],
    refs,
    random,
    runtimeNumber: (_key, fallback) => fallback,
    clusterRef(name) {
      const known = refs.get(name) ?? new ClusterRef(clusterId(name));
      refs.set(name, known);
      return known;
    },
  };
}

export function anEndpoint(port = 9080, metadata: Readonly<Record<string, string>> = {}): Endpoint {
  return new Endpoint({
    address: '10.0.0.7',
    port,
    hostname: '',
    locality: { region: '', zone: '', subZone: '' },
    priority: 0,
    metadata: new Map(Object.entries(metadata)),
    weight: 1,
  });
}

export function aCluster(
  name: string,
  endpoints: readonly Endpoint[],
  metadata: Readonly<Record<string, string>> = {},
): ClusterRef {
  const cluster: Cluster = {
    name: clusterId(name),
    connectTimeoutMs: 5000,
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    picker: { pick: () => endpoints[0] ?? null },
    endpoints,
    metadata: new Map(Object.entries(metadata)),
    isWarm: true,
  };
  const ref = new ClusterRef(cluster.name);
  ref.cluster = cluster;
  return ref;
}

export interface ExchangeInit {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly status?: number;
  readonly durationMs?: number;
  readonly cluster?: ClusterRef | null;
  readonly endpoint?: Endpoint | null;
  readonly flags?: number;
  readonly connection?: Partial<Connection>;
  readonly upstreamTls?: TlsFacts;
}

export function anExchange(init: ExchangeInit = {}): Exchange {
  const x = new Exchange();
  x.request.method = init.method ?? 'GET';
  x.request.path = init.path ?? '/';
  x.request.authority = init.authority ?? 'reviews:9080';
  for (const [name, value] of init.headers ?? []) x.request.add(internHeader(name), value);
  x.connection = { ...NO_CONNECTION, remoteAddress: '10.0.0.1', remotePort: 40_000, ...init.connection };
  x.startMs = 1000;
  x.startWallMs = 1_700_000_000_000;
  x.upstreamStartMs = 1001;
  x.endMs = 1000 + (init.durationMs ?? 7);
  x.response.status = init.status ?? 200;
  x.upstreamTls = init.upstreamTls ?? null;
  x.cluster = init.cluster ?? null;
  x.endpoint = init.endpoint ?? null;
  x.flags = init.flags ?? 0;
  x.attempts = x.endpoint === null ? 0 : 1;
  x.isUpstreamResponse = x.endpoint !== null;
  x.requestHeadBytes = 80;
  x.requestBytes = 20;
  x.responseHeadBytes = 500;
  x.responseBytes = 600;
  return x;
}

export function runPhase(x: Exchange, part: PlanPart | null, phase: 'onRequest' | 'onAttempt' | 'onEnd'): void {
  x.pc = 0;
  run(x, part?.[phase] ?? []);
}
