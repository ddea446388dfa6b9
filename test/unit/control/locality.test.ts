// What the localities of a service's endpoints mean for one caller: priorities by distance, by labels and by
// the failover of regions, shares of localities, and which of the settings holds.
import { describe, expect, it } from 'vitest';
import type { LocalitySetting } from '../../../src/config/locality-setting.ts';
import { localityOf } from '../../../src/control/mesh-service.ts';
import type { MeshEndpoint } from '../../../src/control/mesh-service.ts';
import { loadAssignment } from '../../../src/control/translate/endpoints.ts';
import { localityPlan, type LocalityInputs } from '../../../src/control/translate/locality.ts';

const NOTHING: LocalitySetting = { isEnabled: true, distribute: [], failover: [], failoverPriority: [] };
const HERE = 'r1/z1/s1';
const PLACES = ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1', 'r3/z1/s1'];

function endpoint(place: string, labels: Readonly<Record<string, string>> = {}, weight = 1): MeshEndpoint {
  const { region, zone, subZone } = localityOf(place);
  return {
    address: `10.0.0.${weight}`,
    port: 80,
    labels: new Map(Object.entries(labels)),
    weight,
    locality: { region, zone, subZone },
    workload: '',
    namespace: '',
    serviceAccount: '',
    isMeshed: false,
  };
}

interface Asked {
  readonly from?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly endpoints?: readonly MeshEndpoint[];
}

/** `place priority weight` of each group that kept endpoints. */
function laidOut(
  inputs: Partial<LocalityInputs>,
  { from = HERE, labels = {}, endpoints = PLACES.map((place) => endpoint(place)) }: Asked = {},
): readonly string[] {
  const caller = { locality: localityOf(from), labels: new Map(Object.entries(labels)) };
  const plan = localityPlan({ rule: null, nearness: null, mesh: null, hasOutlierDetection: false, ...inputs }, caller);
  return loadAssignment('c', endpoints, plan)
    .endpoints.filter(({ lbEndpoints }) => lbEndpoints.length > 0)
    .map(({ locality, priority, loadBalancingWeight }) => {
      const place = [locality?.region, locality?.zone, locality?.subZone].join('/');
      return `${place} ${priority} ${loadBalancingWeight}`;
    });
}

const ALIKE = PLACES.map((place) => `${place} 0 1`);
const BY_DISTANCE = ['r1/z1/s1 0 1', 'r1/z1/s2 1 1', 'r1/z2/s1 2 1', 'r2/z1/s1 3 1', 'r3/z1/s1 3 1'];

describe('which setting holds', () => {
  it.each<{
    readonly says: string;
    readonly inputs: Partial<LocalityInputs>;
    readonly from?: string;
    readonly is: readonly string[];
  }>([
    { says: 'none, where nothing is written', inputs: {}, is: ALIKE },
    { says: 'the default, with outlier detection', inputs: { hasOutlierDetection: true }, is: BY_DISTANCE },
    {
      says: 'none, when the mesh switches it off',
      inputs: { hasOutlierDetection: true, mesh: { ...NOTHING, isEnabled: false } },
      is: ALIKE,
    },
    {
      says: 'none, when the rule switches it off',
      inputs: { hasOutlierDetection: true, rule: { ...NOTHING, isEnabled: false } },
      is: ALIKE,
    },
    { says: 'the rule’s, without outlier detection too', inputs: { rule: NOTHING }, is: BY_DISTANCE },
    {
      says: 'the rule’s before the Service’s',
      inputs: { rule: { ...NOTHING, isEnabled: false }, nearness: 'zone' },
      is: ALIKE,
    },
    {
      says: 'the Service’s before the mesh’s',
      inputs: { nearness: 'subzone', mesh: { ...NOTHING, isEnabled: false } },
      is: BY_DISTANCE,
    },
    { says: 'none, for a caller that is nowhere', inputs: { rule: NOTHING }, from: '', is: ALIKE },
  ])('$says', ({ inputs, from, is }) => {
    expect(laidOut(inputs, from === undefined ? {} : { from })).toEqual(is);
  });
});

const rule = (from: string, to: string) => ({ ...NOTHING, failover: [{ from, to }] });

