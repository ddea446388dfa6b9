// Kubeconfigs as people have them: what is read, what is refused, and programs that print credentials.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { kubeconfigAccess, type KubeconfigOptions } from '../../../src/kube/kubeconfig.ts';
import { readCredential } from '../../../src/kube/exec-credentials.ts';

let folder: string;
let nowMs: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrigger-kubeconfig-'));
  nowMs = 1_800_000_000_000;
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function access(cluster: object, user: object, options: KubeconfigOptions = {}) {
  const config = {
    'current-context': 'here',
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
  };
  const path = join(folder, 'config');
  await writeFile(path, JSON.stringify(config));
  return await kubeconfigAccess({ path, clock: { now: () => nowMs, wall: () => nowMs }, ...options });
}

async function shown(cluster: object, user: object): Promise<unknown> {
  const read = await access(cluster, user);
  if (typeof read === 'string') return read;
  const what = await read.credentials.show();
  if (typeof what === 'string') return what;
  const { token, certificate } = what;
  return [token?.reveal() ?? '', certificate?.chainPem ?? '', certificate?.keyPem.reveal() ?? ''];
}

test('a context says where, who and in which namespace', async () => {
  const read = await access(
    {
      server: 'https://host.test:6443/k8s/c-1/',
      'certificate-authority-data': base64('CA'),
      'tls-server-name': 'kube',
    },
    { token: 'secret-token' },
  );
  expect(read).toMatchObject({
    url: 'https://host.test:6443/k8s/c-1',
    authority: 'CA',
    authorityFile: '',
    serverName: 'kube',
    isUnverified: false,
    namespace: 'shop',
  });
  expect(JSON.stringify(read)).not.toContain('secret-token');
});

describe('who we are', () => {
  test('is a token, a file or a certificate, in data or in files beside the config', async () => {
    await writeFile(join(folder, 'token'), 'from-file\n');
    await writeFile(join(folder, 'crt'), 'CHAIN');
    await writeFile(join(folder, 'key'), 'KEY');
    expect(await shown({}, { token: 't' })).toEqual(['t', '', '']);
    expect(await shown({}, { tokenFile: 'token', token: 'other' })).toEqual(['from-file', '', '']);
    expect(await shown({}, { 'client-certificate': 'crt', 'client-key': 'key' })).toEqual(['', 'CHAIN', 'KEY']);
    const data = { 'client-certificate-data': base64('C2'), 'client-key-data': base64('K2'), 'client-key': 'key' };
    expect(await shown({}, { ...data, token: 't' })).toEqual(['t', 'C2', 'K2']);
    expect(await shown({}, {})).toEqual(['', '', '']);
  });
});

const REFUSED: readonly (readonly [string, object, object, RegExp])[] = [
  ['a password', {}, { username: 'u', password: 'hunter2' }, /username is not supported: use a token/],
  ['an old login plugin', {}, { 'auth-provider': { name: 'oidc' } }, /removed it in 1\.26: use exec/],
  ['impersonation', {}, { as: 'root' }, /as is not supported/],
  [
    'a certificate that is not looked at',
    { 'insecure-skip-tls-verify': true },
    {},
    /insecure-skip-tls-verify is refused/,
  ],
  ['a proxy', { 'proxy-url': 'http://proxy' }, {}, /proxy-url is not supported/],
  ['plaintext', { server: 'http://10.0.0.1' }, {}, /server is not https/],
  ['a user in the URL', { server: 'https://u:p@10.0.0.1' }, {}, /server is no https/],
  ['no server', { server: '' }, {}, /server is no https/],
  ['an authority that cannot be read', { 'certificate-authority': 'gone' }, {}, /certificate-authority cannot be read/],
  ['a key alone', {}, { 'client-key-data': base64('K') }, /belong together/],
  ['a token of two lines', {}, { token: 'a\nb' }, /token is none/],
  [
    'an old exec',
    {},
    { exec: { apiVersion: 'client.authentication.k8s.io/v1alpha1', command: 'x' } },
    /v1alpha1" is not/,
  ],
  ['exec without a command', {}, { exec: { apiVersion: 'client.authentication.k8s.io/v1' } }, /command is missing/],
];
test.each(REFUSED)('%s is refused', async (_, cluster, user, wanted) => {
  const read = await access(cluster, user);
  expect(read).toMatch(wanted);
  expect(read).not.toContain('hunter2');
});

