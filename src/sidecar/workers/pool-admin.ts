// What the admin server sees of a proxy with workers: configuration from the main thread, which has compiled the same,
// and numbers from the workers, added up when somebody asks. What an operator changes is changed everywhere.
import type { Log } from '../../base/log.ts';
import { renderMetrics } from '../../observe/exposition.ts';
import { writeStats, type Stat } from '../../observe/proxy-stats.ts';
import type { Registry } from '../../observe/registry.ts';
import type { AdminSource } from '../admin/source.ts';
import type { Proxy } from '../proxy.ts';
import { NOT_JUDGED, reportOf, sumFamilies, sumReports, sumStats } from './worker-report.ts';
import type { WorkerReport } from './worker-message.ts';
import type { WorkerPool } from './worker-pool.ts';

export function poolAdmin(source: AdminSource, proxy: Proxy, pool: WorkerPool): AdminSource {
  return {
    ...source,
    log: spreadingLog(source.log, pool),
    state() {
      const state = source.state();
      return state === 'LIVE' && !pool.isReady ? 'INITIALIZING' : state;
    },
    clusters() {
      const { endpoints } = sumReports(reportsOf(pool));
      const judged = new Map(endpoints.map(({ cluster, authority, outlier }) => [`${cluster} ${authority}`, outlier]));
      return source.clusters().map((status) => ({
        ...status,
        outlierOf: ({ authority }) => judged.get(`${status.cluster.name} ${authority}`) ?? NOT_JUDGED,
      }));
    },
    async refresh() {
      await pool.refresh();
      countEndpoints(proxy, reportsOf(pool));
    },
    prometheus(accept) {
      const registry = sumFamilies([reportOf(proxy), ...reportsOf(pool)]);
      addWorkers(registry, pool);
      registry.addSource((sink) => writeStats(sink, statsOf(proxy, pool)));
      return renderMetrics(registry, accept);
    },
    stats: () => new Map([...statsOf(proxy, pool), ...workerStats(pool)].map(({ name, value }) => [name, value])),
    setHealthcheckFailed(isFailed) {
      source.setHealthcheckFailed(isFailed);
      pool.broadcast({ kind: 'health', isFailed });
    },
    drainListeners(options) {
      source.drainListeners(options);
      pool.broadcast({ kind: 'drain-listeners', ...options });
    },
  };
}

function reportsOf(pool: WorkerPool): readonly WorkerReport[] {
  return [...pool.threads.map(({ report }) => report), pool.departed].filter((report) => report !== null);
}

/** What the main thread alone knows comes from it, and what it does not do from the workers. */
function statsOf(proxy: Proxy, pool: WorkerPool): readonly Stat[] {
  const stats = new Map(proxy.stats.list().map((stat) => [stat.name, stat]));
  for (const stat of sumStats(reportsOf(pool).map((report) => report.stats))) {
    if (!OF_MAIN.has(stat.name)) stats.set(stat.name, stat);
  }
  return [...stats.values()];
}

const OF_MAIN: ReadonlySet<string> = new Set(['server.live', 'server.uptime']);

/** Envoy's `listener.ADDRESS.worker_N.downstream_cx_total`. */
function workerStats(pool: WorkerPool): readonly Pick<Stat, 'name' | 'value'>[] {
  return pool.threads.flatMap(({ index, report }) =>
    (report?.stats ?? []).flatMap(({ name, value }) => {
      const match = /^(?<listener>listener\..*)\.(?<leaf>downstream_cx_(?:total|active))$/.exec(name);
      const { listener, leaf } = match?.groups ?? {};
      return listener === undefined ? [] : [{ name: `${listener}.worker_${index}.${leaf}`, value }];
    }),
  );
}

function addWorkers(registry: Registry, pool: WorkerPool): void {
  const families = {
    total: registry.family({
      name: 'outrigger_worker_connections_total',
      help: 'Downstream connections that a worker has served.',
      kind: 'counter',
      labelNames: ['worker'],
    }),
    active: registry.family({
      name: 'outrigger_worker_connections_active',
      help: 'Downstream connections that a worker serves.',
      kind: 'gauge',
      labelNames: ['worker'],
    }),
    requests: registry.family({
      name: 'outrigger_worker_requests_total',
      help: 'Downstream HTTP requests that a worker has served.',
      kind: 'counter',
      labelNames: ['worker'],
    }),
  };
  for (const { index, report } of pool.threads) {
    const sum = (pattern: RegExp): number =>
      (report?.stats ?? []).reduce((total, { name, value }) => (pattern.test(name) ? total + value : total), 0);
    const labels = [String(index)];
    registry.add(families.total.slot(labels), sum(/^listener\..*\.downstream_cx_total$/));
    registry.add(families.active.slot(labels), sum(/^listener\..*\.downstream_cx_active$/));
    registry.add(families.requests.slot(labels), sum(/^http\..*\.downstream_rq_total$/));
  }
  const restarts = registry.counter('outrigger_worker_restarts_total', 'Workers that ended and were started again.');
  registry.add(restarts, pool.restarts);
}

/** The main thread's endpoints carry no traffic: their counts are the workers' together. */
function countEndpoints({ store }: Proxy, reports: readonly WorkerReport[]): void {
  for (const report of sumReports(reports).endpoints) {
    const cluster = store.clusters.values().find(({ name }) => name === report.cluster);
    const endpoint = cluster?.endpoints.find(({ authority }) => authority === report.authority);
    if (endpoint === undefined) continue;
    endpoint.active = report.active;
    endpoint.requestsTotal = report.requestsTotal;
    endpoint.failuresTotal = report.failuresTotal;
    endpoint.connectionsTotal = report.connectionsTotal;
    endpoint.connectFailuresTotal = report.connectFailuresTotal;
    endpoint.connectionsActive = report.connectionsActive;
  }
}

/** One level for all threads. */
function spreadingLog(log: Log, pool: WorkerPool): Log {
  return {
    get level() {
      return log.level;
    },
    setLevel(level) {
      log.setLevel(level);
      pool.broadcast({ kind: 'level', level });
    },
    child: (scope) => log.child(scope),
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    warning: (message, fields) => log.warning(message, fields),
    error: (message, fields) => log.error(message, fields),
  };
}
