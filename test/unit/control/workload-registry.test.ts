// Who has joined, and the services that joining makes.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';
import { readNode } from '../../../src/control/mesh-node.ts';
import type { MeshNode } from '../../../src/control/mesh-node.ts';
import { PeerAuthentications } from '../../../src/control/peer-authentications.ts';
import { buildServices } from '../../../src/control/services.ts';
import { WorkloadRegistry } from '../../../src/control/workload-registry.ts';

const NO_POLICIES = new PeerAuthentications([], 'istio-system');

interface Joining {
  readonly service?: string;
  readonly version?: string;
  readonly mode?: 'explicit' | 'redirect';
  readonly apps?: readonly { readonly port: number; readonly protocol?: string; readonly inboundPort?: number }[];
}

function aNode({
  service = 'reviews',
  version = 'v1',
  mode = 'explicit',
  apps = [{ port: 9080, inboundPort: 15_006 }],
}: Joining = {}): MeshNode {
  const metadata = {
    NAMESPACE: 'default',
    LABELS: { app: service, version },
    INSTANCE_IPS: '10.0.0.1',
    OUTRIGGER: { service, version, mode, apps },
  };
  const node = readNode({
    id: `sidecar~10.0.0.1~${service}-${version}.default~default.svc.cluster.local`,
    cluster: '',
    metadata,
  });
  if (typeof node === 'string') throw new Error(node);
  return node;
}

function endpointsOf(workloads: readonly MeshNode[], text: string): Readonly<Record<string, readonly string[]>> {
  const { services } = buildServices({
    resources: parseFile('f.yaml', text).resources,
    workloads,
    domain: 'cluster.local',
    authentications: NO_POLICIES,
  });
  const found = [...services.values()].flatMap((service) =>
    [...service.endpoints].map(
      ([port, endpoints]) =>
        [`${service.name}:${port}`, endpoints.map((endpoint) => `${endpoint.address}:${endpoint.port}`)] as const,
    ),
  );
  return Object.fromEntries(found);
}

