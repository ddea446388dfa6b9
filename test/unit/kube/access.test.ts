// Where the API server is, by flags and as a pod finds it.
import { describe, expect, test } from 'vitest';
import { flaggedAccess } from '../../../src/kube/access.ts';
import { givenAccess } from '../../../src/kube/given-access.ts';

describe('where the API server is', () => {
  const inside = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
  const CASES: readonly (readonly [string, Record<string, string>, string])[] = [
    ['https://10.0.0.1:6443', {}, 'https://10.0.0.1:6443'],
    ['http://10.0.0.1', {}, 'takes https://host:port, without a user or password'],
    ['https://me:secret@10.0.0.1', {}, 'takes https://host:port, without a user or password'],
    ['in-cluster', {}, 'in-cluster: KUBERNETES_SERVICE_HOST is not set, so this is no pod'],
  ];
  test.each(CASES)('%s with %j is %s', async (server, environment, wanted) => {
    const access = await flaggedAccess({ server, tokenFile: '', authorityFile: '' }, environment);
    expect(typeof access === 'string' ? access : access.url).toBe(wanted);
  });

  test('in a cluster is found as every pod finds it', async () => {
    const authorityFile = new URL('../../support/certificates/authority.pem', import.meta.url).pathname;
    const access = await flaggedAccess({ server: 'in-cluster', tokenFile: '', authorityFile }, inside);
    expect(access).toMatchObject({
      url: 'https://[fd00::1]:6443',
    });
    const shown = typeof access === 'string' ? access : await access.credentials.show();
    expect(shown).toBe('there is no token in /var/run/secrets/kubernetes.io/serviceaccount/token');
  });
});

describe('one flag', () => {
  const GIVEN: readonly (readonly [Parameters<typeof givenAccess>[0], string])[] = [
    [{ server: 'https://10.0.0.1:6443' }, 'https://10.0.0.1:6443'],
    [{ server: 'http://10.0.0.1:6443' }, 'takes https://host:port, without a user or password'],
    [{ server: 'in-cluster', environment: {} }, 'in-cluster: KUBERNETES_SERVICE_HOST is not set, so this is no pod'],
    [{ server: '/no/such/kubeconfig' }, 'there is no kubeconfig at /no/such/kubeconfig'],
    [{ server: '', environment: { KUBECONFIG: '/no/such/one' } }, 'there is no kubeconfig at /no/such/one'],
    [
      { server: '/no/such/kubeconfig', tokenFile: 'token' },
      'a kubeconfig says itself which token and which authorities: leave the flags for them out',
    ],
  ];
  test.each(GIVEN)('%j is understood', async (given, wanted) => {
    const access = await givenAccess(given);
    expect(typeof access === 'string' ? access : access.url).toBe(wanted);
  });
});
