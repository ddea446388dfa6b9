// What route configurations say of HTTP filters: which settings win, and what a filter is told that looks at
// the route itself. The filter under test is made here: its steps say what it was asked.
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { StructSchema, anyUnpack, type Any } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { error } from '../../../src/base/problem.ts';
import { clusterId } from '../../../src/base/brand.ts';
import { CONTINUE, type CompileEnv, type PlanPart } from '../../../src/plan/plan.ts';
import type { HttpFilter } from '../../../src/plan/http-filter.ts';
import { step } from '../../../src/plan/step.ts';
import { extensions } from '../../../src/sidecar/bootstrap-registry.ts';
import { FilterSettings } from '../../../src/sidecar/filter-settings.ts';
import { RouteConfigurationSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_pb.js';

const env: CompileEnv = {
  problems: [],
  clusterRef: (name) => new ClusterRef(clusterId(name)),
  random: () => 0,
  runtimeNumber: (_key, fallback) => fallback,
};

function partNamed(name: string): PlanPart {
  return { onRequest: [step(name, '', () => CONTINUE, null)] };
}

function textOf(any: Any | undefined): string {
  const struct = any === undefined ? undefined : anyUnpack(any, StructSchema);
  const kind = struct?.fields['is']?.kind;
  return kind?.case === 'stringValue' ? kind.value : '';
}

/** Says in the name of its step what it was given. */
const CURIOUS: HttpFilter = {
  part: partNamed('no route'),
  withSettings: (any) => partNamed(textOf(any)),
  onRoute: ({ route, host, path, hostPath }, settings) =>
    partNamed(
      `${host.name}/${route.name} ${path} ${hostPath} ${textOf(settings?.any)} of ${settings?.place ?? 'nobody'}`,
    ),
};

function settings(text: string): JsonObject {
  return { curious: { '@type': 'type.googleapis.com/google.protobuf.Struct', value: { is: text } } };
}

const OFF: JsonObject = {
  curious: { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', disabled: true },
};

const CONFIG = fromJson(
  RouteConfigurationSchema,
  {
    name: 'routes',
    virtual_hosts: [
      {
        name: 'one',
        domains: ['*'],
        typed_per_filter_config: settings('host'),
        routes: [
          { name: 'plain', match: { prefix: '/a' }, route: { cluster: 'a' } },
          { name: 'own', match: { prefix: '/b' }, route: { cluster: 'a' }, typed_per_filter_config: settings('route') },
          { name: 'off', match: { prefix: '/c' }, route: { cluster: 'a' }, typed_per_filter_config: OFF },
          {
            match: { prefix: '/d' },
            route: {
              weighted_clusters: {
                clusters: [
                  { name: 'a', weight: 1 },
                  { name: 'b', weight: 1, typed_per_filter_config: settings('entry') },
                ],
              },
            },
          },
        ],
      },
      { name: 'two', domains: ['two'], routes: [{ name: 'bare', match: { prefix: '/' }, route: { cluster: 'a' } }] },
    ],
  },
  { registry: extensions },
);

function stepsOf(filter: HttpFilter, host: number, route: number): readonly string[] {
  const filters = new FilterSettings([{ name: 'curious', filter, isOff: false }], CONFIG, env);
  const virtualHost = CONFIG.virtualHosts[host];
  const parts = filters.partsOf(virtualHost?.routes[route] ?? null, virtualHost ?? null);
  return parts.flatMap((part) => (part.onRequest ?? []).map(({ name }) => name));
}

test.each([
  [0, 0, ['one/plain virtual_hosts[0].routes[0] virtual_hosts[0] host of routes/one']],
  [0, 1, ['one/own virtual_hosts[0].routes[1] virtual_hosts[0] route of routes/one/own']],
  [0, 2, []],
  [
    0,
    3,
    [
      'one/ virtual_hosts[0].routes[3] virtual_hosts[0] host of routes/one',
      'one/ virtual_hosts[0].routes[3] virtual_hosts[0] entry of routes/one/3/1',
    ],
  ],
  [1, 0, ['two/bare virtual_hosts[1].routes[0] virtual_hosts[1]  of nobody']],
])('a filter that looks at routes makes its steps for route %i.%i with the settings that win', (host, route, steps) => {
  expect(stepsOf(CURIOUS, host, route)).toEqual(steps);
});

test('a filter that does not look at routes gives the steps of its settings', () => {
  const plain: HttpFilter = { part: CURIOUS.part, withSettings: CURIOUS.withSettings };
  expect([0, 1, 2].map((route) => stepsOf(plain, 0, route))).toEqual([['host'], ['route'], []]);
});

test('requests without a route have the steps of the filter itself', () => {
  const filters = new FilterSettings([{ name: 'curious', filter: CURIOUS, isOff: false }], CONFIG, env);
  expect(filters.partsOf(null, null)).toEqual([CURIOUS.part]);
});

test('a refused route leaves the filter out, and its Problem stands in the configuration', () => {
  const own: CompileEnv = { ...env, problems: [] };
  const refusing: HttpFilter = {
    ...CURIOUS,
    onRoute: ({ path }, _settings, { problems }) => {
      problems.push(error(path, 'no'));
      return null;
    },
  };
  const filters = new FilterSettings([{ name: 'curious', filter: refusing, isOff: false }], CONFIG, own);
  const [host] = CONFIG.virtualHosts;
  expect(filters.partsOf(host?.routes[0] ?? null, host ?? null)).toEqual([]);
  expect(own.problems.map(({ path }) => path)).toEqual(['virtual_hosts[0].routes[0]']);
});
