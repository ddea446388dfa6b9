// Subsets of a cluster's endpoints: which endpoints a route's metadata reaches, every fallback, and what is
// refused. Rules are Envoy's (Cluster.LbSubsetConfig).
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { fromJson } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { Exchange } from '../../../src/plan/exchange.ts';
import { compileMetadataMatch } from '../../../src/plan/metadata-match.ts';
import { runThrough } from '../../../src/plan/run.ts';
import { subsetSteps } from '../../../src/routing/subset-steps.ts';
import { MetadataSchema } from '../../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { RouteActionSchema } from '../../../src/xds/gen/envoy/config/route/v3/route_components_pb.js';
import { compiled, lbEndpoint, started } from './cluster-builders.ts';

const metadataOf = (labels: JsonObject): JsonObject => ({ filter_metadata: { 'envoy.lb': labels } });

const ENDPOINTS: readonly JsonObject[] = [
  { stage: 'prod', version: '1.0', type: 'std' },
  { stage: 'prod', version: '1.1', type: 'std' },
  { stage: 'prod', version: '1.1', type: 'big' },
  { stage: 'dev', version: '1.2-pre', type: 'std', zones: ['a', 'b'] },
];

function aCluster(config: JsonObject, extra: JsonObject = {}) {
  const lbEndpoints = ENDPOINTS.map((labels, index) => lbEndpoint(1 + index, { metadata: metadataOf(labels) }));
  return started({
    load_assignment: { cluster_name: 'c', endpoints: [{ lb_endpoints: lbEndpoints }] },
    lb_subset_config: config,
    ...extra,
  });
}

/** Ports that are reached, in order; empty: nobody. */
function reached(cluster: ReturnType<typeof aCluster>, wanted: JsonObject | null): readonly number[] {
  const x = new Exchange();
  x.subsetMatch = wanted === null ? null : compileMetadataMatch(fromJson(MetadataSchema, metadataOf(wanted)));
  const ports = new Set(Array.from({ length: 12 }, () => cluster.picker.pick(x)?.port ?? 0));
  return [...ports].filter((port) => port !== 0).toSorted((left, right) => left - right);
}

const BY = (...selectors: readonly (readonly string[])[]): JsonObject => ({
  subset_selectors: selectors.map((keys) => ({ keys: [...keys] })),
});
const DEFAULT = { fallback_policy: 'DEFAULT_SUBSET', default_subset: { stage: 'dev' } };

describe('a subset', () => {
  it.each<{
    readonly says: string;
    readonly config: JsonObject;
    readonly wants: JsonObject | null;
    readonly reaches: readonly number[];
  }>([
    { says: 'has the endpoints with its value', config: BY(['version']), wants: { version: '1.1' }, reaches: [2, 3] },
    {
      says: 'may be of several keys',
      config: BY(['version', 'stage', 'type']),
      wants: { stage: 'prod', type: 'big', version: '1.1' },
      reaches: [3],
    },
    { says: 'is not found by fewer keys', config: BY(['version', 'type']), wants: { version: '1.1' }, reaches: [] },
    { says: 'is not found by more keys', config: BY(['version']), wants: { version: '1.1', type: 'big' }, reaches: [] },
    { says: 'is not found by a value that nobody has', config: BY(['version']), wants: { version: '9' }, reaches: [] },
    { says: 'is not there for a route without metadata', config: BY(['version']), wants: null, reaches: [] },
    {
      says: 'leaves the cluster whole without selectors',
      config: {},
      wants: { version: '1.1' },
      reaches: [1, 2, 3, 4],
    },
    {
      says: 'falls back to any endpoint',
      config: { ...BY(['version']), fallback_policy: 'ANY_ENDPOINT' },
      wants: { version: '9' },
      reaches: [1, 2, 3, 4],
    },
    {
      says: 'falls back for a route without metadata',
      config: { ...BY(['version']), fallback_policy: 'ANY_ENDPOINT' },
      wants: null,
      reaches: [1, 2, 3, 4],
    },
    {
      says: 'falls back to the default subset',
      config: { ...BY(['version']), ...DEFAULT },
      wants: { version: '9' },
      reaches: [4],
    },
    {
      says: 'has nobody when the default subset is empty',
      config: { ...BY(['version']), ...DEFAULT, default_subset: { stage: 'none' } },
      wants: null,
      reaches: [],
    },
    {
      says: 'panics to any endpoint where it is told so',
      config: { ...BY(['version']), ...DEFAULT, default_subset: { stage: 'none' }, panic_mode_any: true },
      wants: null,
      reaches: [1, 2, 3, 4],
    },
    {
      says: 'does not panic without a fallback',
      config: { ...BY(['version']), panic_mode_any: true },
      wants: null,
      reaches: [],
    },
    { says: 'takes a list as one value', config: BY(['zones']), wants: { zones: ['a', 'b'] }, reaches: [4] },
    { says: 'does not find an element of a list', config: BY(['zones']), wants: { zones: 'b' }, reaches: [] },
    {
      says: 'finds an element of a list where it is told so',
      config: { ...BY(['zones']), list_as_any: true },
      wants: { zones: 'b' },
      reaches: [4],
    },
    {
      says: 'has one endpoint where it is told so',
      config: { subset_selectors: [{ keys: ['version'], single_host_per_subset: true }] },
      wants: { version: '1.1' },
      reaches: [2],
    },
  ])('$says', ({ config, wants, reaches }) => {
    expect(reached(aCluster(config), wants)).toEqual(reaches);
  });
});

