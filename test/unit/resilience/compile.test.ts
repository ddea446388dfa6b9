// compileCluster over tables: every default, every field that counts, every Problem with its path and
// remedy, and every balancer in both of its spellings.
// Load assignments have a file of their own.
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import type { Balancing, ClusterSettings } from '../../../src/resilience/cluster-settings.ts';
import { aCluster, assignmentJson, compiled, lbEndpoint, settingsOf } from './cluster-builders.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function httpOptions(options: JsonObject): JsonObject {
  const any = { '@type': `type.googleapis.com/${HTTP_OPTIONS}`, ...options };
  return { typed_extension_protocol_options: { [HTTP_OPTIONS]: any } };
}

function policies(...names: readonly (readonly [string, JsonObject?])[]): JsonObject {
  const list = names.map(([name, config = {}]) => ({
    typed_extension_config: {
      name,
      typed_config: { '@type': `type.googleapis.com/envoy.extensions.load_balancing_policies.${name}`, ...config },
    },
  }));
  return { load_balancing_policy: { policies: list } };
}

const NAMED = assignmentJson([lbEndpoint(80, {}, 'backend.test')]);
const ADS = { eds_config: { ads: {} } };

describe('compileCluster', () => {
  it('fills in every default of Envoy', () => {
    const { source, ...settings } = settingsOf();
    expect(source.name).toBe('c');
    expect(settings).toEqual({
      name: 'c',
      statName: 'c',
      discovery: {
        kind: 'static',
        targets: [
          {
            address: '127.0.0.1',
            port: 80,
            hostname: '',
            weight: 1,
            health: 'healthy',
            locality: { region: '', zone: '', subZone: '' },
            localityWeight: 0,
            priority: 0,
            metadata: new Map(),
            transportMatch: new Map(),
          },
        ],
      },
      balancing: { kind: 'round-robin' },
      weighsLocalities: false,
      zoneAware: null,
      assignmentPolicy: { overprovisioningFactor: 140, weighsHealth: false, dropShare: 0 },
      panicThresholdPercent: 50,
      connectTimeoutMs: 5000,
      idleTimeoutMs: 3_600_000,
      maxRequestsPerConnection: 0,
      maxConnectionDurationMs: 0,
      endsTcpOnFailure: false,
      protocol: 'http1',
      sourceAddresses: [],
      metadata: new Map(),
    });
  });

  it.each<{ readonly says: string; readonly given: JsonObject; readonly has: Partial<ClusterSettings> }>([
    { says: 'reads connect_timeout', given: { connect_timeout: '0.25s' }, has: { connectTimeoutMs: 250 } },
    {
      says: 'reads HttpProtocolOptions',
      given: httpOptions({
        common_http_protocol_options: { idle_timeout: '30s', max_requests_per_connection: 7 },
        explicit_http_config: { http_protocol_options: {} },
      }),
      has: { idleTimeoutMs: 30_000, maxRequestsPerConnection: 7, protocol: 'http1' },
    },
    {
      says: 'takes HTTP/1.1 for an empty explicit config',
      given: httpOptions({ explicit_http_config: {} }),
      has: { protocol: 'http1', idleTimeoutMs: 3_600_000 },
    },
    {
      says: 'reads an idle timeout of 0 as never',
      given: httpOptions({ common_http_protocol_options: { idle_timeout: '0s' }, explicit_http_config: {} }),
      has: { idleTimeoutMs: 0 },
    },
    {
      says: 'reads the deprecated fields of the cluster',
      given: { common_http_protocol_options: { idle_timeout: '2s' }, max_requests_per_connection: 3 },
      has: { idleTimeoutMs: 2000, maxRequestsPerConnection: 3 },
    },
    {
      says: 'lets HttpProtocolOptions win over the deprecated fields',
      given: { max_requests_per_connection: 3, ...httpOptions({ explicit_http_config: {} }) },
      has: { maxRequestsPerConnection: 0 },
    },
    {
      says: 'follows the downstream protocol',
      given: httpOptions({ use_downstream_protocol_config: {} }),
      has: { protocol: 'downstream' },
    },
    { says: 'lets ALPN choose', given: httpOptions({ auto_config: {} }), has: { protocol: 'auto' } },
    { says: 'takes alt_stat_name', given: { alt_stat_name: 's' }, has: { statName: 's' } },
    {
      says: 'cuts the panic threshold to a whole percent',
      given: { common_lb_config: { healthy_panic_threshold: { value: 33.9 } } },
      has: { panicThresholdPercent: 33 },
    },
    {
      says: 'switches panic off at 0',
      given: { common_lb_config: { healthy_panic_threshold: {} } },
      has: { panicThresholdPercent: 0 },
    },
    {
      says: 'weighs localities when told to',
      given: { common_lb_config: { locality_weighted_lb_config: {} } },
      has: { weighsLocalities: true },
    },
    {
      says: 'reads zone awareness',
      given: {
        common_lb_config: {
          zone_aware_lb_config: {
            routing_enabled: { value: 40.5 },
            min_cluster_size: '2',
            fail_traffic_on_panic: true,
          },
        },
      },
      has: { zoneAware: { enabledPercent: 40, sizeMin: 2, failsOnPanic: true } },
    },
    {
      says: 'fills in the defaults of zone awareness',
      given: { common_lb_config: { zone_aware_lb_config: {} } },
      has: { zoneAware: { enabledPercent: 100, sizeMin: 6, failsOnPanic: false } },
    },
    {
      says: 'reads the policy of its endpoints',
      given: {
        load_assignment: {
          cluster_name: 'c',
          policy: {
            overprovisioning_factor: 120,
            weighted_priority_health: true,
            drop_overloads: [{ category: 'a', drop_percentage: { numerator: 2500, denominator: 'TEN_THOUSAND' } }],
          },
        },
      },
      has: { assignmentPolicy: { overprovisioningFactor: 120, weighsHealth: true, dropShare: 0.25 } },
    },
    {
      says: 'asks EDS for the cluster name by default',
      given: { type: 'EDS', eds_cluster_config: ADS },
      has: { discovery: { kind: 'eds', serviceName: 'c' } },
    },
    {
      says: 'asks EDS for service_name',
      given: { type: 'EDS', eds_cluster_config: { ...ADS, service_name: 's' } },
      has: { discovery: { kind: 'eds', serviceName: 's' } },
    },
    {
      says: 'flattens the metadata of Istio',
      given: {
        metadata: {
          filter_metadata: {
            istio: {
              services: [{ host: 'a.ns.svc', name: 'a', namespace: 'ns' }, { host: 'b' }],
              subset: 'v1',
              config: '/apis/x',
            },
            'envoy.lb': { stage: 'prod', canary: true },
          },
        },
      },
      has: {
        metadata: new Map([
          ['stage', 'prod'],
          ['host', 'a.ns.svc'],
          ['name', 'a'],
          ['namespace', 'ns'],
          ['subset', 'v1'],
        ]),
      },
    },
  ])('$says', ({ given, has }) => {
    expect(settingsOf(given)).toMatchObject(has);
  });

  it.each<{ readonly given: JsonObject; readonly balancing: Balancing; readonly weighsLocalities?: boolean }>([
    { given: { lb_policy: 'ROUND_ROBIN' }, balancing: { kind: 'round-robin' } },
    { given: { lb_policy: 'RANDOM' }, balancing: { kind: 'random' } },
    {
      given: { lb_policy: 'LEAST_REQUEST' },
      balancing: { kind: 'least-request', choiceCount: 2, activeRequestBias: 1, scansAll: false },
    },
    {
      given: {
        lb_policy: 'LEAST_REQUEST',
        least_request_lb_config: { choice_count: 5, active_request_bias: { default_value: 0.5, runtime_key: 'k' } },
      },
      balancing: { kind: 'least-request', choiceCount: 5, activeRequestBias: 0.5, scansAll: false },
    },
    { given: policies(['round_robin.v3.RoundRobin']), balancing: { kind: 'round-robin' } },
    { given: policies(['random.v3.Random']), balancing: { kind: 'random' } },
    {
      given: policies(['least_request.v3.LeastRequest', { choice_count: 3, selection_method: 'FULL_SCAN' }]),
      balancing: { kind: 'least-request', choiceCount: 3, activeRequestBias: 1, scansAll: true },
    },
    {
      given: policies(['random.v3.Random', { locality_lb_config: { locality_weighted_lb_config: {} } }]),
      balancing: { kind: 'random' },
      weighsLocalities: true,
    },
    {
      given: policies(['wrr_locality.v3.WrrLocality', policiesAs('endpoint_picking_policy', ['random.v3.Random'])]),
      balancing: { kind: 'random' },
      weighsLocalities: true,
    },
    {
      given: { lb_policy: 'RANDOM', ...policies(['round_robin.v3.RoundRobin']) },
      balancing: { kind: 'round-robin' },
    },
  ])('chooses $balancing.kind for %j', ({ given, balancing, weighsLocalities = false }) => {
    const { settings, problems } = compiled(given);
    expect(problems).toEqual([]);
    expect({ balancing: settings?.balancing, weighs: settings?.weighsLocalities }).toEqual({
      balancing,
      weighs: weighsLocalities,
    });
  });

  it('reads the DNS settings', () => {
    const plain = settingsOf({ type: 'STRICT_DNS', load_assignment: NAMED }).discovery;
    expect(plain).toMatchObject({
      kind: 'strict-dns',
      dns: {
        refreshMs: 5000,
        failureBaseMs: 5000,
        failureMaxMs: 5000,
        respectsTtl: false,
        family: 'auto',
        servers: [],
      },
    });
    const full = settingsOf({
      type: 'LOGICAL_DNS',
      load_assignment: NAMED,
      dns_refresh_rate: '1s',
      dns_failure_refresh_rate: { base_interval: '0.2s' },
      respect_dns_ttl: true,
      dns_lookup_family: 'V4_PREFERRED',
      dns_resolution_config: {
        resolvers: [
          { socket_address: { address: '127.0.0.1', port_value: 5353 } },
          { socket_address: { address: '::1', port_value: 0 } },
        ],
      },
    }).discovery;
    expect(full).toMatchObject({
      kind: 'logical-dns',
      target: { address: 'backend.test', port: 80 },
      dns: {
        refreshMs: 1000,
        failureBaseMs: 200,
        failureMaxMs: 2000,
        respectsTtl: true,
        family: 'v4-preferred',
        servers: ['127.0.0.1:5353', '[::1]:53'],
      },
    });
  });

  it.each<{ readonly given: JsonObject; readonly problem: string }>([
    { given: { name: '' }, problem: 'name: a cluster needs a name' },
    { given: { connect_timeout: '0s' }, problem: 'connect_timeout: a duration of 0s is too short; write more than 0s' },
    {
      given: { cluster_type: { name: 'envoy.clusters.redis' } },
      problem:
        'cluster_type: cluster type envoy.clusters.redis is not supported; use type STATIC, STRICT_DNS, LOGICAL_DNS, EDS or ORIGINAL_DST, or envoy.clusters.aggregate',
    },
    {
      given: { type: 'EDS' },
      problem:
        'eds_cluster_config: an EDS cluster does not say where to ask; add eds_cluster_config.eds_config, for example { ads: {} }',
    },
    {
      given: { eds_cluster_config: ADS },
      problem: 'eds_cluster_config: set in a cluster that is not EDS; remove it, or set type EDS',
    },
    {
      given: { load_assignment: NAMED },
      problem:
        'load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: malformed IP address: backend.test; write an IP address, or make the cluster STRICT_DNS or LOGICAL_DNS',
    },
    {
      given: { type: 'LOGICAL_DNS', load_assignment: assignmentJson([lbEndpoint(1, {}, 'a'), lbEndpoint(2, {}, 'b')]) },
      problem:
        'load_assignment.endpoints: a LOGICAL_DNS cluster has exactly one locality with one endpoint; use STRICT_DNS for several names',
    },
    {
      given: { type: 'STRICT_DNS', load_assignment: NAMED, dns_refresh_rate: '0.001s' },
      problem: 'dns_refresh_rate: a duration of 0.001s is too short; write more than 0.001s',
    },
    {
      given: { lb_policy: 'LEAST_REQUEST', least_request_lb_config: { choice_count: 1 } },
      problem: 'least_request_lb_config.choice_count: 1 is too few; write at least 2',
    },
    {
      given: { lb_policy: 'LOAD_BALANCING_POLICY_CONFIG' },
      problem:
        'lb_policy: LOAD_BALANCING_POLICY_CONFIG without load_balancing_policy; add load_balancing_policy, or name a policy here',
    },
    {
      given: { load_balancing_policy: {} },
      problem:
        'load_balancing_policy.policies: no policy is given; use round_robin, least_request, random, ring_hash, maglev or wrr_locality',
    },
    {
      given: { transport_socket: { name: 'envoy.transport_sockets.tls' } },
      problem:
        'transport_socket: transport socket envoy.transport_sockets.tls is not supported; use envoy.transport_sockets.raw_buffer',
    },
    {
      given: { common_lb_config: { healthy_panic_threshold: { value: 101 } } },
      problem: 'common_lb_config.healthy_panic_threshold: 101 is not a percentage; write a value from 0 to 100',
    },
    {
      given: httpOptions({}),
      problem: `typed_extension_protocol_options["${HTTP_OPTIONS}"]: does not say which protocol the upstream speaks; add explicit_http_config: { http_protocol_options: {} }`,
    },
  ])('refuses $problem', ({ given, problem }) => {
    const { settings, problems } = compiled(given);
    expect(settings).toBeNull();
    expect(problems.map(formatProblem)).toEqual([`clusters[0].${problem}`]);
  });

  it('collects every Problem, not only the first', () => {
    const { settings, problems } = compiled({
      connect_timeout: '-1s',
      lb_policy: 'LEAST_REQUEST',
      least_request_lb_config: { choice_count: 0 },
      load_assignment: assignmentJson([
        lbEndpoint(0),
        lbEndpoint(70_000),
        lbEndpoint(80, { load_balancing_weight: 0 }),
      ]),
    });
    expect(settings).toBeNull();
    expect(problems.map(({ path }) => path)).toEqual([
      'clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value',
      'clusters[0].load_assignment.endpoints[0].lb_endpoints[1].endpoint.address.socket_address.port_value',
      'clusters[0].load_assignment.endpoints[0].lb_endpoints[2].load_balancing_weight',
      'clusters[0].least_request_lb_config.choice_count',
      'clusters[0].connect_timeout',
    ]);
  });

  it.each([
    { given: { type: 'STRICT_DNS' }, path: 'load_assignment' },
    {
      given: { load_assignment: assignmentJson([lbEndpoint(0), lbEndpoint(80)]) },
      path: 'load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value',
    },
    {
      given: {
        lb_policy: 'LEAST_REQUEST',
        least_request_lb_config: { active_request_bias: { default_value: -1, runtime_key: 'k' } },
      },
      path: 'least_request_lb_config.active_request_bias',
    },
    { given: { common_lb_config: { update_merge_window: '1s' } }, path: 'common_lb_config.update_merge_window' },
  ])('accepts what is doubtful or comes later with a warning: $path', ({ given, path }) => {
    const { settings, problems } = compiled(given);
    expect(settings).not.toBeNull();
    expect(problems.map(({ severity, path: at }) => `${severity} ${at}`)).toEqual([`warning clusters[0].${path}`]);
  });

  it('accepts a raw buffer and says nothing', () => {
    expect(compiled({ transport_socket: { name: 'envoy.transport_sockets.raw_buffer' } }).problems).toEqual([]);
  });

  it('does not change its input', () => {
    const cluster = aCluster();
    const before = JSON.stringify(cluster);
    settingsOf();
    expect(JSON.stringify(cluster)).toBe(before);
  });
});

function policiesAs(field: string, ...names: readonly (readonly [string, JsonObject?])[]): JsonObject {
  const { load_balancing_policy: policy } = policies(...names);
  return policy === undefined ? {} : { [field]: policy };
}
