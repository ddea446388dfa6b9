// The protocol rules of the client half, both variants, message by message.
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';

import { error } from '../../../src/base/problem.ts';
import { DeltaClient } from '../../../src/xds/delta-client.ts';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
  type DiscoveryResponse,
} from '../../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import type { EncodedResource } from '../../../src/xds/resource.ts';
import { SotwClient } from '../../../src/xds/sotw-client.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, type TypeUrl } from '../../../src/xds/type-url.ts';
import { aCluster, aListener, aNode, anAssignment } from '../../support/xds-builders.ts';

const any = ({ typeUrl, bytes }: EncodedResource) => ({ typeUrl, value: bytes });

function delta(nonce: string, resources: EncodedResource[], removedResources: string[] = []): DeltaDiscoveryResponse {
  const wrapped = resources.map((one) => ({ name: one.name, version: one.version, resource: any(one) }));
  const typeUrl = resources[0]?.typeUrl ?? CLUSTER_TYPE;
  return create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources: wrapped, removedResources });
}

function sotw(versionInfo: string, nonce: string, resources: EncodedResource[], typeUrl: TypeUrl = CLUSTER_TYPE) {
  return create(DiscoveryResponseSchema, { typeUrl, versionInfo, nonce, resources: resources.map(any) });
}

function takeDelta(client: DeltaClient, response: DeltaDiscoveryResponse, bad: string[] = []) {
  const received = client.receive(response);
  if (received === null) throw new Error('not asked for');
  const refused = bad.map((name) => ({ name, problems: [error('connect_timeout', 'is negative')] }));
  return { update: received.update, request: client.answer(received, refused) };
}

function takeSotw(client: SotwClient, response: DiscoveryResponse, bad: string[] = []) {
  const received = client.receive(response);
  if (received === null) throw new Error('not asked for');
  const refused = bad.map((name) => ({ name, problems: [error('connect_timeout', 'is negative')] }));
  return { update: received.update, request: client.answer(received, refused) };
}

test('the node travels with the first request of a stream only', () => {
  for (const client of [new DeltaClient({ node: aNode() }), new SotwClient({ node: aNode() })]) {
    client.subscribe(LISTENER_TYPE, '*');
    client.subscribe(CLUSTER_TYPE, '*');
    for (let stream = 0; stream < 2; stream++) {
      const requests = client.open();
      expect(requests.length).toBe(2 + stream);
      expect(requests.map(({ node }) => node?.id ?? '')).toEqual([aNode().id, ...requests.slice(1).map(() => '')]);
      expect(requests[0]?.typeUrl).toBe(CLUSTER_TYPE);
      expect(client.subscribe(ENDPOINT_TYPE, new Set([`c${stream}`]))?.node).toBeUndefined();
      client.close();
    }
  }
});

test('delta: a changed subscription sends the difference without a nonce, and an equal one nothing', () => {
  const client = new DeltaClient({ node: aNode() });
  client.subscribe(ENDPOINT_TYPE, new Set(['a', 'b']));
  expect(client.open()[0]?.resourceNamesSubscribe).toEqual(['a', 'b']);
  expect(client.subscribe(ENDPOINT_TYPE, new Set(['b', 'a']))).toBeNull();
  const request = client.subscribe(ENDPOINT_TYPE, new Set(['b', 'c']));
  expect(request?.resourceNamesSubscribe).toEqual(['c']);
  expect(request?.resourceNamesUnsubscribe).toEqual(['a']);
  expect(request?.responseNonce).toBe('');
});

test('delta: a new stream carries the versions held, of what was accepted only', () => {
  const client = new DeltaClient({ node: aNode() });
  client.subscribe(CLUSTER_TYPE, '*');
  client.open();
  const { request } = takeDelta(client, delta('n1', [aCluster('a'), aCluster('bad')]), ['bad']);
  expect(request.responseNonce).toBe('n1');
  expect(request.errorDetail?.message).toBe('bad: connect_timeout: is negative');
  const ack = takeDelta(client, delta('n2', [aCluster('b')], ['a'])).request;
  expect([ack.responseNonce, ack.errorDetail]).toEqual(['n2', undefined]);
  expect(client.open()[0]?.initialResourceVersions).toEqual({ b: aCluster('b').version });
});

test('delta: what was not asked for is left out, and what is malformed is refused by name', () => {
  const client = new DeltaClient({ node: aNode() });
  client.subscribe(CLUSTER_TYPE, new Set(['a', 'b', 'c']));
  client.open();
  const wrong = { ...aListener('b'), typeUrl: LISTENER_TYPE };
  const { update, request } = takeDelta(
    client,
    delta('n1', [aCluster('a'), aCluster('c'), aCluster('c', '2'), wrong, aCluster('x')]),
  );
  expect(update.changed.map(({ name }) => name)).toEqual(['a', 'c']);
  expect(request.errorDetail?.message.split('\n')).toEqual([
    'c: the response holds this name twice',
    `b: its type is ${LISTENER_TYPE}`,
  ]);
  expect(client.receive(delta('n2', [aListener('l')]))).toBeNull();
});

test('state of the world: an answer carries the nonce and the newest accepted version', () => {
  const client = new SotwClient({ node: aNode() });
  client.subscribe(CLUSTER_TYPE, '*');
  expect(client.open()[0]).toMatchObject({ versionInfo: '', responseNonce: '', resourceNames: [] });
  expect(takeSotw(client, sotw('v1', 'n1', [aCluster('a')])).request).toMatchObject({
    versionInfo: 'v1',
    responseNonce: 'n1',
  });
  const nack = takeSotw(client, sotw('v2', 'n2', [aCluster('a', '2')]), ['a']).request;
  expect(nack).toMatchObject({ versionInfo: 'v1', responseNonce: 'n2', errorDetail: { code: 3 } });
  expect(client.open()[0]).toMatchObject({ versionInfo: 'v1', responseNonce: '' });
});

test('state of the world: absence is removal for clusters, and nothing for endpoints', () => {
  const client = new SotwClient({ node: aNode() });
  client.subscribe(CLUSTER_TYPE, '*');
  client.subscribe(ENDPOINT_TYPE, new Set(['a', 'b']));
  client.open();
  takeSotw(client, sotw('v1', 'n1', [aCluster('a'), aCluster('b')]));
  takeSotw(client, sotw('v1', 'n1', [anAssignment('a', 1), anAssignment('b', 1)], ENDPOINT_TYPE));
  const clusters = takeSotw(client, sotw('v2', 'n2', [aCluster('b')])).update;
  expect([clusters.changed, clusters.removed]).toEqual([[], ['a']]);
  const endpoints = takeSotw(client, sotw('v2', 'n2', [anAssignment('b', 2)], ENDPOINT_TYPE)).update;
  expect([endpoints.changed.map(({ name }) => name), endpoints.removed]).toEqual([['b'], []]);
});
