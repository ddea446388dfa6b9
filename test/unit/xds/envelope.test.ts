// The envelopes written by hand say the same as the generated codec.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';

import { encodeDeltaResponse, encodeResponse } from '../../../src/xds/envelope.ts';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '../../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { resourceName } from '../../../src/xds/resource-name.ts';
import { CLUSTER_TYPE } from '../../../src/xds/type-url.ts';
import { aCluster, aListener, anAssignment, aRoutes } from '../../support/xds-builders.ts';

const MESSAGE = {
  typeUrl: CLUSTER_TYPE,
  nonce: 'n1',
  version: 'v1',
  resources: [aCluster('a'), aCluster('b', 'x'.repeat(300))],
  removed: ['gone', 'too'],
};

test('a state-of-the-world response reads as it was meant', () => {
  const bytes = encodeResponse(MESSAGE, 'outrigger');
  const { versionInfo, typeUrl, nonce, controlPlane, resources } = fromBinary(DiscoveryResponseSchema, bytes);
  expect({ versionInfo, typeUrl, nonce, identifier: controlPlane?.identifier }).toEqual({
    versionInfo: 'v1',
    typeUrl: CLUSTER_TYPE,
    nonce: 'n1',
    identifier: 'outrigger',
  });
  expect(resources.map(({ typeUrl, value }) => [typeUrl, resourceName(value)])).toEqual([
    [CLUSTER_TYPE, 'a'],
    [CLUSTER_TYPE, 'b'],
  ]);
  expect(toBinary(DiscoveryResponseSchema, fromBinary(DiscoveryResponseSchema, bytes))).toEqual(bytes);
});

test('a delta response reads as it was meant', () => {
  const response = fromBinary(DeltaDiscoveryResponseSchema, encodeDeltaResponse(MESSAGE, ''));
  expect(response.removedResources).toEqual(['gone', 'too']);
  expect([response.systemVersionInfo, response.typeUrl, response.nonce]).toEqual(['v1', CLUSTER_TYPE, 'n1']);
  expect(
    response.resources.map(({ name, version, resource }) => ({ name, version, typeUrl: resource?.typeUrl })),
  ).toEqual(MESSAGE.resources.map(({ name, version, typeUrl }) => ({ name, version, typeUrl })));
  expect(response.resources[1]?.resource?.value).toEqual(MESSAGE.resources[1]?.bytes);
});

test('equal resources have equal versions and the name is found in the bytes', () => {
  for (const make of [aCluster, aListener, aRoutes]) {
    expect(make('n', '1').version).toBe(make('n', '1').version);
    expect(make('n', '1').version).not.toBe(make('n', '2').version);
    expect(resourceName(make('the name').bytes)).toBe('the name');
  }
  expect(resourceName(anAssignment('c', 1).bytes)).toBe('c');
  expect(resourceName(Uint8Array.of(0xff, 0xff))).toBe('');
});
