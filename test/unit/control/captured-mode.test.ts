// Whose connections the control service takes for captured, by what the node says of itself.
import { expect, test } from 'vitest';
import { readNode } from '../../../src/control/mesh-node.ts';

test.each([
  ['our own in explicit mode', { OUTRIGGER: { mode: 'explicit' }, INTERCEPTION_MODE: 'REDIRECT' }, 'explicit'],
  ['our own in redirect mode', { OUTRIGGER: { mode: 'redirect' } }, 'redirect'],
  ['our own that says nothing', { OUTRIGGER: {} }, 'explicit'],
  ['an Envoy with Istio’s agent', { INTERCEPTION_MODE: 'REDIRECT' }, 'redirect'],
  ['an Envoy behind TPROXY', { INTERCEPTION_MODE: 'TPROXY' }, 'redirect'],
  ['an Envoy that is not captured', { INTERCEPTION_MODE: 'NONE' }, 'explicit'],
  ['an Envoy that says nothing', {}, 'explicit'],
])('%s', (_, metadata, mode) => {
  const node = readNode({ id: 'sidecar~10.0.0.1~a.default~x', cluster: '', metadata });
  expect(node).toMatchObject({ mode });
});

test('all addresses of a node are known, the first is the one that it goes by', () => {
  const node = readNode({
    id: 'sidecar~10.0.0.1~a.default~x',
    cluster: '',
    metadata: { INSTANCE_IPS: '10.0.0.1, fd00::1' },
  });
  expect(node).toMatchObject({ ip: '10.0.0.1', addresses: ['10.0.0.1', 'fd00::1'] });
});
