// Sidecars that show tokens of Kubernetes: a real API server reviews them, with the rights that an installation gives
// the control service and no more. The calls have the shape that an agent of Istio makes them in.
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alternativeNamesOf } from '../../src/tls/alternative-names.ts';
import { signingRequest } from '../../src/tls/csr.ts';
import { newKey, SecureControl, type NodeClaim } from '../unit/control/identity/secure-control.ts';
import { ApiServer } from './api-server.ts';

const NODE: NodeClaim = {
  id: 'sidecar~10.0.0.1~reviews-1.default~default.svc.cluster.local',
  metadata: { NAMESPACE: 'default', SERVICE_ACCOUNT: 'reviews', NAME: 'reviews-1' },
};

let kube: ApiServer;
let control: SecureControl;
let pod: { readonly name: string; readonly uid: string };
beforeAll(async () => {
  kube = await ApiServer.start();
  for (const account of ['reviews', 'outrigger']) await kube.makeAccount('default', account);
  await kube.call('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'outrigger' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
    subjects: [{ kind: 'ServiceAccount', name: 'outrigger', namespace: 'default' }],
  });
  const tokenFile = join(kube.folder, 'outrigger-token');
  await writeFile(tokenFile, await kube.token('default/outrigger', 'https://kubernetes.default.svc'));
  pod = { name: 'reviews-1', uid: await kube.makePod('default', 'reviews-1', 'reviews') };
  control = await SecureControl.start('', kube.access(tokenFile));
});
afterAll(async () => {
  await control?.stop();
  await kube?.stop();
});

describe('a token that is bound to a pod', () => {
  test('lets it join and gives it the certificate of its service account', async () => {
    const token = await kube.token('default/reviews', 'istio-ca', pod);
    const { response, close } = await control.join({ token }, NODE);
    expect(response?.resources.map(({ name }) => name)).toEqual(['virtualOutbound']);
    close();
    const { status, chain } = await control.sign({ token }, signingRequest(newKey(), ''), 3600);
    expect(status).toBe('OK');
    expect(alternativeNamesOf(new X509Certificate(chain[0] ?? '')).uri).toEqual([
      'spiffe://cluster.local/ns/default/sa/reviews',
    ]);
  });

  test('lets no other pod join', async () => {
    const token = await kube.token('default/reviews', 'istio-ca', pod);
    const { ended } = await control.join({ token }, { ...NODE, metadata: { NAME: 'reviews-2' } });
    expect((await ended).status).toBe('PERMISSION_DENIED');
    expect(await control.refused('xds')).toMatchObject({ pod: 1 });
  });

  test('is worth nothing once the pod is gone', async () => {
    const gone = { name: 'reviews-9', uid: await kube.makePod('default', 'reviews-9', 'reviews') };
    const token = await kube.token('default/reviews', 'istio-ca', gone);
    await kube.call('/api/v1/namespaces/default/pods/reviews-9?gracePeriodSeconds=0', null);
    const { ended } = await control.join({ token }, NODE);
    expect((await ended).status).toBe('UNAUTHENTICATED');
  });
});

const REFUSED: readonly (readonly [string, string, () => Promise<string>])[] = [
  ['for another audience', 'token_rejected', async () => await kube.token('default/reviews', 'vault')],
  [
    'for the API server',
    'token_rejected',
    async () => await kube.token('default/reviews', 'https://kubernetes.default.svc'),
  ],
  [
    'with another signature',
    'token_rejected',
    async () => (await kube.token('default/reviews', 'istio-ca')).replace(/.{8}$/, 'AAAAAAAA'),
  ],
  [
    'that is not signed',
    'token_rejected',
    async () => {
      const [, payload = ''] = (await kube.token('default/reviews', 'istio-ca')).split('.');
      return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    },
  ],
  ['that is a password', 'token_malformed', () => Promise.resolve('hunter2')],
];

describe('a token', () => {
  test.each(REFUSED)('%s is refused: %s', async (_, reason, make) => {
    const before = (await control.refused('xds'))[reason] ?? 0;
    const { ended } = await control.join({ token: await make() }, NODE);
    expect((await ended).status).toBe('UNAUTHENTICATED');
    expect((await control.refused('xds'))[reason]).toBe(before + 1);
  });

  test('of another service account is not that of the node', async () => {
    const { ended } = await control.join({ token: await kube.token('default/outrigger', 'istio-ca') }, NODE);
    expect((await ended).status).toBe('PERMISSION_DENIED');
  });

  test('of this mesh is judged here and not shown to the API server', async () => {
    const { response, close } = await control.join({ token: await control.token('default/reviews') }, NODE);
    expect(response?.resources.length).toBe(1);
    close();
  });
});

test('a server that refuses us, or is not there, lets nobody in and is not asked for ever', async () => {
  const tokenFile = join(kube.folder, 'wrong-token');
  await writeFile(tokenFile, 'wrong');
  const other = await SecureControl.start('', kube.access(tokenFile));
  for (let attempt = 0; attempt < 8; attempt++) {
    const { ended } = await other.join({ token: await kube.token('default/reviews', 'istio-ca') }, NODE);
    expect((await ended).status).toBe('UNAVAILABLE');
  }
  expect(await other.refused('xds')).toEqual({ unavailable: 8 });
  expect(other.lines.filter((line) => line.includes('left alone for a while'))).toHaveLength(1);
  await other.stop();
});
