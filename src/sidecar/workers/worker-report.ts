// What a proxy has counted, as data for another thread; and the sum of several such reports. Counters and histograms
// add up; gauges too, but for those that tell the same in every worker (how many clusters there are, for example).
import type { Stat } from '../../observe/proxy-stats.ts';
import { Registry } from '../../observe/registry.ts';
import type { Proxy } from '../proxy.ts';
import type { OutlierStatus } from '../admin/source.ts';
import { outlierStatus } from '../outlier-status.ts';
import type { EndpointReport, FamilyReport, WorkerReport } from './worker-message.ts';

/** Gauges that every worker tells alike: the greatest counts. */
const ALIKE =
  /^(?:server\.(?!total_connections)|cluster_manager\.|listener_manager\.|cluster\..*\.(?:membership_|circuit_breakers\.[a-z]+\.[a-z_]+_open$)|(?:cluster|listener)\..*\.ssl\.certificate\.)/;
/** Gauges of what is left of something that all share: a worker that has used none knows of nobody's use. */
const SHARED_REST = /^cluster\..*\.circuit_breakers\.[a-z]+\.remaining_/;

export const NOT_JUDGED: OutlierStatus = Object.freeze({ isEjected: false, successRate: -1, localSuccessRate: -1 });

/** Scrape time. */
export function reportOf(proxy: Proxy): WorkerReport {
  return {
    families: familiesOf(proxy.registry),
    stats: proxy.stats.list(),
    endpoints: endpointsOf(proxy),
    listeners: proxy.listeners
      .live()
      .map(([name, { config, descriptors }]) => ({ name, address: config.address, port: config.port, descriptors })),
  };
}

function familiesOf(registry: Registry): readonly FamilyReport[] {
  return [...registry.families.values()].flatMap((family) => {
    const { name, help, kind, labelNames, bounds, width } = family;
    const series = Array.from(family.series.values(), ({ labels, slot }) => ({
      labels,
      numbers: Array.from(registry.values.subarray(slot, slot + width)),
    }));
    return series.length === 0 ? [] : [{ name, help, kind, labelNames, bounds, series }];
  });
}

function endpointsOf(proxy: Proxy): readonly EndpointReport[] {
  return [...proxy.store.clusters.values()].flatMap((cluster) =>
    cluster.endpoints.map((endpoint) => ({
      cluster: cluster.name,
      authority: endpoint.authority,
      active: endpoint.active,
      requestsTotal: endpoint.requestsTotal,
      failuresTotal: endpoint.failuresTotal,
      connectionsTotal: endpoint.connectionsTotal,
      connectFailuresTotal: endpoint.connectFailuresTotal,
      connectionsActive: endpoint.connectionsActive,
      outlier: outlierStatus(proxy, cluster.name, endpoint),
    })),
  );
}

/** One registry with the numbers of all. */
export function sumFamilies(reports: readonly Pick<WorkerReport, 'families'>[]): Registry {
  // What fitted into each fits into the sum.
  const sum = new Registry({ seriesMax: Infinity });
  for (const { families } of reports) {
    for (const { series, ...init } of families) {
      const family = sum.family(init);
      for (const { labels, numbers } of series) {
        const slot = family.slot(labels);
        numbers.forEach((number, i) => sum.add(slot + i, number));
      }
    }
  }
  return sum;
}

export function sumStats(reports: readonly (readonly Stat[])[]): readonly Stat[] {
  const sums = new Map<string, Stat>();
  for (const stat of reports.flat()) {
    const known = sums.get(stat.name);
    if (known === undefined) sums.set(stat.name, stat);
    else if (stat.kind === 'gauge' && ALIKE.test(stat.name)) {
      sums.set(stat.name, { ...stat, value: Math.max(stat.value, known.value) });
    } else if (SHARED_REST.test(stat.name)) {
      sums.set(stat.name, { ...stat, value: Math.min(stat.value, known.value) });
    } else sums.set(stat.name, { ...stat, value: stat.value + known.value });
  }
  return [...sums.values()];
}

/** What of a worker that is no more goes on counting: its counters and histograms, not what it held. */
export function afterlife(report: WorkerReport): WorkerReport {
  return {
    families: report.families.filter(({ kind }) => kind !== 'gauge'),
    stats: report.stats.filter(({ kind }) => kind === 'counter'),
    endpoints: report.endpoints.map((endpoint) => ({
      ...endpoint,
      active: 0,
      connectionsActive: 0,
      outlier: NOT_JUDGED,
    })),
    listeners: [],
  };
}

/** Several reports as one. */
export function sumReports(reports: readonly WorkerReport[]): WorkerReport {
  const endpoints = new Map<string, EndpointReport>();
  for (const report of reports.flatMap((one) => one.endpoints)) {
    const key = `${report.cluster} ${report.authority}`;
    const known = endpoints.get(key);
    endpoints.set(key, known === undefined ? report : sumEndpoints(known, report));
  }
  return {
    families: familiesOf(sumFamilies(reports)),
    stats: sumStats(reports.map(({ stats }) => stats)),
    endpoints: [...endpoints.values()],
    listeners: reports.flatMap(({ listeners }) => listeners),
  };
}

function sumEndpoints(one: EndpointReport, other: EndpointReport): EndpointReport {
  return {
    ...one,
    active: one.active + other.active,
    requestsTotal: one.requestsTotal + other.requestsTotal,
    failuresTotal: one.failuresTotal + other.failuresTotal,
    connectionsTotal: one.connectionsTotal + other.connectionsTotal,
    connectFailuresTotal: one.connectFailuresTotal + other.connectFailuresTotal,
    connectionsActive: one.connectionsActive + other.connectionsActive,
    outlier: {
      isEjected: one.outlier.isEjected || other.outlier.isEjected,
      successRate: lowerRate(one.outlier.successRate, other.outlier.successRate),
      localSuccessRate: lowerRate(one.outlier.localSuccessRate, other.outlier.localSuccessRate),
    },
  };
}

/** Each worker judges by itself: the worst view is what an operator looks for. -1 is none. */
function lowerRate(one: number, other: number): number {
  if (one < 0 || other < 0) return Math.max(one, other);
  return Math.min(one, other);
}
