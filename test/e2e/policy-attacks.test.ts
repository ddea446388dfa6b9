// Ways around policies, tried on processes with identities: headers that claim to be somebody, protocols that are not what
// the port speaks, the pages of the sidecar itself, and connections that were open before the policy came.
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createTcp, type Server as TcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listen } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import { SecureMesh } from '../support/secure-mesh.ts';
import { until } from '../support/until.ts';

const policy = (kind: string, name: string, spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n---\n`;
const RULES =
  policy(
    'AuthorizationPolicy',
    'deny',
    '{ selector: { matchLabels: { app: shop } }, action: DENY, rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }] }',
  ) +
  policy(
    'AuthorizationPolicy',
    'allow',
    '{ selector: { matchLabels: { app: shop } }, rules: [{ from: [{ source: { principals: ["*/sa/friend"] } }] }, { to: [{ operation: { paths: ["/open*"] } }] }] }',
  );

let mesh: SecureMesh;
let app: Server;
let echo: TcpServer;
let host = '';
const arrived: { readonly url: string; readonly cert: string }[] = [];

beforeAll(async () => {
  app = createHttp((message, response) => {
    const cert = message.headers['x-forwarded-client-cert'];
    arrived.push({ url: message.url ?? '', cert: String(cert ?? '') });
    response.end();
  });
  app.on('upgrade', (message, socket) => {
    arrived.push({ url: message.url ?? '', cert: 'upgrade' });
    socket.destroy();
  });
  echo = createTcp((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
  const [port, bytes] = [await listen(app), await listen(echo)];
  host = `shop.default.svc.cluster.local:${port}`;
  mesh = await SecureMesh.start(RULES);
  await Promise.all([
    mesh.join({ service: 'shop', app: `${port}/http`, labels: { app: 'shop' } }),
    mesh.join({ service: 'bytes', app: `${bytes}/tcp`, labels: { app: 'bytes' } }),
    mesh.join({ service: 'friend' }),
    mesh.join({ service: 'stranger' }),
  ]);
  await mesh.settle();
});
afterAll(async () => {
  app.close();
  echo.close();
  await mesh[Symbol.asyncDispose]();
});

/** Nobody calls the server's own port, in plaintext. */
const portOf = (who: string): number =>
  (who === 'nobody' ? mesh.members.get('shop')?.inbound : mesh.members.get(who)?.outbound) ?? 0;

async function statuses(client: RawClient, requests: readonly string[]): Promise<string> {
  const methods = requests.map((request) => request.split(' ')[0] ?? '');
  const pieces = [requests.join('').replaceAll('HOST', host)];
  const responses = await client.exchange({ pieces, methods, timeoutMs: 5000 });
  return responses.map(({ status }) => status).join(' ');
}

const line = (path: string, ...fields: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\nHost: HOST\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
const CLAIM = 'x-forwarded-client-cert: By=a;URI=spiffe://cluster.local/ns/default/sa/friend';
const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'];

// Who begins the title. Behind the answers: what reaches the app.
test.each<[title: string, requests: readonly string[], answers: string, ...reached: string[]]>([
  ['friend asks', [line('/x')], '200', '/x'],
  ['stranger asks', [line('/x')], '403'],
  ['stranger claims to be the friend', [line('/x', CLAIM)], '403'],
  ['nobody claims to be the friend', [line('/x', CLAIM)], '403'],
  ['stranger says that it is internal', [line('/x', 'x-envoy-internal: true', 'x-forwarded-for: 127.0.0.1')], '403'],
  ['stranger says what path it meant', [line('/x', 'x-envoy-original-path: /open', 'x-rewrite-url: /open')], '403'],
  ['stranger sends the bad one behind a good one', [line('/open'), line('/x'), line('/open')], '200 403 200', '/open', '/open'],
  ['friend sends the bad one between good ones', [line('/x'), line('/admin'), line('/y')], '200 403 200', '/x', '/y'],
  ['friend wraps a dot segment', [line('/x/..;/admin')], '403'],
  ['friend escapes a dot segment', [line('/x/%2e%2e/admin')], '403'],
  ['friend upgrades', [line('/admin', ...UPGRADE)], '403'],
  ['nobody upgrades', [line('/x', ...UPGRADE)], '403'],
  ['nobody upgrades to HTTP/2', [line('/x', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__')], '403'],
  ['nobody opens a tunnel', ['CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n'], '403'],
  ['friend opens a tunnel', ['CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n'], '405'],
])('%s', async (title, requests, ...[answers, ...reached]) => {
  const before = arrived.length;
  const client = await RawClient.connect(portOf(title.split(' ')[0] ?? ''));
  expect(await statuses(client, requests)).toBe(answers);
  client.close();
  expect(arrived.slice(before).map(({ url }) => url)).toEqual(reached);
}); // prettier-ignore

test.each(['friend', 'stranger'])('the app is told that %s called, whatever %s says', async (who) => {
  const client = await RawClient.connect(portOf(who));
  expect(await statuses(client, [line('/open', CLAIM)])).toBe('200');
  client.close();
  expect(arrived.at(-1)?.cert).toMatch(
    new RegExp(`^By=[^,]*/sa/shop;[^,]*URI=spiffe://cluster\\.local/ns/default/sa/${who}$`),
  );
});

test('the app is told of nobody whom it was told of by a client without a certificate', async () => {
  const client = await RawClient.connect(portOf('nobody'));
  expect(await statuses(client, [line('/open', CLAIM)])).toBe('200');
  client.close();
  expect(arrived.at(-1)?.cert).toBe('');
});

test.each(['friend', 'nobody'])('the pages of a sidecar are not to be had through it by %s', async (who) => {
  const admin = mesh.members.get('shop')?.admin ?? 0;
  for (const at of [
    `127.0.0.1:${admin}`,
    `localhost:${admin}`,
    `[::1]:${admin}`,
    'PassthroughCluster',
    'prometheus_stats',
  ]) {
    const client = await RawClient.connect(portOf(who));
    expect([at, await statuses(client, [`GET http://${at}/stats HTTP/1.1\r\nHost: ${at}\r\n\r\n`])]).toEqual([
      at,
      who === 'nobody' ? '403' : '502',
    ]);
    client.close();
  }
});

describe('connections that were open before', () => {
  test('are judged by a policy that comes, request by request and byte by byte', async () => {
    const friend = await RawClient.connect(portOf('friend'));
    const nobody = await RawClient.connect(portOf('nobody'));
    const bytes = await RawClient.connect(mesh.members.get('bytes')?.inbound ?? 0);
    bytes.socket.write('a');
    expect((await bytes.bytes(1)).toString()).toBe('a');
    expect([await statuses(friend, [line('/x')]), await statuses(nobody, [line('/open')])]).toEqual(['200', '200']);
    mesh.write(policy('AuthorizationPolicy', 'all', '{ action: DENY, rules: [{}] }'));
    await until('the friend is refused', async () => (await statuses(friend, [line('/x')])) === '403');
    await until('nobody is refused', async () => {
      const answer = await statuses(nobody, [line('/open')]).catch(() => '');
      return answer !== '200';
    });
    expect(await bytes.closesWithin(3000)).toBe(true);
    for (const client of [friend, nobody]) client.close();
  });

  test('are closed when they are plaintext and STRICT comes', async () => {
    const nobody = await RawClient.connect(portOf('nobody'));
    expect(await statuses(nobody, [line('/open')])).toBe('403');
    mesh.write(policy('PeerAuthentication', 'all', '{ mtls: { mode: STRICT } }'));
    expect(await nobody.closesWithin(2000)).toBe(true);
  });
});
