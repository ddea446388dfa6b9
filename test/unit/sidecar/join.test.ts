// Joining a mesh: the flags, the node that they make, and the bootstrap that goes with it.
import { toJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { readFlags } from '../../../src/cli/sidecar-flags.ts';
import { compileBootstrap, grpcClustersOf } from '../../../src/sidecar/compile-bootstrap.ts';
import { joinBootstrap, ownAddress } from '../../../src/sidecar/join.ts';
import { nodeOf, type WorkloadIdentity } from '../../../src/sidecar/node.ts';
import { Cluster_DnsLookupFamily as DnsLookupFamily } from '../../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { NodeSchema } from '../../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { aContext } from './manager-builders.ts';

const WORKLOAD: WorkloadIdentity = {
  service: 'reviews',
  namespace: 'shop',
  version: 'v1',
  labels: { tier: 'back' },
  apps: [
    { port: 9080, protocol: 'http' },
    { port: 9090, protocol: 'tcp' },
  ],
  mode: 'explicit',
  inboundPort: 15_006,
  outboundPort: 15_001,
  address: '10.0.0.7',
  instance: 'host-1',
  serviceAccount: 'default',
};

test('the node has the ids, labels and ports of the workload', () => {
  expect(toJson(NodeSchema, nodeOf(WORKLOAD))).toEqual({
    id: 'sidecar~10.0.0.7~reviews-v1-host-1.shop~shop.svc.cluster.local',
    cluster: 'reviews.shop',
    userAgentName: 'outrigger',
    metadata: {
      NAMESPACE: 'shop',
      NAME: 'reviews-v1-host-1',
      WORKLOAD_NAME: 'reviews-v1',
      SERVICE_ACCOUNT: 'default',
      LABELS: { app: 'reviews', version: 'v1', tier: 'back' },
      INSTANCE_IPS: '10.0.0.7',
      OUTRIGGER: {
        service: 'reviews',
        version: 'v1',
        apps: [
          { port: 9080, protocol: 'http', inboundPort: 15_006 },
          { port: 9090, protocol: 'tcp', inboundPort: 15_007 },
        ],
        outboundPort: 15_001,
        mode: 'explicit',
        onDemand: true,
      },
    },
  });
});

test.each([
  { address: '10.0.0.7', family: DnsLookupFamily.V4_PREFERRED },
  { address: '10.0.0.7,fd00::7', family: DnsLookupFamily.V4_PREFERRED },
  { address: 'fd00::7', family: DnsLookupFamily.AUTO },
])('who has $address asks for the control service in its own family first', ({ address, family }) => {
  const control = { host: 'control.example', port: 15_012 };
  const { staticResources } = joinBootstrap({ control, workload: { ...WORKLOAD, address }, adminPort: 0 });
  expect(staticResources?.clusters.map(({ dnsLookupFamily }) => dnsLookupFamily)).toEqual([family]);
});

test('a captured workload says so to us and to Istio, and others know its apps by their own ports', () => {
  const { metadata } = nodeOf({ ...WORKLOAD, mode: 'redirect', address: '10.0.0.7,fd00::7' });
  expect(metadata).toMatchObject({
    INSTANCE_IPS: '10.0.0.7,fd00::7',
    INTERCEPTION_MODE: 'REDIRECT',
    OUTRIGGER: {
      apps: [
        { port: 9080, protocol: 'http', inboundPort: 9080 },
        { port: 9090, protocol: 'tcp', inboundPort: 9090 },
      ],
      inboundPort: 15_006,
      outboundPort: 15_001,
      mode: 'redirect',
      onDemand: true,
    },
  });
});

test.each([
  ['10.0.0.1', 15_010],
  ['control.mesh', 15_010],
])('the bootstrap asks %s by delta ADS and has no problem', (host, port) => {
  const bootstrap = joinBootstrap({ control: { host, port }, workload: WORKLOAD, adminPort: 0 });
  const context = { ...aContext(), grpcClusters: grpcClustersOf(bootstrap) };
  const { dynamic, admin, problems } = compileBootstrap(bootstrap, context);
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  expect(admin).toEqual({ address: '127.0.0.1', port: 0 });
  expect(dynamic).toEqual({ control: [{ host, port }], variant: 'delta', hasClusters: true, hasListeners: true });
});

test.each(['a b', 'a/b', '1.2.3.999', 'fe80::1%eth0'])(
  'a control service on %s, which is no address, is refused',
  (host) => {
    const { dynamic, problems } = compileBootstrap(
      joinBootstrap({ control: { host, port: 15_010 }, workload: WORKLOAD, adminPort: 0 }),
      aContext(),
    );
    expect(dynamic).toBe(null);
    const path = 'dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name';
    const message = `${JSON.stringify(host)} is not the name of a host`;
    expect(problems.filter((problem) => problem.path === path)).toMatchObject([{ severity: 'error', message }]);
  },
);

test.each(['127.0.0.1', 'localhost', '::1'])(
  'beside a control service on %s the own address is loopback',
  async (host) => {
    expect(await ownAddress({ host, port: 1 })).toBe('127.0.0.1');
  },
);

test('flags of a join', () => {
  const settings = readFlags({
    control: 'control.mesh:15010',
    service: 'reviews.shop',
    version: 'v1',
    label: ['tier=back', 'a=b=c'],
    app: ['9080', '9090/grpc'],
    inbound: '16006',
    outbound: '16001',
    admin: '0',
    address: '10.0.0.7',
    drainSeconds: '3',
    logLevel: 'warn',
  });
  expect(settings).toMatchObject({
    kind: 'join',
    control: { host: 'control.mesh', port: 15_010 },
    adminPort: 0,
    drainSeconds: 3,
    logLevel: 'warning',
    workload: {
      service: 'reviews',
      namespace: 'shop',
      version: 'v1',
      labels: { tier: 'back', a: 'b=c' },
      apps: [
        { port: 9080, protocol: 'http' },
        { port: 9090, protocol: 'grpc' },
      ],
      inboundPort: 16_006,
      outboundPort: 16_001,
      address: '10.0.0.7',
    },
  });
});

test('an IPv6 control address stands in brackets', () => {
  expect(readFlags({ control: '[::1]:15010', service: 'a' })).toMatchObject({ control: { host: '::1', port: 15_010 } });
});

test.each([
  [{}, ['write -c FILE to run a bootstrap, or --control HOST:PORT to join a mesh']],
  [{ control: 'a:1' }, ['--service NAME[.NAMESPACE] is missing: say whom this sidecar serves']],
  [{ control: 'a', service: 'b' }, ['--control: "a" is not HOST:PORT']],
  [{ control: 'a:99999', service: 'b' }, ['--control: "a:99999" is not HOST:PORT']],
  [
    { control: 'a:1', service: 'b', app: ['x', '80/ftp'] },
    ['--app: "x" is not PORT or PORT/http|http2|grpc|tcp', '--app: "80/ftp" is not PORT or PORT/http|http2|grpc|tcp'],
  ],
  [{ control: 'a:1', service: 'b', label: ['x'] }, ['--label: "x" is not KEY=VALUE']],
  [{ control: 'a:1', service: 'b', inbound: '0' }, ['--inbound: "0" is not a whole number from 1 to 65535']],
  [{ configPath: 'f', control: 'a:1' }, ['--control and -c exclude each other: a bootstrap file says where to ask']],
  [
    { configPath: 'f', concurrency: '0', logLevel: 'loud', drainSeconds: '-1' },
    [
      '--drain-seconds: "-1" is not a whole number from 0 to 3600',
      '--concurrency: "0" is not a whole number from 1 to 128',
      '--log-level: write one of trace, debug, info, warning, error, critical, off',
    ],
  ],
])('wrong usage %j is told in sentences', (flags, mistakes) => {
  expect(readFlags(flags)).toEqual(mistakes);
});
