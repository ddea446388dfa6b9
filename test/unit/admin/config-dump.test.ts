// `/config_dump`: sections and their order, resources under proto field names, refusals beside what is
// in force, and the three parameters that narrow a dump. Shapes are those of a real Envoy 1.40.
// Asked without HTTP: the server is tested elsewhere.
import { describe, expect, it } from 'vitest';
import { configDump } from '../../../src/sidecar/admin/config-dump.ts';
import type { RefusedResource } from '../../../src/sidecar/admin/source.ts';
import { aSource, UPDATED_MS } from './admin-source-builder.ts';

const last_updated = '2026-01-02T03:04:05.006Z';
const ADMIN = 'type.googleapis.com/envoy.admin.v3';
const EDS_CLUSTER = {
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name: 'outbound|80||a.test',
  type: 'EDS',
  eds_cluster_config: { service_name: 'a', eds_config: { ads: {} } },
};

function dump(query: string, refused: readonly RefusedResource[] = []) {
  const { source } = aSource(refused);
  const answer = configDump.answer({ source, query: new Map(new URLSearchParams(query)), pairs: [], accept: '' });
  const body: unknown = answer.contentType === 'application/json' ? JSON.parse(answer.body) : answer.body;
  return { status: answer.status, body };
}

function section(query: string, type: string, refused: readonly RefusedResource[] = []): unknown {
  const { body } = dump(query, refused);
  const configs: unknown = typeof body === 'object' && body !== null && 'configs' in body ? body.configs : [];
  return Array.isArray(configs)
    ? configs.find((one: { '@type': string }) => one['@type'] === `${ADMIN}.${type}`)
    : null;
}

function sectionTypes(query: string): readonly string[] {
  const { body } = dump(query);
  return [...JSON.stringify(body).matchAll(/"@type":"type\.googleapis\.com\/envoy\.admin\.v3\.(\w+)"/g)].map(
    ([, type = '']) => type,
  );
}

describe('/config_dump', () => {
  it('has the sections of Envoy in its order', () => {
    const all = ['BootstrapConfigDump', 'ClustersConfigDump', 'ListenersConfigDump', 'ScopedRoutesConfigDump'];
    expect(sectionTypes('')).toEqual([...all, 'RoutesConfigDump', 'SecretsConfigDump']);
  });

  it('adds endpoints after clusters when asked', () => {
    expect(sectionTypes('include_eds').slice(0, 3)).toEqual([
      'BootstrapConfigDump',
      'ClustersConfigDump',
      'EndpointsConfigDump',
    ]);
  });

  it('writes dynamic clusters as they were received, under proto field names', () => {
    expect(section('name_regex=outbound', 'ClustersConfigDump')).toEqual({
      '@type': `${ADMIN}.ClustersConfigDump`,
      version_info: '7',
      dynamic_active_clusters: [{ version_info: '7', cluster: EDS_CLUSTER, last_updated, client_status: 'ACKED' }],
    });
  });

  it('shows what was refused beside what is in force', () => {
    const refusal: RefusedResource = {
      kind: 'cluster',
      name: 'outbound|80||a.test',
      version: '9',
      details: 'why',
      attemptedMs: UPDATED_MS,
    };
    expect(section('name_regex=outbound', 'ClustersConfigDump', [refusal])).toMatchObject({
      dynamic_active_clusters: [
        {
          version_info: '7',
          client_status: 'NACKED',
          error_state: { last_update_attempt: last_updated, details: 'why', version_info: '9' },
        },
      ],
    });
  });

  it('writes endpoints: EDS answers as received, others as the assignment that would give them', () => {
    expect(section('include_eds', 'EndpointsConfigDump')).toMatchObject({
      static_endpoint_configs: [
        {
          endpoint_config: {
            cluster_name: 'c1',
            endpoints: [
              {
                locality: { region: 'r', zone: 'z', sub_zone: 's' },
                lb_endpoints: [
                  {
                    endpoint: {
                      hostname: 'hh',
                      address: { socket_address: { address: '127.0.0.1', port_value: 39472 } },
                    },
                    health_status: 'HEALTHY',
                    load_balancing_weight: 3,
                  },
                  { endpoint: { address: { pipe: { path: '/tmp/x.sock' } } }, health_status: 'DEGRADED' },
                ],
              },
              { priority: 1, lb_endpoints: [{ health_status: 'UNHEALTHY' }] },
            ],
          },
        },
      ],
      dynamic_endpoint_configs: [{ version_info: '8', endpoint_config: { cluster_name: 'a' }, last_updated }],
    });
  });

  it('picks one repeated field by resource, and masks each element', () => {
    expect(dump('resource=static_clusters&mask=cluster.name,last_updated').body).toEqual({
      configs: [
        {
          '@type': `${ADMIN}.ClustersConfigDump.StaticCluster`,
          cluster: { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: 'c1' },
          last_updated,
        },
      ],
    });
  });

  it('finds endpoints by resource without being asked to include them', () => {
    expect(dump('resource=dynamic_endpoint_configs&mask=version_info').body).toEqual({
      configs: [{ '@type': `${ADMIN}.EndpointsConfigDump.DynamicEndpointConfig`, version_info: '8' }],
    });
  });

  it('answers an empty resource with nothing, and an unknown one with 404', () => {
    expect(dump('resource=dynamic_listeners')).toEqual({ status: 200, body: {} });
    expect(dump('resource=bogus')).toEqual({ status: 404, body: 'bogus not found in config dump\n' });
  });

  it('masks whole sections without resource', () => {
    expect(section('mask=static_route_configs', 'RoutesConfigDump')).toEqual({
      '@type': `${ADMIN}.RoutesConfigDump`,
      static_route_configs: [
        {
          route_config: { '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration', name: 'r1' },
          last_updated,
        },
      ],
    });
  });
});
