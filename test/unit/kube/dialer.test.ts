// Who both ends prove to be, over real TLS: authorities, names and client certificates, also while they change.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Concealed } from '../../../src/base/concealed.ts';
import { plainAccess, type KubeAccess } from '../../../src/kube/access.ts';
import { KubeClient } from '../../../src/kube/client.ts';
import type { KubeCredentials, Shown } from '../../../src/kube/credentials.ts';
import { KNOWN_KINDS } from '../../../src/kube/known-kinds.ts';
import { listen } from '../../support/free-port.ts';
import { TestAuthority } from '../../support/test-authority.ts';
import { sendJson, sendStatus } from './watch-server.ts';

const ROOT = new TestAuthority('root');
const OTHER = new TestAuthority('other');
const CLIENTS = new TestAuthority('clients');

let server: Server;
let folder: string;
let url: string;
let clients: KubeClient[];
/** Of whoever asked, in order; `nobody` without a certificate. */
let callers: string[];
let refused: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrigger-kube-tls-'));
  clients = [];
  callers = [];
  refused = '';
  const identity = ROOT.issue({ addresses: ['127.0.0.1'], dns: ['kube.test'] });
  const options = { ...identity, ca: CLIENTS.pem, requestCert: true, rejectUnauthorized: false };
  server = createServer(options, (request, response) => {
    const { socket } = request;
    const peer = socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined;
    const caller = /CN=(\S+)/.exec(peer?.subject ?? '')?.[1] ?? 'nobody';
    callers.push(caller);
    if (caller === refused) sendStatus(response, 401, 'Unauthorized');
    else sendJson(response, 200, { metadata: { name: 'a', resourceVersion: '1' } });
  });
  url = `https://127.0.0.1:${await listen(server)}`;
});
afterEach(async () => {
  await Promise.all(clients.map(async (client) => await client.close()));
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(folder, { recursive: true, force: true });
});

function connected(access: Partial<KubeAccess>): () => Promise<string> {
  const client = new KubeClient({ access: plainAccess({ url, ...access }), timeoutMs: 5000 });
  clients.push(client);
  return async () => {
    const got = await client.get(KNOWN_KINDS.configMap, { namespace: 'n', name: 'a' });
    return got.kind === 'done' ? 'done' : `${got.failure.reason}: ${got.failure.message}`;
  };
}

const certificate = (name: string): Shown['certificate'] => {
  const { cert, key } = CLIENTS.issue({ name });
  return { chainPem: cert, keyPem: new Concealed(key) };
};

const TRUST: readonly (readonly [string, Partial<KubeAccess>, RegExp])[] = [
  ['the right authority', { authority: ROOT.pem }, /^done$/],
  ['another authority', { authority: OTHER.pem }, /^Unreachable: .*(?:certificate|signature)/],
  ['the authorities of the system', {}, /^Unreachable: .*certificate/],
  ['the name that it has', { authority: ROOT.pem, serverName: 'kube.test' }, /^done$/],
  ['a name that it has not', { authority: ROOT.pem, serverName: 'else.test' }, /^Unreachable: .*altnames/],
  ['no look at all, as was asked for', { isUnverified: true }, /^done$/],
  ['an authority that is none', { authority: 'nonsense' }, /^Unreachable: /],
];
test.each(TRUST)('a server is judged by %s', async (_, access, wanted) => {
  expect(await connected(access)()).toMatch(wanted);
});

test('a client certificate that is none fails the call and nothing else', async () => {
  const shown = { token: null, certificate: { chainPem: 'nonsense', keyPem: new Concealed('secret nonsense') } };
  const get = connected({
    authority: ROOT.pem,
    credentials: { show: () => Promise.resolve(shown), onRefused: () => {} },
  });
  const said = await get();
  expect(said).toMatch(/^Unreachable: /);
  expect(said).not.toContain('nonsense');
});

test('a file of authorities is read again for a new connection', async () => {
  const authorityFile = join(folder, 'ca.crt');
  await writeFile(authorityFile, OTHER.pem);
  const get = connected({ authority: OTHER.pem, authorityFile });
  expect(await get()).toMatch(/^Unreachable/);
  await writeFile(authorityFile, ROOT.pem);
  expect(await get()).toBe('done');
  await rm(authorityFile);
  server.closeAllConnections();
  expect(await get()).toBe('done');
});

test('a client certificate that is replaced is shown over new connections', async () => {
  let shown: Shown = { token: null, certificate: certificate('first') };
  const get = connected({
    authority: ROOT.pem,
    credentials: { show: () => Promise.resolve(shown), onRefused: () => {} },
  });
  await get();
  await get();
  shown = { token: null, certificate: certificate('second') };
  await get();
  expect(callers).toEqual(['first', 'first', 'second']);
});

test('a client certificate that is refused is asked for again at once', async () => {
  let name = 'first';
  let shown: Shown | null = null;
  const credentials: KubeCredentials = {
    show: () => {
      shown ??= { token: null, certificate: certificate(name) };
      return Promise.resolve(shown);
    },
    onRefused: () => {
      shown = null;
    },
  };
  const get = connected({ authority: ROOT.pem, credentials });
  expect(await get()).toBe('done');
  [refused, name] = ['first', 'second'];
  expect(await get()).toBe('done');
  expect(callers).toEqual(['first', 'first', 'second']);
});