const selector = (fallback: string, extra: JsonObject = {}): JsonObject => ({
  fallback_policy: 'ANY_ENDPOINT',
  default_subset: { stage: 'dev' },
  subset_selectors: [
    { keys: ['version', 'stage'], fallback_policy: fallback, ...extra },
    { keys: ['stage'], fallback_policy: 'NO_FALLBACK' },
  ],
});
const keys = (...names: readonly string[]): JsonObject => ({ fallback_keys_subset: [...names] });

describe('a selector', () => {
  it.each<{
    readonly says: string;
    readonly config: JsonObject;
    readonly wants: JsonObject;
    readonly reaches: readonly number[];
  }>([
    {
      says: 'without a fallback takes the cluster’s',
      config: selector('NOT_DEFINED'),
      wants: { version: '9', stage: 'prod' },
      reaches: [1, 2, 3, 4],
    },
    { says: 'may have none', config: selector('NO_FALLBACK'), wants: { version: '9', stage: 'prod' }, reaches: [] },
    {
      says: 'may take any endpoint',
      config: selector('ANY_ENDPOINT'),
      wants: { version: '9', stage: 'prod' },
      reaches: [1, 2, 3, 4],
    },
    {
      says: 'may take the default subset',
      config: selector('DEFAULT_SUBSET'),
      wants: { version: '9', stage: 'prod' },
      reaches: [4],
    },
    {
      says: 'may ask again with fewer keys',
      config: selector('KEYS_SUBSET', keys('stage')),
      wants: { version: '9', stage: 'prod' },
      reaches: [1, 2, 3],
    },
    {
      says: 'follows the selector of those keys',
      config: selector('KEYS_SUBSET', keys('stage')),
      wants: { version: '9', stage: 'x' },
      reaches: [],
    },
    {
      says: 'counts for its own keys only',
      config: selector('NO_FALLBACK'),
      wants: { version: '9' },
      reaches: [1, 2, 3, 4],
    },
  ])('$says', ({ config, wants, reaches }) => {
    expect(reached(aCluster(config), wants)).toEqual(reaches);
  });

  it.each<[string, JsonObject]>([
    ['fallback_keys_subset', { keys: ['a', 'b'], fallback_policy: 'KEYS_SUBSET' }],
    ['fallback_keys_subset', { keys: ['a', 'b'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['c'] }],
    ['fallback_keys_subset', { keys: ['a', 'b'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['a', 'b'] }],
    ['single_host_per_subset', { keys: ['a', 'b'], single_host_per_subset: true }],
  ])('is refused with a bad %s', (field, json) => {
    const { settings, problems } = compiled({ lb_subset_config: { subset_selectors: [json] } });
    expect([settings, problems.map(({ path }) => path)]).toEqual([
      null,
      [`clusters[0].lb_subset_config.subset_selectors[0].${field}`],
    ]);
  });
});

const config = (extra: JsonObject = {}): JsonObject => ({ ...BY(['version']), ...extra });

describe('a list of variants', () => {
  const list: JsonValue = [{ version: '9' }, { stage: 'dev', version: null }, { version: '1.0' }];

  it('is tried in order until one has an endpoint', () => {
    const cluster = aCluster(config({ metadata_fallback_policy: 'FALLBACK_LIST' }));
    expect(reached(cluster, { version: '1.1', fallback_list: list })).toEqual([1]);
  });

  it('is metadata like any other where it is not asked for', () => {
    expect(reached(aCluster(config()), { version: '1.1', fallback_list: list })).toEqual([]);
  });

  it('that is empty leaves the metadata as it is', () => {
    const cluster = aCluster(config({ metadata_fallback_policy: 'FALLBACK_LIST' }));
    expect(reached(cluster, { version: '1.1', fallback_list: [] })).toEqual([2, 3]);
  });
});

const actionOf = (json: JsonObject) => fromJson(RouteActionSchema, json);

const wishOf = (json: JsonObject, splitIndex: number): JsonObject | null => {
  const x = new Exchange();
  x.splitIndex = splitIndex;
  runThrough(x, subsetSteps(actionOf(json), 'r'));
  return x.subsetMatch === null ? null : Object.fromEntries(x.subsetMatch.wanted);
};

describe('the metadata of a route', () => {
  const split = {
    weighted_clusters: { clusters: [{ name: 'a', metadata_match: metadataOf({ v: 'split', w: 1 }) }, { name: 'b' }] },
  };

  it('costs no step where there is none', () => {
    expect(subsetSteps(actionOf({ cluster: 'a' }), 'r')).toEqual([]);
  });

  it.each<[string, JsonObject, number, JsonObject | null]>([
    ['is the route’s', { cluster: 'a', metadata_match: metadataOf({ v: 'route' }) }, -1, { v: '"route"' }],
    [
      'is the split’s over the route’s',
      { ...split, metadata_match: metadataOf({ v: 'route', u: true }) },
      0,
      { v: '"split"', w: '1', u: 'true' },
    ],
    [
      'is the route’s where the split has none',
      { ...split, metadata_match: metadataOf({ v: 'route' }) },
      1,
      { v: '"route"' },
    ],
    ['may be of one entry only', split, 1, null],
  ])('%s', (_says, json, splitIndex, wanted) => {
    expect(wishOf(json, splitIndex)).toEqual(wanted);
  });
});

const locality = (zone: string, labels: readonly JsonObject[], port: number): JsonObject => ({
  locality: { zone },
  load_balancing_weight: 4,
  lb_endpoints: labels.map((one, index) => lbEndpoint(port + index, { metadata: metadataOf(one) })),
});

it('scales the weight of a locality by what of it is in the subset', () => {
  const assignment = {
    cluster_name: 'c',
    endpoints: [locality('a', [{ v: 'x' }, { v: 'y' }, { v: 'y' }, { v: 'y' }], 10), locality('b', [{ v: 'x' }], 20)],
  };
  const common = { common_lb_config: { locality_weighted_lb_config: {} }, load_assignment: assignment };
  const sharesOf = (config: JsonObject): number => {
    const cluster = aCluster({ ...BY(['v']), locality_weight_aware: true, ...config }, common);
    const x = new Exchange();
    x.subsetMatch = compileMetadataMatch(fromJson(MetadataSchema, metadataOf({ v: 'x' })));
    return Array.from({ length: 100 }, () => cluster.picker.pick(x)?.port).filter((port) => port === 10).length;
  };
  expect([sharesOf({}), sharesOf({ scale_locality_weight: true })]).toEqual([50, 20]);
});
