// What is read of a pod that is not written in it: whether it takes mutual TLS, when it was injected as text.
import { expect, it } from 'vitest';
import { podLabels } from '../../../../src/control/kubernetes/object-text.ts';
import { readKubeObject } from '../../../../src/kube/kube-object.ts';

const STATUS = { 'outrigger.dev/status': '{}' };
const TOKEN = [{ name: 'istio-token' }];

it.each([
  { title: 'injected as text', annotations: STATUS, labels: {}, volumes: TOKEN, mode: 'istio' },
  { title: 'injected without an identity', annotations: STATUS, labels: {}, volumes: [], mode: undefined },
  { title: 'of somebody else', annotations: {}, labels: {}, volumes: TOKEN, mode: undefined },
  {
    title: 'that says no itself',
    annotations: STATUS,
    labels: { 'security.istio.io/tlsMode': 'disabled' },
    volumes: TOKEN,
    mode: 'disabled',
  },
])('a pod $title', ({ annotations, labels, volumes, mode }) => {
  const object = readKubeObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web', ...labels }, annotations },
    spec: { volumes },
  });
  expect(object).not.toBeNull();
  const found = object === null ? {} : podLabels(object);
  expect([found['security.istio.io/tlsMode'], found['app']]).toEqual([mode, 'web']);
});
