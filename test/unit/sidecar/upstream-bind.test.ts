// Where connections to upstreams are dialled from: what a cluster says, else what the bootstrap says for all.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { parseBootstrap } from '../../../src/sidecar/bootstrap.ts';
import { compileBootstrap } from '../../../src/sidecar/compile-bootstrap.ts';
import { compileClusterSettings } from '../../../src/sidecar/compile.ts';
import { dial } from '../../../src/sidecar/wire-dial.ts';
import { aCluster } from '../resilience/cluster-builders.ts';
import { aContext } from './manager-builders.ts';

const bindTo = (address: string): JsonObject => ({ source_address: { address, port_value: 0 } });

test.each<readonly [string, JsonObject, readonly string[]]>([
  ['the default', {}, ['127.0.0.7']],
  ['its own', { upstream_bind_config: bindTo('127.0.0.6') }, ['127.0.0.6']],
  ["the kernel's choice, where it says so", { upstream_bind_config: bindTo('0.0.0.0') }, []],
])('a cluster dials from %s', (_, json, addresses) => {
  const context = { ...aContext(), sourceAddresses: ['127.0.0.7'] };
  expect(compileClusterSettings(aCluster(json), context).value?.sourceAddresses).toEqual(addresses);
});

test('a default that is no address refuses the bootstrap', () => {
  const text = JSON.stringify({ cluster_manager: { upstream_bind_config: bindTo('lo') } });
  const { bootstrap } = parseBootstrap(text, 'b.json');
  const problems = bootstrap === null ? [] : compileBootstrap(bootstrap, aContext()).problems;
  expect(problems.map(formatProblem)).toEqual([
    'cluster_manager.upstream_bind_config.source_address.address: "lo" is not an IP address; write an IP address',
  ]);
});

test('an upstream sees the address that it was dialled from', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: AddressInfo = Object(server.address());
  const accepting: Promise<Socket[]> = once(server, 'connection');
  dial({ address: '127.0.0.1', port, sourceAddress: '127.0.0.6' }, { onDialled() {}, onDialFailed() {} });
  const [accepted] = await accepting;
  expect(accepted?.remoteAddress).toBe('127.0.0.6');
  accepted?.destroy();
  server.close();
});

test('a source of the other family fails the dial', async () => {
  const cause = await new Promise((done) => {
    const user = { onDialled: () => done('dialled'), onDialFailed: done };
    dial({ address: '::1', port: 9, sourceAddress: '127.0.0.6' }, user);
  });
  expect(cause).toMatch(/^E/);
});