const aService = (spec: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: ${spec}\n`;

describe('registrations', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('a workload stays for the grace time after its stream ended, and then goes', () => {
    const onChange = vi.fn();
    const registry = new WorkloadRegistry({ onChange, graceMs: 5_000 });
    const leave = registry.join(aNode());
    leave();
    leave();
    vi.advanceTimersByTime(4_999);
    expect(registry.workloads()).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(registry.workloads()).toHaveLength(0);
    expect(onChange).toHaveBeenCalledTimes(2);
  });

  test('a node that calls itself like another takes the place of neither, unless it is the same one', () => {
    const registry = new WorkloadRegistry({ onChange: () => {} });
    const [reviews, ratings] = ['reviews', 'ratings'].map((serviceAccount) => ({
      ...aNode(),
      identity: { trustDomain: 'cluster.local', namespace: 'default', serviceAccount },
    }));
    for (const node of [reviews, ratings, aNode(), reviews]) if (node !== undefined) registry.join(node);
    expect(registry.workloads().map(({ identity }) => identity?.serviceAccount)).toEqual([
      'reviews',
      'ratings',
      undefined,
    ]);
  });

  test('a workload that comes back within the grace time was never away', () => {
    const onChange = vi.fn();
    const registry = new WorkloadRegistry({ onChange, graceMs: 5_000 });
    registry.join(aNode())();
    vi.advanceTimersByTime(4_000);
    registry.join(aNode());
    vi.advanceTimersByTime(60_000);
    expect(registry.workloads()).toHaveLength(1);
    expect(onChange).toHaveBeenCalledTimes(1);
  });

  test('a second stream of the same node keeps it when the first one ends', () => {
    const registry = new WorkloadRegistry({ onChange: () => {}, graceMs: 10 });
    const leaveFirst = registry.join(aNode());
    registry.join(aNode());
    leaveFirst();
    vi.advanceTimersByTime(1_000);
    expect(registry.workloads()).toHaveLength(1);
  });

  test('a node without a service or an app is not a workload', () => {
    const registry = new WorkloadRegistry({ onChange: () => {} });
    registry.join(aNode({ service: '' }));
    registry.join(aNode({ apps: [] }));
    expect(registry.workloads()).toHaveLength(0);
  });
});

describe('services of joined workloads', () => {
  test('others reach a captured workload at the port of its app', () => {
    const node = aNode({ mode: 'redirect', apps: [{ port: 9080, inboundPort: 15_006 }] });
    expect(endpointsOf([node], '')).toEqual({ 'reviews:9080': ['10.0.0.1:9080'] });
  });

  test.each([
    ['explicit', ['port 3306 is TCP']],
    ['redirect', []],
  ] as const)('a TCP port is a matter of concern where the workloads are in %s mode: %s', (mode, wanted) => {
    const { problems } = buildServices({
      resources: parseFile('f.yaml', aService('{ ports: [{ name: http, port: 80 }, { name: mysql, port: 3306 }] }'))
        .resources,
      workloads: [aNode({ mode })],
      domain: 'cluster.local',
      authentications: NO_POLICIES,
    });
    expect(problems.map(({ path, message }) => [path, message.split(';')[0]])).toEqual(
      wanted.map((text) => ['spec.ports[1]', text]),
    );
  });

  test.each([
    [
      'a selector and the target port',
      [aNode()],
      '{ selector: { app: reviews }, ports: [{ port: 80, targetPort: 9080 }] }',
      { 'reviews:80': ['10.0.0.1:15006'] },
    ],
    [
      'one app behind one port, whatever its number',
      [aNode({ apps: [{ port: 4711 }] })],
      '{ selector: { app: reviews }, ports: [{ port: 80 }] }',
      { 'reviews:80': ['10.0.0.1:15006'] },
    ],
    [
      'a selector that does not fit',
      [aNode()],
      '{ selector: { app: other }, ports: [{ port: 80 }] }',
      { 'reviews:80': [] },
    ],
    [
      'the name where there is no selector',
      [aNode()],
      '{ ports: [{ port: 80, targetPort: 9080 }] }',
      { 'reviews:80': ['10.0.0.1:15006'] },
    ],
    [
      'the right one of several apps',
      [
        aNode({
          apps: [
            { port: 1, inboundPort: 15_006 },
            { port: 2, inboundPort: 15_007 },
          ],
        }),
      ],
      '{ selector: { app: reviews }, ports: [{ name: a, port: 80, targetPort: 2 }, { name: b, port: 81, targetPort: 3 }] }',
      { 'reviews:80': ['10.0.0.1:15007'], 'reviews:81': [] },
    ],
  ])('a declared Service finds them by %s', (_, workloads, spec, expected) => {
    expect(endpointsOf(workloads, aService(spec))).toEqual(expected);
  });

  test('a name that no Service declares becomes a service with the ports of the apps', () => {
    expect(endpointsOf([aNode({ apps: [{ port: 9080, protocol: 'grpc', inboundPort: 20_001 }] })], '')).toEqual({
      'reviews:9080': ['10.0.0.1:20001'],
    });
  });

  test('replicas on different ports of one machine all serve each port of an undeclared name', () => {
    const nodes = [
      aNode({ version: 'v1', apps: [{ port: 1, inboundPort: 11 }] }),
      aNode({ version: 'v2', apps: [{ port: 2, inboundPort: 12 }] }),
    ];
    expect(endpointsOf(nodes, '')).toEqual({
      'reviews:1': ['10.0.0.1:11', '10.0.0.1:12'],
      'reviews:2': ['10.0.0.1:11', '10.0.0.1:12'],
    });
  });
});

test.each([
  [{ id: '', cluster: '', metadata: {} }, 'the node has no id'],
  [
    { id: 'a', cluster: '', metadata: { OUTRIGGER: { service: 'x', apps: [{ port: 'no' }] } } },
    'OUTRIGGER.apps[0] is not a port with a protocol',
  ],
])('the node %j is refused: %s', (info, message) => {
  expect(readNode(info)).toBe(message);
});
