// Whom a request may probe when an ejection time is over, and what happens when no request comes.
import { create, type JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { UNFIT, type Endpoint } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { compileMetadataMatch, type MetadataMatch } from '../../../src/plan/metadata-match.ts';
import { outlierNumbers } from '../../../src/resilience/outlier-numbers.ts';
import { MetadataSchema } from '../../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { OutlierBench } from './outlier-bench.ts';

const OUTLIER = { base_ejection_time: '5s', interval: '10s', max_ejection_percent: 50 };
const FAILURES = [503, 503, 503, 503, 503];

function at(port: number, more: JsonObject = {}): JsonObject {
  return { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } }, ...more };
}

/** Endpoint 0 has been out for its time. */
function waiting(localities: readonly JsonObject[], fields: JsonObject = {}): OutlierBench {
  const assignment = { load_assignment: { cluster_name: 'c', endpoints: [...localities] } };
  const bench = new OutlierBench(0, OUTLIER, { fields: { ...assignment, ...fields } });
  bench.end(0, ...FAILURES);
  bench.pass(5000);
  return bench;
}

function request(fill: (x: Exchange) => void): Exchange {
  const x = new Exchange();
  x.request.method = 'GET';
  fill(x);
  return x;
}

function pick({ cluster }: OutlierBench, fill: (x: Exchange) => void = () => {}): Endpoint | null {
  return cluster.picker.pick(request(fill));
}

function labelled(version: string): JsonObject {
  return { metadata: { filter_metadata: { 'envoy.lb': { version } } } };
}

function wish(version: string): MetadataMatch | null {
  return compileMetadataMatch(create(MetadataSchema, { filterMetadata: { 'envoy.lb': { version } } }));
}

const THREE = [{ lb_endpoints: [at(8000), at(8001), at(8002)] }];

describe('the request that probes', () => {
  it('is one for the same subset', () => {
    const bench = waiting(
      [{ lb_endpoints: [at(8000, labelled('1')), at(8001, labelled('1')), at(8002, labelled('2'))] }],
      { lb_subset_config: { fallback_policy: 'NO_FALLBACK', subset_selectors: [{ keys: ['version'] }] } },
    );
    const [first, second] = [wish('1'), wish('2')];
    expect(pick(bench, (x) => (x.subsetMatch = second))?.port).toBe(8002);
    expect(pick(bench, (x) => (x.subsetMatch = first))?.port).toBe(8000);
    expect(pick(bench, (x) => (x.subsetMatch = first))?.port).toBe(8001);
  });

  it('does not leave the priority that serves for a worse one', () => {
    const bench = waiting([
      { priority: 1, lb_endpoints: [at(8000), at(8001)] },
      { priority: 0, lb_endpoints: [at(8002), at(8003)] },
    ]);
    expect(Array.from({ length: 20 }, () => pick(bench)?.priority)).toEqual(Array.from({ length: 20 }, () => 0));
    for (const index of [2, 3]) bench.cluster.setUnfit(bench.endpoint(index), UNFIT.FAILED_CHECK, true);
    expect(pick(bench)?.port).toBe(8000);
  });

  it('may come back from a worse priority to a better one', () => {
    const bench = waiting([
      { priority: 0, lb_endpoints: [at(8000)] },
      { priority: 1, lb_endpoints: [at(8001), at(8002)] },
    ]);
    expect(pick(bench)?.port).toBe(8000);
  });

  it('does not leave its session', () => {
    const bench = waiting(THREE);
    expect(pick(bench, (x) => (x.sessionEndpoint = '127.0.0.1:8001'))?.port).not.toBe(8000);
    expect(pick(bench, (x) => (x.sessionEndpoint = '127.0.0.1:8000'))?.port).toBe(8000);
  });

  it.each([
    ['failed its checks', (bench: OutlierBench) => bench.cluster.setUnfit(bench.endpoint(0), UNFIT.FAILED_CHECK, true)],
    ['asked to be left out', (bench: OutlierBench) => bench.cluster.setUnfit(bench.endpoint(0), UNFIT.EXCLUDED, true)],
  ])('does not go to an endpoint that has %s as well', (_says, spoil) => {
    const bench = waiting(THREE);
    spoil(bench);
    expect(Array.from({ length: 20 }, () => pick(bench)?.port)).not.toContain(8000);
  });

  it('does not go to an endpoint that is unhealthy by its configuration', () => {
    const bench = waiting([{ lb_endpoints: [at(8000, { health_status: 'UNHEALTHY' }), at(8001), at(8002)] }]);
    expect(Array.from({ length: 20 }, () => pick(bench)?.port)).not.toContain(8000);
  });

  it.each(['RING_HASH', 'MAGLEV'])('is one whose hash leads there, by %s', (lb_policy) => {
    const assignment = { load_assignment: { cluster_name: 'c', endpoints: THREE } };
    const well = new OutlierBench(0, OUTLIER, { fields: { ...assignment, lb_policy } });
    const bench = waiting(THREE, { lb_policy });
    expect(bench.cluster.picker.usesHash).toBe(true);
    for (let hash = 0; hash < 40; hash++) {
      const keyed = (x: Exchange): void => {
        x.hasHash = true;
        x.hashHigh = Math.imul(hash, 2654435761) >>> 0;
        x.hashLow = Math.imul(hash, 40503) >>> 0;
      };
      const home = pick(well, keyed)?.port;
      const x = request(keyed);
      const found = bench.cluster.picker.pick(x)?.port;
      if (home === 8000) expect(found).toBe(8000);
      else expect(found).not.toBe(8000);
      // It says nothing, so the next may probe.
      if (found === 8000) bench.finish(x, 0, 0);
    }
  });
});

