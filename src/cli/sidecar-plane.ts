// The data plane as the command runs it: on the main thread alone, or on workers with the main thread beside them. What
// only workers need is loaded with them.
import type { Log } from '../base/log.ts';
import type { AdminSource } from '../sidecar/admin/source.ts';
import type { Identity } from '../sidecar/identity.ts';
import type { OpenSocket } from '../sidecar/handover/socket-record.ts';
import { adminSourceOf, type AdminOptions } from '../sidecar/proxy-admin.ts';
import { watchAlone } from '../sidecar/extension-watch.ts';
import { Proxy } from '../sidecar/proxy.ts';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { CommonSettings } from './sidecar-flags.ts';
import type { Succession } from './sidecar-succession.ts';

export interface SidecarPlane {
  /** The main thread's: it has the configuration, and with one thread the traffic too. */
  readonly proxy: Proxy;
  adminSource(options: AdminOptions): AdminSource;
  /** Rejects when something cannot listen. */
  start(): Promise<void>;
  /** Resolves when everything serves for the first time. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  /** The listening sockets that a successor can be given: those whose port was asked for. */
  openSockets(): Promise<readonly OpenSocket[]>;
  /** Another process listens on the same sockets, too: they are left to it as they are. */
  shareSockets(isShared: boolean): void;
  /** Resolves when nothing is accepted here any more; connections then end as in stop(). */
  yieldToSuccessor(): Promise<void>;
  /** Without `hasDelay`, new connections are not waited for. */
  stop(drainSeconds?: number, hasDelay?: boolean): Promise<void>;
}

export interface SidecarPlaneOptions {
  readonly bootstrap: Bootstrap;
  readonly log: Log;
  readonly settings: CommonSettings;
  readonly succession: Succession;
  readonly identity: Identity | null;
}

export async function makePlane(options: SidecarPlaneOptions): Promise<SidecarPlane> {
  const { bootstrap, log, settings, succession, identity } = options;
  const { drainSeconds, drainDelaySeconds, drainStrategy, extensions, concurrency } = settings;
  const draining = { drainSeconds, drainDelaySeconds, drainStrategy, extensions };
  if (concurrency > 1) return pooledPlane(options, draining);
  const { host } = succession;
  const extensionWatch = watchAlone();
  return singlePlane(
    new Proxy({ bootstrap, log, identity, extensionWatch, ...draining, ...(host === null ? {} : { host }) }),
  );
}

function singlePlane(proxy: Proxy): SidecarPlane {
  return {
    proxy,
    adminSource: (options) => adminSourceOf(proxy, options),
    start: () => proxy.start(),
    ready: proxy.ready,
    get isReady() {
      return proxy.isReady;
    },
    openSockets() {
      const live = proxy.listeners.live().map(([, { config, descriptors }]) => ({ ...config, descriptors }));
      return Promise.resolve(live.flatMap(socketsOf));
    },
    shareSockets: (isShared) => proxy.shareSockets(isShared),
    yieldToSuccessor() {
      void proxy.yieldToSuccessor();
      return Promise.resolve();
    },
    stop: (drainSeconds, hasDelay) => proxy.stop(drainSeconds, hasDelay),
  };
}

async function pooledPlane(
  { bootstrap, log, settings, succession, identity }: SidecarPlaneOptions,
  draining: Pick<CommonSettings, 'drainSeconds' | 'drainDelaySeconds' | 'drainStrategy' | 'extensions'>,
): Promise<SidecarPlane> {
  const { WorkerPool } = await import('../sidecar/workers/worker-pool.ts');
  const { poolAdmin } = await import('../sidecar/workers/pool-admin.ts');
  const inherit = (address: string, port: number): readonly number[] => succession.takeAll('listener', address, port);
  const pool = new WorkerPool({ workers: settings.concurrency, bootstrap, log, ...draining, inherit });
  const proxy = new Proxy({
    bootstrap,
    log,
    identity,
    ...draining,
    host: pool.host,
    limits: pool.mainLimits,
    connect: pool.connect,
  });
  return {
    proxy,
    adminSource: (options) => poolAdmin(adminSourceOf(proxy, options), proxy, pool),
    async start() {
      pool.start(proxy);
      // Workers may wait for the control service for long; what counts here is whether one fails.
      await Promise.race([proxy.start(), pool.failed]);
    },
    ready: bothOf(proxy.ready, pool.ready),
    get isReady() {
      return proxy.isReady && pool.isReady;
    },
    async openSockets() {
      await pool.refresh();
      return pool.threads.flatMap(({ report }) => report?.listeners ?? []).flatMap(socketsOf);
    },
    shareSockets: (isShared) => pool.broadcast({ kind: 'share', isShared }),
    async yieldToSuccessor() {
      void proxy.yieldToSuccessor();
      await pool.yieldToSuccessor();
    },
    async stop(drainSeconds, hasDelay) {
      await Promise.all([proxy.stop(drainSeconds, hasDelay), pool.leave(drainSeconds, hasDelay)]);
    },
  };
}

async function bothOf(one: Promise<void>, other: Promise<void>): Promise<void> {
  await Promise.all([one, other]);
}

interface Listening {
  readonly address: string;
  readonly port: number;
  readonly descriptors: readonly number[];
}

function socketsOf({ address, port, descriptors }: Listening): readonly OpenSocket[] {
  return port > 0 ? descriptors.map((descriptor) => ({ role: 'listener', address, port, descriptor })) : [];
}
