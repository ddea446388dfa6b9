// Ways around policies, tried on processes with identities: headers that claim to be somebody, protocols that are not what
// the port speaks, the pages of the sidecar itself, and connections that were open before the policy came.
import { rmSync } from 'node:fs';
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
  ) +
  `apiVersion: outrigger.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: once }
spec:
  selector: { matchLabels: { app: shop } }
  limits: [{ name: caller, by: Caller, requests: 1, per: 1h, match: { paths: [/open/once] } }]
---
`;

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
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pipe(socket);
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
  const heads = requests.filter((request) => /^\s*[A-Z]+ .* HTTP[^]*(?:Host|HTTP\/2)/.test(request));
  const methods = heads.map((request) => request.trimStart().split(' ')[0] ?? '');
  const pieces = [requests.join('').replaceAll('HOST', host)];
  const responses = await client.exchange({ pieces, methods, timeoutMs: 5000 });
  return responses.map(({ status }) => status).join(' ');
}

const line = (path: string, ...fields: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\nHost: HOST\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
const CLAIM = 'x-forwarded-client-cert: By=a;URI=spiffe://cluster.local/ns/default/sa/friend';
const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'];

const DISGUISES = [
  '/admin%2fx',
  '/./admin',
  '/%61dmin',
  '/admin;x',
  '/admin?x',
  '/../admin',
  '/%2e/admin',
  '/x/.%2e/admin',
];

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
  ['friend names the bad path in other words', DISGUISES.map((path) => line(path)), DISGUISES.map(() => '403').join(' ')],
  ['friend names it as a whole', [`GET http://HOST/admin HTTP/1.1\r\nHost: a.test\r\n\r\n`], '403'],
  ['friend begins with empty lines', [`\r\n\r\n${line('/admin')}`], '403'],
  ['friend hides one in a body', [line('/x', 'Content-Length: 27'), 'GET /admin HTTP/1.1\r\na: b\r\n', line('/admin')], '200 403', '/x'],
  ['friend puts one behind a last chunk', [line('/x', 'Transfer-Encoding: chunked'), '0\r\nx: y\r\n\r\n', line('/admin')], '200 403', '/x'],
  ['friend says both lengths', [line('/x', 'Transfer-Encoding: chunked', 'Content-Length: 5'), '0\r\n\r\n', line('/admin')], '400'],
  ['friend names a fragment', [line('/admin#x')], '400'],
  ['friend ends the path early', [line('/admin%00')], '400'],
  ['friend writes no path', [line('admin')], '400'],
  ['friend writes another letter', [line('/\xc3\xa1dmin')], '400'],
  ['friend names somebody before the host', [`GET http://a@HOST/admin HTTP/1.1\r\nHost: HOST\r\n\r\n`], '400'],
  ['friend names two hosts', [line('/x', 'Host: a.test')], '400'],
  ['friend takes its caller off', [line('/x', 'Connection: x-forwarded-client-cert')], '400'],
  ['nobody takes its address off', [line('/x', 'Connection: close, X-Forwarded-For')], '400'],
  ['friend folds a field', [line('/admin', 'a: b\r\n c: d')], '400'],
  ['nobody speaks HTTP/2', ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], ''],
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

test.each(['friend', 'stranger', 'nobody'])('the limit of %s is its own, whoever it says that it is', async (who) => {
  const disguises = [CLAIM, 'x-forwarded-for: 9.9.9.9', 'x-real-ip: 9.9.9.9', 'Authorization: Bearer a.b.c'];
  const others = ['/open/once?x', '/open/./once', '/x/../open/%6fnce'].map((path) => line(path));
  const asks = [line('/open/once'), ...disguises.map((field) => line('/open/once', field)), ...others];
  const client = await RawClient.connect(portOf(who));
  expect(await statuses(client, asks)).toBe(`200${' 429'.repeat(asks.length - 1)}`);
  client.close();
});

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

/** A tunnel that is open: what goes in comes back. */
async function tunnel(who: string, path: string): Promise<RawClient> {
  const client = await RawClient.connect(portOf(who));
  client.socket.write(line(path, ...UPGRADE).replaceAll('HOST', host));
  for (let head = ''; !head.endsWith('\r\n\r\n');) head += (await client.bytes(1)).toString();
  await echoes(client);
  return client;
}

async function echoes(client: RawClient): Promise<void> {
  client.socket.write('a');
  expect((await client.bytes(1)).toString()).toBe('a');
}

describe('connections that were open before', () => {
  test('that are tunnels are judged by a policy that comes, and others stay', async () => {
    const one = await tunnel('friend', '/x');
    const two = await tunnel('friend', '/y');
    const three = await tunnel('nobody', '/open');
    const shop = 'selector: { matchLabels: { app: shop } }';
    const rules = 'action: DENY, rules: [{ to: [{ operation: { paths: ["/y"] } }] }]';
    mesh.write(policy('AuthorizationPolicy', 'y', `{ ${shop}, ${rules} }`));
    expect(await two.closesWithin(3000)).toBe(true);
    for (const client of [one, three]) await echoes(client);
    const strict = mesh.write(policy('PeerAuthentication', 'shop', `{ ${shop}, mtls: { mode: STRICT } }`));
    expect(await three.closesWithin(3000)).toBe(true);
    await echoes(one);
    one.close();
    rmSync(strict);
    await until('plaintext is taken again', async () => {
      const nobody = await RawClient.connect(portOf('nobody'));
      const answer = await statuses(nobody, [line('/open')]);
      nobody.close();
      return answer === '200';
    });
  });

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
