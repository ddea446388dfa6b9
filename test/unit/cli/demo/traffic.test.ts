// The table's figures against scrapes written by hand: rates, shares, quantiles and who counts as a caller.
import { describe, expect, it } from 'vitest';
import { parsePrometheusText } from '../../../../src/cli/demo/prometheus-text.ts';
import { drawTable, plainPaint } from '../../../../src/cli/demo/table.ts';
import { quantile, tally, trafficBetween, type Scrape } from '../../../../src/cli/demo/traffic.ts';

function frontendScrape(v1: number, v2: number, failed: number): Scrape {
  const to = 'destination_service_name="reviews",reporter="source",source_workload="frontend"';
  const text = `
# TYPE istio_requests_total counter
istio_requests_total{${to},destination_version="v1",response_code="200"} ${v1}
istio_requests_total{${to},destination_version="v2",response_code="200"} ${v2}
istio_requests_total{${to},destination_version="v2",response_code="503"} ${failed}
istio_request_duration_milliseconds_bucket{${to},destination_version="v1",le="5"} ${v1 / 2}
istio_request_duration_milliseconds_bucket{${to},destination_version="v1",le="10"} ${v1}
istio_request_duration_milliseconds_bucket{${to},destination_version="v1",le="+Inf"} ${v1}
istio_requests_total{reporter="destination",source_workload="unknown",destination_service_name="frontend",destination_version="v1",response_code="200"} ${v1 + v2}
istio_requests_total{reporter="destination",source_workload="gateway",destination_service_name="frontend",destination_version="v1",response_code="200"} 5
envoy_cluster_upstream_rq_total{} 3
`;
  return { service: 'frontend', samples: parsePrometheusText(text, 'istio_') };
}

describe('prometheus text', () => {
  it('reads names, escaped labels, infinities and skips what is none', () => {
    const samples = parsePrometheusText(
      'a{b="x\\"y\\\\z\\n"} 1\n# HELP a b\nc +Inf\nd 3e2 1700000000\nbroken{ 1\ne{f="g"} nothing\n',
    );
    expect(samples).toEqual([
      { name: 'a', labels: new Map([['b', 'x"y\\z\n']]), value: 1 },
      { name: 'c', labels: new Map(), value: Infinity },
      { name: 'd', labels: new Map(), value: 300 },
    ]);
  });
});

describe('traffic between two tallies', () => {
  it('gives rate, share and statuses per version, visitors first', () => {
    const earlier = tally(1_000, [frontendScrape(100, 10, 0)]);
    const later = tally(3_000, [frontendScrape(280, 28, 2)]);
    const rows = trafficBetween(earlier, later, ['frontend', 'reviews']);
    expect(rows).toEqual([
      {
        from: 'visitors',
        to: 'frontend',
        version: 'v1',
        rate: 99,
        share: 1,
        statuses: [['200', 198]],
        p50Ms: NaN,
        p99Ms: NaN,
      },
      {
        from: 'frontend',
        to: 'reviews',
        version: 'v1',
        rate: 90,
        share: 0.9,
        statuses: [['200', 180]],
        p50Ms: 5,
        p99Ms: expect.closeTo(9.9, 6),
      },
      {
        from: 'frontend',
        to: 'reviews',
        version: 'v2',
        rate: 10,
        share: 0.1,
        statuses: [
          ['200', 18],
          ['503', 2],
        ],
        p50Ms: NaN,
        p99Ms: NaN,
      },
    ]);
  });

  it('does not take calls inside the mesh for visitors where they arrive', () => {
    const arrived = 'istio_requests_total{reporter="destination",source_workload="unknown",response_code="200"} 7';
    const reviews: Scrape = { service: 'reviews', samples: parsePrometheusText(arrived) };
    const rows = trafficBetween(tally(0, []), tally(1_000, [frontendScrape(1, 0, 0), reviews]), []);
    expect(rows.map(({ from, to }) => `${from} ${to}`)).toEqual(['visitors frontend', 'frontend reviews']);
  });

  it('counts a counter that went back as one that started anew', () => {
    const rows = trafficBetween(tally(0, [frontendScrape(100, 0, 0)]), tally(1_000, [frontendScrape(40, 0, 0)]), []);
    expect(rows.find((row) => row.to === 'reviews')?.rate).toBe(40);
  });

  it('shows no row for a call that did not happen in between', () => {
    const scrape = frontendScrape(100, 10, 0);
    expect(trafficBetween(tally(0, [scrape]), tally(1_000, [scrape]), [])).toEqual([]);
  });
});

describe('quantile', () => {
  const table = [
    {
      title: 'inside a bucket',
      buckets: [
        [10, 50],
        [20, 100],
        [Infinity, 100],
      ],
      share: 0.75,
      expected: 15,
    },
    {
      title: 'at a bound',
      buckets: [
        [10, 50],
        [20, 100],
        [Infinity, 100],
      ],
      share: 0.5,
      expected: 10,
    },
    {
      title: 'beyond the last bound',
      buckets: [
        [10, 1],
        [Infinity, 100],
      ],
      share: 0.99,
      expected: 10,
    },
    { title: 'nothing counted', buckets: [[10, 0]], share: 0.5, expected: NaN },
  ] as const;
  for (const { title, buckets, share, expected } of table) {
    it(`is ${expected} ${title}`, () => {
      expect(quantile(new Map(buckets.map(([bound, count]) => [bound, count])), share)).toBe(expected);
    });
  }
});

describe('the table', () => {
  it('names a caller once and aligns what belongs together', () => {
    const rows = trafficBetween(tally(0, [frontendScrape(0, 0, 0)]), tally(1_000, [frontendScrape(90, 9, 1)]), [
      'frontend',
      'reviews',
    ]);
    expect(drawTable(rows, plainPaint)).toEqual([
      'from       to         version      rate   share                             p50       p99  status',
      'visitors   frontend   v1           99/s   100 % ████████████████████          -         -  200',
      'frontend   reviews    v1           90/s    90 % ██████████████████░░     5.0 ms    9.9 ms  200',
      '                      v2           10/s    10 % ██░░░░░░░░░░░░░░░░░░          -         -  200×9 503×1',
    ]);
  });

  it('says so when there is nothing to show', () => {
    expect(drawTable([], plainPaint).at(-1)).toBe('no requests yet');
  });
});