test('an unverified cluster is talked to when that is allowed, and plaintext to this machine', async () => {
  const open = await access({ 'insecure-skip-tls-verify': true }, {}, { allowsUnverified: true });
  expect(open).toMatchObject({ isUnverified: true });
  expect(await access({ server: 'http://127.0.0.1:8001' }, {})).toMatchObject({ url: 'http://127.0.0.1:8001' });
});

test('files of KUBECONFIG are merged, the first that names something wins, and those that are missing do not matter', async () => {
  const one = {
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: { token: '1' } }],
  };
  const two = {
    'current-context': 'x',
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.2' } }],
    users: [{ name: 'u', user: { token: '2' } }],
  };
  await writeFile(join(folder, 'one'), JSON.stringify(one));
  await writeFile(join(folder, 'two'), JSON.stringify(two));
  const KUBECONFIG = ['gone', 'one', 'two'].map((name) => join(folder, name)).join(':');
  const read = await kubeconfigAccess({ environment: { KUBECONFIG } });
  if (typeof read === 'string') throw new Error(read);
  const what = await read.credentials.show();
  expect([read.url, typeof what === 'string' ? what : what.token?.reveal()]).toEqual(['https://10.0.0.2', '1']);
  expect(await kubeconfigAccess({ environment: { KUBECONFIG }, context: 'y' })).toBe(
    'the kubeconfig has no context "y"',
  );
  expect(await kubeconfigAccess({ path: join(folder, 'gone') })).toMatch(/^there is no kubeconfig at/);
});

const log = async (): Promise<string[]> => (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n');

describe('a program that prints credentials', () => {
  const v1 = 'client.authentication.k8s.io/v1';

  async function program(script: string): Promise<object> {
    await writeFile(join(folder, 'login'), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, 'login'), 0o755);
    const env = [{ name: 'LOG', value: join(folder, 'log') }];
    return {
      exec: {
        apiVersion: v1,
        command: './login',
        args: ['a', 'b c'],
        env,
        interactiveMode: 'Never',
        provideClusterInfo: true,
      },
    };
  }

  test('is told what it asks for, run once for all, and again when they end or are refused', async () => {
    const status = `{"token":"t","expirationTimestamp":"${new Date(nowMs + 60_000).toISOString()}"}`;
    const exec = await program(
      `printf '%s|%s|%s\\n' "$1" "$2" "$KUBERNETES_EXEC_INFO" >> "$LOG"\necho '{"apiVersion":"${v1}","kind":"ExecCredential","status":${status}}'`,
    );
    const read = await access({ 'certificate-authority-data': base64('CA') }, exec);
    if (typeof read === 'string') throw new Error(read);
    const { credentials } = read;
    await Promise.all([credentials.show(), credentials.show()]);
    nowMs += 49_000;
    await credentials.show();
    const [first = ''] = await log();
    expect(await log()).toHaveLength(1);
    const [one, two, info = ''] = first.split('|');
    expect([one, two]).toEqual(['a', 'b c']);
    expect(JSON.parse(info)).toEqual({
      apiVersion: v1,
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: 'https://10.0.0.1:6443', 'certificate-authority-data': base64('CA') },
      },
    });
    nowMs += 1_000;
    await credentials.show();
    expect(await log()).toHaveLength(2);
    credentials.onRefused();
    await credentials.show();
    expect(await log()).toHaveLength(3);
  });

  test('that fails is said to, without what it printed', async () => {
    expect(await shown({}, await program('echo secret; exit 3'))).toMatch(/login: ended with 3$/);
    expect(await shown({}, await program('echo secret'))).toMatch(/login: printed no JSON$/);
    expect(
      await shown({}, { exec: { apiVersion: v1, command: 'no-such-program-of-ours', installHint: 'get it' } }),
    ).toMatch(/cannot be run: .*ENOENT\nget it$/);
  });

  const CREDENTIALS: readonly (readonly [object, string])[] = [
    [{}, 'printed neither a token nor a certificate'],
    [{ clientKeyData: 'K' }, 'printed a certificate without its key, or a key alone'],
    [{ token: 'a b' }, 'printed a token that cannot be sent'],
    [{ token: 'a', expirationTimestamp: 'soon' }, 'printed an expirationTimestamp that is no time'],
  ];
  test.each(CREDENTIALS)('%j is refused', (status, wanted) => {
    expect(readCredential(JSON.stringify({ apiVersion: v1, kind: 'ExecCredential', status }))).toBe(wanted);
  });
});
