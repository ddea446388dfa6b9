// A data plane without configuration: one listener, one cluster, one route for everything, made from the
// runtime types themselves. What wire tests drive with raw bytes.
import type { AddressInfo } from 'node:net';
import { clusterId, routeId } from '../../src/base/brand.ts';
import { systemClock, type Clock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { LocalLimits } from '../../src/base/shared-limits.ts';
import { TimerWheel } from '../../src/base/timer-wheel.ts';
import { HttpTally, ListenerTally } from '../../src/observe/proxy-tally.ts';
import { ClusterRef, Endpoint, type Cluster } from '../../src/plan/cluster.ts';
import type { Exchange } from '../../src/plan/exchange.ts';
import { CONTINUE, merge, NO_MIRRORS, type PlanPart, type UpgradeRules } from '../../src/plan/plan.ts';
import { step } from '../../src/plan/step.ts';
import { ChainBook } from '../../src/sidecar/chain-book.ts';
import { newEngineCounters, type Engine } from '../../src/sidecar/engine.ts';
import { RoutesRef, type HttpManager } from '../../src/sidecar/http-manager.ts';
import { Listener } from '../../src/sidecar/listener.ts';
import { PoolRegistry } from '../../src/sidecar/upstream-pool.ts';

export const MANAGER: Omit<HttpManager, 'routes' | 'missPlan'> = {
  statPrefix: 'test',
  tally: new HttpTally(),
  underscoredHeaders: 'allow',
  serverName: 'envoy',
  serverHeader: 'overwrite',
  useRemoteAddress: false,
  xffTrustedHops: 0,
  skipXffAppend: false,
  internalAddresses: null,
  addedUserAgent: null,
  generatesRequestId: true,
  preservesExternalRequestId: false,
  alwaysSetsRequestIdInResponse: false,
  via: '',
  schemeToOverwrite: '',
  detectsHttp2: false,
  acceptsHttp10: true,
  defaultHostForHttp10: '',
  allowsChunkedLength: false,
  survivesInvalidMessages: false,
  clientCert: 'sanitize',
  clientCertDetails: { subject: false, cert: false, chain: false, uri: false, dns: false },
  normalizesPath: true,
  mergesSlashes: false,
  escapedSlashes: 'keep',
  stripsAnyHostPort: false,
  stripsMatchingHostPort: false,
  stripsTrailingHostDot: false,
  explainsErrors: true,
  suppressesEnvoyHeaders: false,
  respectsExpectedTimeout: false,
  isMesh: false,
  upgrades: new Map([['websocket', { isAllowed: true, isTerminated: false }]]),
  proxiesContinue: false,
  forwardsTrailers: true,
  delayedCloseMs: 1000,
  drainMs: 5000,
  requestHeadersTimeoutMs: 0,
  requestTimeoutMs: 0,
  streamIdleTimeoutMs: 300_000,
  idleTimeoutMs: 3_600_000,
  maxConnectionDurationMs: 0,
  maxStreamDurationMs: 0,
  maxRequestsPerConnection: 0,
  headBytesMax: 60 * 1024,
  headerCountMax: 100,
};

const WHERE = { bindsToPort: true, handsOff: false, connectionsMax: 0, arrival: null } as const;

export interface DataPlane {
  readonly port: number;
  readonly engine: Engine;
  readonly listener: Listener;
  readonly manager: HttpManager;
  readonly endpoint: Endpoint;
  readonly ended: Exchange['flags'][];
  /** The details of each of them. */
  readonly endedDetails: Exchange['details'][];
  close(): void;
}

export interface DataPlaneOptions {
  readonly manager?: Partial<HttpManager>;
  readonly cluster?: Partial<Cluster>;
  readonly timeoutMs?: number;
  readonly part?: PlanPart;
  readonly port?: number;
  /** Where to listen: an IP, or a Unix path; 127.0.0.1 by default. */
  readonly address?: string;
  /** A Unix path of the upstream, instead of its port. */
  readonly upstreamPath?: string;
  /** The route's own upgrade rules. */
  readonly upgrades?: UpgradeRules;
  readonly clock?: Clock;
}

function anEndpoint(port: number, address = '127.0.0.1'): Endpoint {
  const locality = { region: '', zone: '', subZone: '' };
  return new Endpoint({
    address,
    port,
    hostname: '',
    locality,
    priority: 0,
    metadata: new Map(),
    weight: 1,
  });
}

export function newEngine(clock: Clock = systemClock): Engine {
  const wheel = new TimerWheel(clock);
  return {
    clock,
    wheel,
    log: silentLog,
    random: Math.random,
    pools: new PoolRegistry(clock, wheel),
    counters: newEngineCounters(),
    chain: new ChainBook(new LocalLimits()),
  };
}

const CHAIN = { kind: 'http', name: 'http', fingerprint: '', transport: null, limit: null, guards: [] } as const;

/** Starts a listener on a free port that forwards everything to 127.0.0.1:upstreamPort. */
export async function startDataPlane(upstreamPort: number, options: DataPlaneOptions = {}): Promise<DataPlane> {
  const engine = newEngine(options.clock);
  const endpoint = anEndpoint(upstreamPort, options.upstreamPath);
  const reference = new ClusterRef(clusterId('app'));
  reference.cluster = {
    name: reference.name,
    connectTimeoutMs: 1000,
    idleTimeoutMs: 3_600_000,
    maxRequestsPerConnection: 0,
    picker: { pick: () => endpoint },
    endpoints: [endpoint],
    metadata: new Map(),
    isWarm: true,
    ...options.cluster,
  };
  const ended: number[] = [];
  const endedDetails: string[] = [];
  const send = step(
    'send',
    'test',
    (x, to: { cluster: ClusterRef; timeoutMs: number }) => {
      x.cluster = to.cluster;
      x.isPermitted = true;
      x.timeoutMs = to.timeoutMs;
      return CONTINUE;
    },
    { cluster: reference, timeoutMs: options.timeoutMs ?? 15_000 },
  );
  const note = step('note', 'test', (x) => (ended.push(x.flags), endedDetails.push(x.details), CONTINUE), null);
  const own = options.upgrades === undefined ? {} : { upgrades: options.upgrades };
  const init = { route: routeId('all'), origin: 'test', body: null, mirrors: NO_MIRRORS, ...own };
  const plan = merge(init, [{ onEnd: [note] }, { onRequest: [send] }, options.part ?? {}]);
  const routes = new RoutesRef('all');
  routes.table = { name: 'all', match: () => plan };
  const manager: HttpManager = {
    ...MANAGER,
    tally: new HttpTally(),
    routes,
    missPlan: merge(init, [{ onEnd: [note] }]),
    ...options.manager,
  };
  const chains = [{ ...CHAIN, manager }];
  const config = {
    ...WHERE,
    name: 'test',
    tally: new ListenerTally(),
    fingerprint: '',
    address: options.address ?? '127.0.0.1',
    port: options.port ?? 0,
    isInbound: false,
    bufferBytesMax: 1 << 20,
    chains,
  };
  const listener = new Listener(engine, config);
  await listener.listen();
  const address: AddressInfo | null = listener.boundAddress;
  return {
    port: address?.port ?? 0,
    engine,
    listener,
    manager,
    endpoint,
    ended,
    endedDetails,
    close() {
      listener.destroy();
      engine.pools.destroy();
    },
  };
}