describe('failover', () => {
  it.each<{ readonly says: string; readonly run: () => readonly string[]; readonly is: readonly string[] }>([
    {
      says: 'goes to the region that is named first',
      run: () => laidOut({ rule: rule('r1', 'r3') }),
      is: [...BY_DISTANCE.slice(0, 3), 'r2/z1/s1 4 1', 'r3/z1/s1 3 1'],
    },
    { says: 'is for callers of its region', run: () => laidOut({ rule: rule('r9', 'r3') }), is: BY_DISTANCE },
    {
      says: 'closes gaps',
      run: () => laidOut({ rule: NOTHING }, { endpoints: [endpoint('r1/z2/s1'), endpoint('r2/z1/s1')] }),
      is: ['r1/z2/s1 0 1', 'r2/z1/s1 1 1'],
    },
    {
      says: 'knows a region by its zone where slices tell the zone alone',
      run: () => laidOut({ rule: NOTHING }, { endpoints: [endpoint('/z1/'), endpoint('/z2/')] }),
      is: ['/z1/ 0 1', '/z2/ 1 1'],
    },
    {
      says: 'treats a zone as one place for PreferSameZone',
      run: () => laidOut({ nearness: 'zone' }),
      is: ['r1/z1/s1 0 1', 'r1/z1/s2 0 1', 'r1/z2/s1 1 1', 'r2/z1/s1 2 1', 'r3/z1/s1 2 1'],
    },
  ])('$says', ({ run, is }) => {
    expect(run()).toEqual(is);
  });

  it.each<{ readonly says: string; readonly wanted: readonly string[]; readonly is: readonly string[] }>([
    { says: 'counts labels in their order', wanted: ['a', 'b'], is: ['// 0 1', '// 1 2', '// 2 3', '// 2 4'] },
    {
      says: 'compares with a value where one is written',
      wanted: ['a=2'],
      is: ['// 1 1', '// 1 2', '// 0 3', '// 1 4'],
    },
  ])('$says', ({ wanted, is }) => {
    const endpoints = [
      endpoint('', { a: '1', b: '1' }, 1),
      endpoint('', { a: '1', b: '2' }, 2),
      endpoint('', { a: '2', b: '1' }, 3),
      endpoint('', {}, 4),
    ];
    const found = laidOut(
      { rule: { ...NOTHING, failoverPriority: wanted } },
      { from: '', labels: { a: '1', b: '1' }, endpoints },
    );
    const weights = is
      .map((line) => line.split(' '))
      .map(([, priority = '', weight = '']) => [Number(priority), Number(weight)]);
    const sums = new Map<number, number>();
    for (const [priority = 0, weight = 0] of weights) sums.set(priority, (sums.get(priority) ?? 0) + weight);
    expect(found.toSorted()).toEqual([...sums].map(([priority, weight]) => `// ${priority} ${weight}`).toSorted());
  });

  it('knows the places by their labels', () => {
    const wanted = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone'];
    expect(laidOut({ rule: { ...NOTHING, failoverPriority: wanted } })).toEqual([
      'r1/z1/s1 0 1',
      'r1/z1/s2 0 1',
      'r1/z2/s1 1 1',
      'r2/z1/s1 2 1',
      'r3/z1/s1 2 1',
    ]);
  });
});

const shares = (from: string, to: Readonly<Record<string, number>>) => ({
  ...NOTHING,
  distribute: [{ from, to: new Map(Object.entries(to)) }],
});

describe('distribute', () => {
  it.each<{
    readonly says: string;
    readonly from: string;
    readonly to: Readonly<Record<string, number>>;
    readonly is: readonly string[];
  }>([
    {
      says: 'gives localities their shares, and others nothing',
      from: 'r1/*',
      to: { 'r1/*': 80, 'r2/*': 20 },
      is: ['r1/z1/s1 0 27', 'r1/z1/s2 0 27', 'r1/z2/s1 0 27', 'r2/z1/s1 0 20'],
    },
    {
      says: 'goes by the most exact rule',
      from: 'r1/z1/*',
      to: { 'r1/z1/s1': 70, 'r1/z1/*': 30 },
      is: ['r1/z1/s1 0 70', 'r1/z1/s2 0 30'],
    },
    { says: 'takes a share of nothing as nothing', from: '*', to: { 'r1/*': 0, 'r3/*': 100 }, is: ['r3/z1/s1 0 100'] },
    { says: 'is for its callers only', from: 'r2/*', to: { 'r1/*': 100 }, is: ALIKE },
  ])('$says', ({ from, to, is }) => {
    expect(laidOut({ rule: shares(from, to) })).toEqual(is);
  });
});
