// Who gets a sidecar's pages over TLS: the control service of its own mesh, by the id that no workload gets, and nobody else,
// whoever signed for them; and of that nothing but what shows something. With real sockets and a real identity.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { createLog } from '../../src/base/log.ts';
import { Registry } from '../../src/observe/registry.ts';
import { startPagesServer } from '../../src/sidecar/admin/pages-server.ts';
import type { RunningServer } from '../../src/sidecar/admin/server.ts';
import { ControlAccess } from '../../src/sidecar/control-access.ts';
import { Identity } from '../../src/sidecar/identity.ts';
import { SecretStore } from '../../src/sidecar/secrets.ts';
import { TestAuthority, type KeyAndCertificate } from '../support/test-authority.ts';
import { CaServer } from '../support/test-ca-server.ts';
import { aSource } from '../unit/admin/admin-source-builder.ts';

const authority = new TestAuthority('root');
const stranger = new TestAuthority('stranger');
const CONTROL = 'spiffe://cluster.local/outrigger/control';
const bench = aSource();
const lines: string[] = [];
const log = createLog('test', 'debug', (line) => void lines.push(line));
let folder: string;
let ca: CaServer;
let identity: Identity;
let server: RunningServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pages-'));
  ca = await CaServer.open({ authority });
  writeFileSync(join(folder, 'token'), ca.token);
  writeFileSync(join(folder, 'root.pem'), authority.pem);
  identity = new Identity({
    access: new ControlAccess({
      control: { host: '127.0.0.1', port: ca.port },
      tokenFile: join(folder, 'token'),
      rootFile: join(folder, 'root.pem'),
      rootHash: null,
    }),
    expected: { trustDomain: '', namespace: 'shop', serviceAccount: 'cart' },
    uri: 'spiffe://cluster.local/ns/shop/sa/cart',
    lifetimeSeconds: 3600,
    log,
    clock: systemClock,
  });
  const at = { address: '127.0.0.1', port: 0, descriptor: null };
  server = await startPagesServer({ source: bench.source, identity, log }, at);
  // Before there is a certificate nobody gets in.
  expect(await ask(shown(authority, CONTROL))).toBe('closed');
  identity.start(new SecretStore(log), new Registry());
  await identity.first;
  // And from its first moment on who may.
  expect(await ask(shown(authority, CONTROL))).toBe('200');
});
afterAll(async () => {
  await server?.close();
  identity?.close();
  ca?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function shown(by: TestAuthority, ...uris: readonly string[]): KeyAndCertificate {
  return by.issue({ uris });
}

/** The status, or `closed` when there was none. */
async function ask(own: KeyAndCertificate | null, path = '/ready', method = 'GET'): Promise<string> {
  return await new Promise((resolve) => {
    const options = { host: '127.0.0.1', port: server.port, path, method, rejectUnauthorized: false, agent: false };
    const asked = request({ ...options, ...own }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(String(answer.statusCode)));
    });
    asked.once('error', () => resolve('closed'));
    asked.end();
  });
}

it.each([
  ['the control service', shown(authority, CONTROL), '200'],
  ['nobody in particular', null, 'closed'],
  ['a workload of the mesh', shown(authority, 'spiffe://cluster.local/ns/shop/sa/cart'), '403'],
  ['a workload that is named so', shown(authority, 'spiffe://cluster.local/ns/outrigger/sa/control'), '403'],
  ['the control service of another mesh', shown(authority, 'spiffe://other.test/outrigger/control'), '403'],
  ['somebody with two names', shown(authority, CONTROL, 'spiffe://cluster.local/ns/shop/sa/cart'), '403'],
  ['somebody without a name', shown(authority), '403'],
  ['somebody whom a stranger signed for', shown(stranger, CONTROL), 'closed'],
])('%s', async (_title, own, expected) => {
  expect(await ask(own)).toBe(expected);
});

it.each([
  ['GET', '/config_dump', '200'],
  ['GET', '/stats/prometheus', '200'],
  ['GET', '/quitquitquit', '404'],
  ['GET', '/', '404'],
  ['POST', '/quitquitquit', '405'],
  ['POST', '/drain', '405'],
  ['POST', '/logging?level=debug', '405'],
  ['POST', '/config_dump', '405'],
])('%s %s is answered with %s', async (method, path, expected) => {
  expect(await ask(shown(authority, CONTROL), path, method)).toBe(expected);
  expect(bench.calls).toEqual([]);
});
