// The metrics registry and its two text formats: escaping, histograms, content negotiation, and the
// cap on series that a flood of label sets must not pass.
// Whole expositions are compared.
import { describe, expect, test } from 'vitest';
import { renderMetrics, renderOpenMetrics, renderPrometheus } from '../../../src/observe/exposition.ts';
import { Registry } from '../../../src/observe/registry.ts';

function aRegistry(): Registry {
  const registry = new Registry();
  const requests = registry.family({
    name: 'requests_total',
    help: 'All\nrequests with \\ and "quotes".',
    kind: 'counter',
    labelNames: ['path', 'code'],
  });
  registry.add(requests.slot(['a"b\\c\nd', '200']), 3);
  const bounds = [0.5, 1, 5];
  const duration = registry.family({ name: 'duration', help: 'D.', kind: 'histogram', labelNames: ['code'], bounds });
  for (const value of [0.5, 0.6, 5, 6]) registry.observe(duration.slot(['200']), bounds, value);
  registry.set(registry.gauge('up', 'Up.'), 1);
  return registry;
}

describe('registry', () => {
  test('renders counters, histograms and gauges as Prometheus text, escaped', () => {
    expect(renderPrometheus(aRegistry())).toBe(`# HELP requests_total All\\nrequests with \\\\ and "quotes".
# TYPE requests_total counter
requests_total{path="a\\"b\\\\c\\nd",code="200"} 3
# HELP duration D.
# TYPE duration histogram
duration_bucket{code="200",le="0.5"} 1
duration_bucket{code="200",le="1"} 2
duration_bucket{code="200",le="5"} 3
duration_bucket{code="200",le="+Inf"} 4
duration_sum{code="200"} 12.1
duration_count{code="200"} 4
# HELP up Up.
# TYPE up gauge
up 1
`);
  });

  test('renders OpenMetrics with counter names without _total, canonical bounds and an end', () => {
    expect(renderOpenMetrics(aRegistry())).toBe(`# HELP requests All\\nrequests with \\\\ and \\"quotes\\".
# TYPE requests counter
requests_total{path="a\\"b\\\\c\\nd",code="200"} 3
# HELP duration D.
# TYPE duration histogram
duration_bucket{code="200",le="0.5"} 1
duration_bucket{code="200",le="1.0"} 2
duration_bucket{code="200",le="5.0"} 3
duration_bucket{code="200",le="+Inf"} 4
duration_sum{code="200"} 12.1
duration_count{code="200"} 4
# HELP up Up.
# TYPE up gauge
up 1
# EOF
`);
  });

  test.each([
    ['', 'text/plain; version=0.0.4; charset=utf-8'],
    ['*/*', 'text/plain; version=0.0.4; charset=utf-8'],
    [
      'application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    ],
    ['text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5', 'text/plain; version=0.0.4; charset=utf-8'],
  ])('answers accept %j with %j', (accept, contentType) => {
    expect(renderMetrics(new Registry(), accept).contentType).toBe(contentType);
  });

  test('puts label sets past the cap into one overflow series and counts them', () => {
    const registry = new Registry({ seriesMax: 2 });
    const family = registry.family({ name: 'f_total', help: 'F.', kind: 'counter', labelNames: ['l'] });
    for (let i = 0; i < 100_000; i++) registry.add(family.slot([String(i)]), 1);
    expect(family.series.size).toBe(3);
    expect(registry.values.length).toBe(1024);
    expect(renderPrometheus(registry))
      .toBe(`# HELP outrigger_metrics_overflow_total Label sets that did not fit a full metric family and were counted in its overflow series.
# TYPE outrigger_metrics_overflow_total counter
outrigger_metrics_overflow_total{family="f_total"} 99998
# HELP f_total F.
# TYPE f_total counter
f_total{l="0"} 1
f_total{l="1"} 1
f_total{l="overflow"} 99998
`);
  });

  test('keeps every number when the storage grows', () => {
    const registry = new Registry();
    const family = registry.family({ name: 'f_total', help: 'F.', kind: 'counter', labelNames: ['l'] });
    const slots = Array.from({ length: 3000 }, (_, i) => family.slot([String(i)]));
    slots.forEach((slot, i) => registry.add(slot, i));
    slots.forEach((_, i) => expect(registry.get(family.slot([String(i)]))).toBe(i));
  });
});
