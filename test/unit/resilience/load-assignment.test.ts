// compileLoadAssignment: everything that an assignment can say of an endpoint,
// and every way in which one is refused,
// with the path of the field.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/base/problem.ts';
import type { ConfiguredHealth, EndpointTarget } from '../../../src/resilience/cluster-settings.ts';
import { compileLoadAssignment, type AddressKind } from '../../../src/resilience/load-assignment.ts';
import { anAssignment, lbEndpoint } from './cluster-builders.ts';

function compile(json: JsonObject, kind: AddressKind = 'ip') {
  const problems: Problem[] = [];
  const targets = compileLoadAssignment(anAssignment(json), kind, problems, 'a');
  return { targets, problems: problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`) };
}

function inOneLocality(...lbEndpoints: readonly JsonObject[]): JsonObject {
  return { cluster_name: 'c', endpoints: [{ lb_endpoints: [...lbEndpoints] }] };
}

const AT = 'a.endpoints[0].lb_endpoints[0]';

describe('compileLoadAssignment', () => {
  it('lays endpoints out in configuration order with everything that is said of them', () => {
    const { targets, problems } = compile({
      cluster_name: 'c',
      endpoints: [
        {
          locality: { region: 'r', zone: 'z', sub_zone: 's' },
          load_balancing_weight: 4,
          priority: 1,
          lb_endpoints: [
            {
              endpoint: {
                hostname: 'h',
                address: { socket_address: { address: '10.0.0.1', port_value: 81 } },
              },
              health_status: 'DEGRADED',
              load_balancing_weight: 9,
              metadata: {
                filter_metadata: {
                  istio: { workload: 'reviews-v1;default;reviews;v1;Kubernetes' },
                  'envoy.lb': { stage: 'x', nested: { a: 'b' }, count: 3 },
                },
              },
            },
          ],
        },
        { lb_endpoints: [{ endpoint: { address: { pipe: { path: '/run/app.sock' } } } }, lbEndpoint(82, {}, '::1')] },
      ],
    });
    const plain = {
      hostname: '',
      weight: 1,
      health: 'healthy',
      locality: { region: '', zone: '', subZone: '' },
      localityWeight: 0,
      priority: 0,
      metadata: new Map(),
      transportMatch: new Map(),
    };
    expect(problems).toEqual([]);
    expect(targets).toEqual([
      {
        address: '10.0.0.1',
        port: 81,
        hostname: 'h',
        weight: 9,
        health: 'degraded',
        locality: { region: 'r', zone: 'z', subZone: 's' },
        localityWeight: 4,
        priority: 1,
        metadata: new Map([
          ['stage', 'x'],
          ['count', '3'],
          ['workload', 'reviews-v1'],
          ['namespace', 'default'],
          ['canonical_service', 'reviews'],
          ['canonical_revision', 'v1'],
          ['cluster', 'Kubernetes'],
        ]),
        transportMatch: new Map(),
        labels: { stage: 'x', count: 3, nested: { a: 'b' } },
      },
      { ...plain, address: '/run/app.sock', port: 0 },
      { ...plain, address: '::1', port: 82 },
    ]);
  });

  it.each<{ readonly status: string; readonly health: ConfiguredHealth }>([
    { status: 'UNKNOWN', health: 'healthy' },
    { status: 'HEALTHY', health: 'healthy' },
    { status: 'UNHEALTHY', health: 'unhealthy' },
    { status: 'DRAINING', health: 'draining' },
    { status: 'TIMEOUT', health: 'timeout' },
    { status: 'DEGRADED', health: 'degraded' },
  ])('reads $status as $health', ({ status, health }) => {
    const { targets } = compile(inOneLocality(lbEndpoint(80, { health_status: status })));
    expect(targets?.map((target: EndpointTarget) => target.health)).toEqual([health]);
  });

  it('accepts an assignment without endpoints', () => {
    expect(compile({ cluster_name: 'c' })).toEqual({ targets: [], problems: [] });
  });

  it('accepts names where names are wanted', () => {
    expect(compile(inOneLocality(lbEndpoint(80, {}, 'a.test')), 'name').targets).toHaveLength(1);
  });

  it.each([
    { given: { endpoints: [] }, problem: 'error a.cluster_name: a load assignment needs a cluster name' },
    { given: inOneLocality({}), problem: `error ${AT}.endpoint.address: the address is missing` },
    {
      given: inOneLocality({ endpoint: { address: {} } }),
      problem: `error ${AT}.endpoint.address.socket_address: the address is missing`,
    },
    {
      given: inOneLocality(lbEndpoint(80, {}, '10.0.0.256')),
      problem: `error ${AT}.endpoint.address.socket_address.address: malformed IP address: 10.0.0.256`,
    },
    {
      given: inOneLocality(lbEndpoint(80, {}, '')),
      problem: `error ${AT}.endpoint.address.socket_address.address: the address is missing`,
    },
    {
      given: inOneLocality({ endpoint: { address: { socket_address: { address: '1.2.3.4' } } } }),
      problem: `error ${AT}.endpoint.address.socket_address.port_value: the port is missing`,
    },
    {
      given: inOneLocality({ endpoint: { address: { socket_address: { address: '1.2.3.4', named_port: 'http' } } } }),
      problem: `error ${AT}.endpoint.address.socket_address.named_port: named ports cannot be resolved`,
    },
    {
      given: inOneLocality({
        endpoint: { address: { socket_address: { address: '1.2.3.4', port_value: 53, protocol: 'UDP' } } },
      }),
      problem: `error ${AT}.endpoint.address.socket_address.protocol: UDP is not supported`,
    },
    {
      given: inOneLocality({ endpoint: { address: { pipe: {} } } }),
      problem: `error ${AT}.endpoint.address.pipe.path: the path is missing`,
    },
    {
      given: inOneLocality({ endpoint_name: 'x' }),
      problem: `error ${AT}.endpoint_name: named endpoints are not supported`,
    },
    {
      given: { cluster_name: 'c', endpoints: [{ priority: 129 }] },
      problem: 'error a.endpoints[0].priority: priority 129 is over 128',
    },
    {
      given: { cluster_name: 'c', endpoints: [{ load_balancing_weight: 0 }] },
      problem: 'error a.endpoints[0].load_balancing_weight: a locality weight must be at least 1',
    },
    {
      given: inOneLocality(
        lbEndpoint(80, { load_balancing_weight: 4_294_967_295 }),
        lbEndpoint(81, { load_balancing_weight: 1 }),
      ),
      problem: 'error a.endpoints[0]: the endpoint weights of a locality add up to 4294967296, over 4294967295',
    },
    {
      given: { cluster_name: 'c', endpoints: [{ load_balancing_weight: 4_294_967_295 }, { load_balancing_weight: 1 }] },
      problem: 'error a.endpoints: the locality weights of priority 0 add up to 4294967296, over 4294967295',
    },
  ])('refuses: $problem', ({ given, problem }) => {
    expect(compile(given)).toEqual({ targets: null, problems: [problem] });
  });
});
