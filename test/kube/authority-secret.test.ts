// The certificate authority in a Secret of a real API server: made once however many begin at the same moment, rotated by the
// commands, followed by the control service, and what stands beside it left alone.
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { CertificateAuthority } from '../../src/control/ca/certificate-authority.ts';
import { JoinTokens } from '../../src/control/ca/join-token.ts';
import { AuthoritySecret } from '../../src/control/kubernetes/authority-secret.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { recordOf } from '../../src/kube/json-record.ts';
import { KNOWN_KINDS } from '../../src/kube/known-kinds.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

const NAMESPACE = 'outrigger-system';
const run = promisify(execFile);

let kube: ApiServer;
let client: KubeClient;
beforeAll(async () => {
  kube = await ApiServer.start();
  client = new KubeClient({ access: kube.access() });
  await kube.call('/api/v1/namespaces', { metadata: { name: NAMESPACE } });
});
afterAll(async () => {
  await client?.close();
  await kube?.stop();
});

const storeOf = (name: string): AuthoritySecret =>
  new AuthoritySecret({ client, namespace: NAMESPACE, name, log: silentLog, clock: systemClock });

async function open(name: string): Promise<CertificateAuthority> {
  const opened = await CertificateAuthority.open({
    store: storeOf(name),
    log: silentLog,
    trustDomain: 'cluster.local',
  });
  if (opened.kind === 'refused') throw new Error(JSON.stringify(opened.problems));
  return opened.authority;
}

async function command(...args: readonly string[]): Promise<string> {
  const place = ['--kube', `${kube.folder}/kubeconfig`, '--ca-secret', 'outrigger-ca'];
  const { stdout, stderr } = await run(process.execPath, [OUTRIGGER, ...args, ...place]);
  return stdout + stderr;
}

async function dataOf(name: string): Promise<Readonly<Record<string, unknown>>> {
  const found = await client.get(KNOWN_KINDS.secret, { namespace: NAMESPACE, name });
  return found.kind === 'done' ? recordOf(found.value['data']) : {};
}

test('of several that begin at once one makes the root, and all have it', async () => {
  const authorities = await Promise.all(Array.from({ length: 4 }, async () => await open('outrigger-ca')));
  expect(new Set(authorities.map(({ trustBundlePem }) => trustBundlePem.join(''))).size).toBe(1);
  const tokens = await Promise.all(
    Array.from({ length: 3 }, async () => await JoinTokens.open(storeOf('outrigger-ca'))),
  );
  for (const one of tokens) one.close();
  await Promise.all(authorities.map(async (authority) => await authority.close()));
  expect(Object.keys(await dataOf('outrigger-ca')).toSorted()).toEqual(
    ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'join-key.pem', 'lifetime-max', 'root-cert.pem'].toSorted(),
  );
});

test('what others wrote beside it stays', async () => {
  const data = { note: Buffer.from('mine').toString('base64') };
  await client.patchMerge(KNOWN_KINDS.secret, { namespace: NAMESPACE, name: 'outrigger-ca' }, { data });
  await storeOf('outrigger-ca').put('lifetime-max', '1');
  expect(await dataOf('outrigger-ca')).toMatchObject(data);
});

test('changes at the same moment are all there afterwards', async () => {
  const texts = await Promise.all(
    ['a', 'b', 'c'].map(async (text) => await storeOf('outrigger-race').add('join-key.pem', text)),
  );
  expect(new Set(texts).size).toBe(1);
});

test('the commands rotate it, and the control service follows', { timeout: 60_000 }, async () => {
  const authority = await open('outrigger-ca');
  const [old = ''] = authority.trustBundlePem;
  try {
    await command('ca', 'rotate', 'start');
    await until('two roots', () => authority.trustBundlePem.length === 2);
    await command('ca', 'rotate', 'switch', '--force');
    await until('the new root signs', () => authority.trustBundlePem[0] !== old);
    await command('ca', 'rotate', 'finish', '--force');
    await until('one root', () => authority.trustBundlePem.length === 1);
    const [root = ''] = authority.trustBundlePem;
    expect(new X509Certificate(root).fingerprint256).not.toBe(new X509Certificate(old).fingerprint256);
    expect(await command('ca', 'show')).toContain('rotation  none');
    expect(await command('token', 'create', 'shop/web')).toMatch(/^\S+\.\S+\.\S+\n$/);
  } finally {
    await authority.close();
  }
});

test('a Secret that cannot be read says so, without a word of what is in it', async () => {
  const nobody = new KubeClient({ access: { ...kube.access(), url: 'https://127.0.0.1:1' }, timeoutMs: 500 });
  const store = new AuthoritySecret({
    client: nobody,
    namespace: NAMESPACE,
    name: 'outrigger-ca',
    log: silentLog,
    clock: systemClock,
  });
  await expect(store.read()).rejects.toThrow('Secret outrigger-system/outrigger-ca cannot be read: Unreachable');
  await nobody.close();
});