describe('when no request comes that could probe', () => {
  it('is taken for well after one further interval, and warms up', () => {
    const bench = waiting(THREE);
    bench.pass(9999);
    expect([bench.ejected, bench.tally.active]).toEqual([[0], 1]);
    bench.pass(1);
    expect([bench.ejected, bench.tally.active, bench.endpoint(0).warmSinceMs]).toEqual([[], 0, 16_000]);
    expect(bench.saying('endpoint returns').map(({ why }) => why)).toEqual(['no request came to probe it']);
  });

  it('waits for a probe that is under way, and not for one that was never sent', () => {
    const bench = waiting(THREE);
    bench.pass(9000);
    expect(pick(bench)?.port).toBe(8000);
    bench.pass(10_000);
    expect(bench.ejected).toEqual([0]);
    bench.pass(11_000);
    expect(bench.ejected).toEqual([]);
  });
});

it('counts under the names of Envoy 1.40, and probes beside them', () => {
  const bench = waiting(THREE);
  const counted = outlierNumbers(bench.tally).filter(([, , value]) => value > 0);
  expect(counted.map(([name, , value]) => `${name} ${value}`).toSorted()).toEqual([
    'outlier_detection.ejections_active 1',
    'outlier_detection.ejections_consecutive_5xx 1',
    'outlier_detection.ejections_detected_consecutive_5xx 1',
    'outlier_detection.ejections_detected_consecutive_gateway_failure 1',
    'outlier_detection.ejections_enforced_consecutive_5xx 1',
    'outlier_detection.ejections_enforced_total 1',
    'outlier_detection.ejections_total 1',
  ]);
  const names = outlierNumbers(bench.tally).map(([name]) => name.replace('outlier_detection.', ''));
  expect(names.filter((name) => !name.startsWith('probes_')).toSorted()).toEqual([
    'ejections_active',
    'ejections_consecutive_5xx',
    'ejections_detected_consecutive_5xx',
    'ejections_detected_consecutive_gateway_failure',
    'ejections_detected_consecutive_local_origin_failure',
    'ejections_detected_degradation',
    'ejections_detected_failure_percentage',
    'ejections_detected_local_origin_failure_percentage',
    'ejections_detected_local_origin_success_rate',
    'ejections_detected_success_rate',
    'ejections_enforced_consecutive_5xx',
    'ejections_enforced_consecutive_gateway_failure',
    'ejections_enforced_consecutive_local_origin_failure',
    'ejections_enforced_failure_percentage',
    'ejections_enforced_local_origin_failure_percentage',
    'ejections_enforced_local_origin_success_rate',
    'ejections_enforced_success_rate',
    'ejections_enforced_total',
    'ejections_overflow',
    'ejections_success_rate',
    'ejections_total',
  ]);
});

describe('the event log', () => {
  it('has a line for each ejection and its end, as Envoy writes them', () => {
    const bench = waiting(THREE);
    bench.pass(10_000);
    bench.end(0, ...FAILURES);
    const at = { type: 'CONSECUTIVE_5XX', cluster_name: 'c', upstream_url: '127.0.0.1:8000' };
    const eject = { ...at, action: 'EJECT', enforced: true, eject_consecutive_event: {} };
    const gateway = { ...eject, type: 'CONSECUTIVE_GATEWAY_FAILURE', enforced: false };
    expect(bench.events).toEqual([
      { ...gateway, num_ejections: 0, timestamp: '1970-01-01T00:00:01.000Z' },
      { ...eject, num_ejections: 1, timestamp: '1970-01-01T00:00:01.000Z' },
      { ...at, action: 'UNEJECT', num_ejections: 1, enforced: false, secs_since_last_action: '15', timestamp: '1970-01-01T00:00:16.000Z' },
      { ...gateway, num_ejections: 1, secs_since_last_action: '0', timestamp: '1970-01-01T00:00:16.000Z' },
      { ...eject, num_ejections: 2, secs_since_last_action: '0', timestamp: '1970-01-01T00:00:16.000Z' },
    ]);
  }); // prettier-ignore

  it('tells of what is not enforced, and by which rates', () => {
    const rates = { consecutive_5xx: 0, consecutive_gateway_failure: 0, interval: '10s', success_rate_request_volume: 10 };
    const bench = new OutlierBench(5, { ...rates, enforcing_success_rate: 0 });
    for (let index = 0; index < 5; index++) bench.end(index, ...Array<number>(10).fill(index === 4 ? 503 : 200));
    bench.pass(10_000);
    expect(bench.events.map(({ type, enforced, ...event }) => [type, enforced, event['eject_success_rate_event']])).toEqual([
      ['SUCCESS_RATE', false, { host_success_rate: 0, cluster_average_success_rate: 80, cluster_success_rate_ejection_threshold: 4 }],
    ]);
    const hosts = bench.cluster.endpoints.map((endpoint) => bench.watch.detectorOf(bench.cluster.name)?.hostOf(endpoint));
    expect(hosts.map((host) => host?.successRate)).toEqual([100, 100, 100, 100, 0]);
    bench.pass(10_000);
    expect(hosts.map((host) => host?.successRate)).toEqual([-1, -1, -1, -1, -1]);
  }); // prettier-ignore
});
