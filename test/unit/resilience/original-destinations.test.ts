// Where an ORIGINAL_DST cluster sends an exchange, which endpoints it remembers and for how long, and which
// address its connections are dialled from.
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import type { Endpoint } from '../../../src/plan/cluster.ts';
import type { Exchange } from '../../../src/plan/exchange.ts';
import { DESTINATIONS_MAX, OriginalDestinations } from '../../../src/resilience/original-destinations.ts';
import { sourceAddressFor } from '../../../src/resilience/upstream-bind.ts';
import { anExchange } from '../observe/exchange-builder.ts';
import { aBench, authorities, compiled, removals, settingsOf, started } from './cluster-builders.ts';

const CLUSTER = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' };

const restored = (localAddress: string, localPort = 80): Exchange =>
  anExchange({ connection: { isRestored: true, localAddress, localPort } });

function named(header: string): Exchange {
  const x = restored('10.0.0.1');
  x.request.set(internHeader('x-envoy-original-dst-host'), header);
  return x;
}

describe('an ORIGINAL_DST cluster', () => {
  const withHeader = { ...CLUSTER, original_dst_lb_config: { use_http_header: true } };
  const withPort = { ...CLUSTER, original_dst_lb_config: { upstream_port_override: 81 } };
  it.each([
    { says: 'an IPv4 destination', given: CLUSTER, x: restored('10.0.0.1'), to: '10.0.0.1:80' },
    { says: 'an IPv6 destination', given: CLUSTER, x: restored('fd00::1'), to: '[fd00::1]:80' },
    { says: 'the header that it asks for', given: withHeader, x: named('10.0.0.2:8080'), to: '10.0.0.2:8080' },
    { says: 'an IPv6 address in the header', given: withHeader, x: named('[fd00::2]:8080'), to: '[fd00::2]:8080' },
    { says: 'the destination when the header is no address', given: withHeader, x: named('b:80'), to: '10.0.0.1:80' },
    {
      says: 'the destination when the header has port 0',
      given: withHeader,
      x: named('10.0.0.2:0'),
      to: '10.0.0.1:80',
    },
    { says: 'the destination whatever a header says', given: CLUSTER, x: named('10.0.0.2:8080'), to: '10.0.0.1:80' },
    { says: 'the fixed port', given: withPort, x: restored('10.0.0.1'), to: '10.0.0.1:81' },
    {
      says: 'nobody when the connection was not redirected',
      given: CLUSTER,
      x: anExchange({ connection: { isRestored: false, localAddress: '10.0.0.1', localPort: 15_001 } }),
      to: undefined,
    },
    { says: 'nobody without a client', given: CLUSTER, x: null, to: undefined },
  ])('sends to $says', ({ given, x, to }) => {
    const cluster = started(given);
    expect(cluster.isWarm).toBe(true);
    expect(cluster.picker.pick(x)?.authority).toBe(to);
  });

  it('keeps one endpoint for one destination', () => {
    const cluster = started(CLUSTER);
    const first = cluster.picker.pick(restored('10.0.0.1'));
    expect(cluster.picker.pick(restored('10.0.0.1'))).toBe(first);
    expect(cluster.endpoints).toEqual([first]);
    const second = cluster.picker.pick(restored('10.0.0.1', 81));
    expect(second?.authority).toBe('10.0.0.1:81');
    expect(cluster.endpoints).toEqual([first, second]);
  });

  it('forgets endpoints that were not used for a whole cleanup interval, and tells who left', async () => {
    const bench = aBench();
    const cluster = started({ ...CLUSTER, cleanup_interval: '2s' }, bench);
    const told = removals(cluster);
    const busy = cluster.picker.pick(restored('10.0.0.1'));
    cluster.picker.pick(restored('10.0.0.2'));
    if (busy !== null) busy.active = 1;
    expect(bench.delays.waiting).toEqual([2000]);
    await bench.delays.pass();
    expect(told).toEqual([]);
    await bench.delays.pass();
    expect(told).toEqual([['10.0.0.2:80']]);
    if (busy !== null) busy.active = 0;
    await bench.delays.pass();
    expect(told).toEqual([['10.0.0.2:80'], ['10.0.0.1:80']]);
    expect(cluster.endpoints).toEqual([]);
    expect(bench.delays.waiting).toEqual([]);
    cluster.picker.pick(restored('10.0.0.1'));
    expect(bench.delays.waiting).toEqual([2000]);
  });

  it('gives up its endpoints when it ends or becomes another kind', () => {
    const cluster = started(CLUSTER);
    const told = removals(cluster);
    cluster.picker.pick(restored('10.0.0.1'));
    cluster.update(settingsOf());
    expect(told.flat()).toEqual(['10.0.0.1:80']);
    expect(authorities(cluster.endpoints)).toEqual(['127.0.0.1:80']);
    expect(cluster.picker.pick(restored('10.0.0.1'))?.authority).toBe('127.0.0.1:80');
  });

  it('remembers no more destinations than it may, and drops the ones at rest', () => {
    const destinations = new OriginalDestinations({
      header: internHeader('x-to'),
      portOverride: 0,
      sourceFor: () => '',
      onFirst: () => {},
    });
    const pick = (number: number): Endpoint | null =>
      destinations.pick(restored(`10.1.${number >> 8}.${number & 255}`));
    const busy = pick(0);
    if (busy !== null) busy.active = 1;
    for (let i = 1; i < DESTINATIONS_MAX; i++) pick(i);
    expect(destinations.endpoints).toHaveLength(DESTINATIONS_MAX);
    expect(pick(DESTINATIONS_MAX)).not.toBeNull();
    expect(destinations.endpoints).toHaveLength(2);
    expect(destinations.endpoints[0]).toBe(busy);
  });

  it.each([
    {
      given: { ...CLUSTER, load_assignment: { cluster_name: 'c' } },
      problem: 'load_assignment: an ORIGINAL_DST cluster has no endpoints of its own; remove it',
    },
    {
      given: { type: 'ORIGINAL_DST' },
      problem: 'lb_policy: an ORIGINAL_DST cluster provides its own balancer; write CLUSTER_PROVIDED',
    },
    {
      given: { ...CLUSTER, original_dst_lb_config: { upstream_port_override: 65_536 } },
      problem: 'original_dst_lb_config.upstream_port_override: 65536 is not a port; write 1 to 65535',
    },
    {
      given: { ...CLUSTER, original_dst_lb_config: { http_header_name: 'x-to' } },
      problem:
        'original_dst_lb_config.http_header_name: names a header that is not used; write use_http_header: true beside it',
    },
    {
      given: { upstream_bind_config: { source_address: { address: 'localhost', port_value: 0 } } },
      problem: 'upstream_bind_config.source_address.address: "localhost" is not an IP address; write an IP address',
    },
    {
      given: { upstream_bind_config: { source_address: { address: '127.0.0.6', port_value: 7 } } },
      problem: 'upstream_bind_config.source_address.port_value: a fixed source port is not supported; write 0',
    },
  ])('is refused for $problem', ({ given, problem }) => {
    const { settings, problems } = compiled(given);
    expect(settings).toBeNull();
    expect(problems.map(formatProblem)).toEqual([`clusters[0].${problem}`]);
  });

  it('dials from the address of the same family', () => {
    const bind = {
      source_address: { address: '127.0.0.6', port_value: 0 },
      extra_source_addresses: [{ address: { address: '::6', port_value: 0 } }],
    };
    const cluster = started({ ...CLUSTER, upstream_bind_config: bind });
    expect(cluster.picker.pick(restored('10.0.0.1'))?.sourceAddress).toBe('127.0.0.6');
    expect(cluster.picker.pick(restored('fd00::1'))?.sourceAddress).toBe('::6');
    const fixed = started({ upstream_bind_config: bind });
    expect(fixed.endpoints[0]?.sourceAddress).toBe('127.0.0.6');
    fixed.update(settingsOf());
    expect(fixed.endpoints[0]?.sourceAddress).toBe('');
    expect(sourceAddressFor(['127.0.0.6'], 'fd00::1')).toBe('127.0.0.6');
    expect(sourceAddressFor(['127.0.0.6'], '/run/app.sock')).toBe('');
  });
});
